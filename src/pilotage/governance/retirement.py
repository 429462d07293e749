"""When the models behind what serves are shut down by their providers: by the file, or as the provider itself has told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec

from pilotage.clock import DAY
from pilotage.decision.wording import variant_of
from pilotage.errors import Refused
from pilotage.governance import standing
from pilotage.governance.context import Text
from pilotage.governance.rechecks import serves_of

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.store.base.transaction import Transaction

_YEAR_10000 = 253_402_300_800_000_000


class RecordRetirement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider says of the model of a release: the time at which it is shut down, 0 for none."""

    use_case: Text
    release: Text
    at: Annotated[int, msgspec.Meta(ge=0, lt=_YEAR_10000)]


class Retirement(NamedTuple):
    """`at` is the clock's time from which the release's model does not answer any more, `source` who says so."""

    release: str
    model: str
    at: int
    source: str

    @property
    def day(self) -> str:
        return datetime.fromtimestamp(self.at / 1e6, UTC).strftime("%-d %B %Y")


def record_retirement(context: Context, actor: Actor, arguments: RecordRetirement) -> dict[str, Any]:
    """Keep what the provider said last."""
    del actor
    with context.store.write() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        if arguments.release not in serves_of(tx, stands):
            raise Refused(f"{arguments.release} does not serve", hint="`pilotage status` says what does")
        name, body = _name(arguments.use_case, arguments.release), msgspec.json.encode({"at": arguments.at})
        if (tx.batches.kept(name) or (0, b"", b""))[2] != body:
            tx.batches.keep(name, 0, b"", body)
    return {"use_case": arguments.use_case, "release": arguments.release, "at": arguments.at}


def retirements(tx: Transaction, stands: Standing) -> list[Retirement]:
    """Return the known ends of what serves and of its fallbacks, the soonest first. Of two that are told, the earlier one counts."""
    found = []
    for reference in serves_of(tx, stands):
        release = tx.releases.get(reference)
        variant = stands.spec.variants.get(variant_of(reference))
        kept = tx.batches.kept(_name(stands.status.use_case, reference))
        told = [(int(msgspec.json.decode(kept[2])["at"]), "its provider")] if kept else []
        # What the file says now is about the model that it names now.
        if variant is not None and variant.retires and release is not None and variant.model == release.model:
            begins = datetime.combine(variant.retires, datetime.min.time(), UTC)
            told.append((int(begins.timestamp()) * 1_000_000, "the file"))
        known = [one for one in told if one[0]]
        if known and release is not None:
            at, source = min(known)
            found.append(Retirement(reference, release.model, at, source))
    return sorted(found, key=lambda one: one.at)


def retirements_shown(tx: Transaction, stands: Standing, now: int) -> list[dict[str, Any]]:
    return [
        {
            **one._asdict(),
            "day": one.day,
            "days": -((now - one.at) // DAY),
            "soon": one.at - now <= stands.spec.watch.notice,
        }
        for one in retirements(tx, stands)
    ]


def _name(use_case: str, release: str) -> str:
    return f"watch-{use_case}-retires-{release}"
