"""What a watch shows to people and programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from pilotage.decision.stream import reference

if TYPE_CHECKING:
    from pilotage.decision.watch import Setting, Watching


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One stream: what the release has shown (`shown`), the level that it is held against (None: still learned, from `learned` units so far) and where it stands.

    `near` is how far its detector has come to the line at which people are told, from 0 to 1.
    """

    stream: str
    metric: str
    learned: int
    level: float | None
    shown: float | None
    value: float | None
    since: int
    n: int
    near: float
    warned: bool


def shown_of(setting: Setting, watching: Watching) -> dict[str, object]:
    """Return a watch as plain data, to be kept."""
    return {
        "at": watching.at,
        "ticks": watching.seq,
        "streams": [msgspec.to_builtins(one) for one in streams_of(setting, watching)],
    }


def streams_of(setting: Setting, watching: Watching) -> list[Shown]:
    """Return every stream as it stands."""
    found = []
    for name, asked in setting.asked.items():
        stream = watching.streams.get(name)
        if stream is None:
            continue
        known = stream.ready and not asked.holdback
        found.append(
            Shown(
                stream=name,
                metric=asked.metric,
                learned=stream.learned.n,
                level=reference(asked, stream.learned) if known else stream.held.mean if stream.held.n else None,
                shown=stream.learned.mean if stream.learned.n else None,
                value=stream.now.mean if stream.now.n else None,
                since=stream.since,
                n=stream.now.n,
                near=0.0 if stream.level == -math.inf else min(max(stream.level / setting.warn, 0.0), 1.0),
                warned=stream.warned,
            )
        )
    return found
