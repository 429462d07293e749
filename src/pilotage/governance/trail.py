"""How a rollout got where it is: what was known of each metric as time went on, thinned to what a picture can show.

The batches say the same and more; making each reading again from them takes minutes where a rollout was long. So the controller,
which has just made one, leaves it here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pilotage.status import Reading, RolloutStatus
    from pilotage.store.base.transaction import Transaction

MOST = 240


class Point(msgspec.Struct, frozen=True, array_like=True):
    """At one moment: the candidates' share (millionths), the step, and (value, low, high, units, against) by candidate and metric."""

    at: int
    share: int
    step: int
    readings: dict[str, dict[str, tuple[float, float, float, int, int]]]


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """`spacing` is the least time (microseconds) between two points of one share."""

    use_case: str
    rollout: str
    started: int
    baseline: str
    candidates: tuple[str, ...]
    spacing: int = 0
    points: tuple[Point, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_trail = msgspec.msgpack.Decoder(Trail)


def begun(use_case: str, rollout: RolloutStatus) -> Trail:
    return Trail(
        use_case=use_case,
        rollout=rollout.id,
        started=rollout.started,
        baseline=rollout.baseline,
        candidates=rollout.candidates,
    )


def point_of(at: int, rollout: RolloutStatus, readings: Mapping[str, Mapping[str, Reading]]) -> Point:
    return Point(
        at,
        rollout.share,
        rollout.step,
        {
            release: {name: (one.value, one.low, one.high, one.units, one.against) for name, one in metrics.items()}
            for release, metrics in readings.items()
        },
    )


def longer(trail: Trail, point: Point) -> Trail:
    """Return the trail with one more point; itself where the last one is too near. Where there are many, every second one goes."""
    last = trail.points[-1] if trail.points else None
    if last is not None and point.share == last.share and point.at - last.at < max(1, trail.spacing):
        return trail
    points, spacing = (*trail.points, point), trail.spacing
    if len(points) > MOST:
        points = (*_thinned(points[:-1]), point)
        spacing = (point.at - points[0].at) // (MOST // 2)
    return msgspec.structs.replace(trail, points=points, spacing=spacing)


def _thinned(points: tuple[Point, ...]) -> Iterable[Point]:
    """Return every second point, and all at which the share changed."""
    return (point for index, point in enumerate(points) if not index % 2 or point.share != points[index - 1].share)


def kept_trail(tx: Transaction, use_case: str, rollout: str) -> Trail | None:
    """Return what was kept of a rollout; None where nothing was, or another version kept it."""
    kept = tx.batches.kept(_name(use_case, rollout))
    try:
        return _trail.decode(kept[1]) if kept else None
    except msgspec.MsgspecError:
        return None


def keep_trail(tx: Transaction, trail: Trail) -> None:
    tx.batches.keep(_name(trail.use_case, trail.rollout), len(trail.points), _encode(trail), b"{}")


def _name(use_case: str, rollout: str) -> str:
    return f"watch-{use_case}-trail-{rollout}"
