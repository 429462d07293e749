"""What workers that were killed had taken out of budgets and not spent: found in the spool's events, and given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.clock import MINUTE
from pilotage.spec.period import bounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pilotage.store.base.handed_out import Share
    from pilotage.store.base.recorded import Events
    from pilotage.store.base.transaction import Store

_LATE = MINUTE
"""A request that was paid out of a period is in the events at most so long after it: then it counts for both."""

_SPENT = """
SELECT COALESCE(SUM(COALESCE(f.spent, s.held, 0)), 0) AS spent
FROM started s
LEFT JOIN finished f ON f.id = s.id AND f.spool_segment > ? AND f.spool_segment < ?
WHERE s.spool_segment > ? AND s.spool_segment < ? AND s.at >= ? AND s.at < ? AND {whose} = ?
"""


class Left(Protocol):
    """A holder whose process is gone; `whole` is whether all that it did is in the events."""

    @property
    def name(self) -> str: ...
    @property
    def whole(self) -> bool: ...


class Holders(Protocol):
    def left(self, losses: Mapping[str, int]) -> Iterable[Left]: ...
    def names(self) -> set[str]: ...
    def forget(self, name: str) -> None: ...


class Segments(Protocol):
    def segments(self) -> list[str]: ...


def settle(store: Store, events: Events, spool: Segments, holders: Holders, losses: Mapping[str, int]) -> int:
    """Settle every holder that is gone and whose events are sealed; return how many.

    What it finished counts for what it spent, what it had under way for the most that it may have come to. Of one whose
    events may not all be there, all that it had taken counts as spent.
    """
    with store.read() as tx:
        shares = tx.allowances.shares()
    left = {one.name: one for one in holders.left(losses)}
    known = sorted({share.holder for share in shares} | holders.names())
    segments = spool.segments()
    settled = 0
    for name in sorted({share.holder for share in shares} | set(left)):
        gone = left.get(name)
        if gone is None and name in holders.names():
            continue
        until = next(
            (other for other in known if other > name and _worker(other) == _worker(name)), f"{_worker(name)}-~"
        )
        if any(name < segment < until for segment in segments):
            # Not wholly sealed yet.
            continue
        held = [share for share in shares if share.holder == name]
        # One that gave back what it did not spend has left no file, and all that it still has is spent.
        whole = gone is not None and gone.whole
        spent = {share: _spent(events, share, until) if whole else share.taken for share in held}
        with store.write() as tx:
            for share, amount in spent.items():
                tx.allowances.settle(share.account, share.period, share.holder, amount)
        holders.forget(name)
        settled += gone is not None
    return settled


def _spent(events: Events, share: Share, until: str) -> int:
    begin, end = bounds(share.period)
    account = share.account.rpartition("/")[0]
    kind, colon, key = account.partition(":")
    whose, who = ("s.caller", key) if colon else ("s.use_case", kind)
    (row,) = events.query(
        _SPENT.format(whose=whose), (share.holder, until, share.holder, until, begin, end + _LATE, who)
    )
    return int(row["spent"])


def _worker(holder: str) -> str:
    return holder.rpartition("-")[0]
