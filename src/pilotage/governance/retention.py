"""How long texts are kept, and the keys that they can be read with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.clock import DAY
from pilotage.decision.policy import kept_at_most
from pilotage.governance.keys import end_expired
from pilotage.governance.organisation import organisation_of
from pilotage.governance.standing import spec_of
from pilotage.spec.use_case import Data

if TYPE_CHECKING:
    from pilotage.governance.context import Context
    from pilotage.store.base.recorded import Texts
    from pilotage.store.base.transaction import Transaction

DEFAULT = Data().retain_for
_NOTHING = -1
"""Days that texts are kept which may not be kept at all: those of today go too."""
_USED_WITHIN = 3
"""Days after which a key has no text: one to the end of the day of its last use, one that the last use is noted late, and one more."""
NAMED = DAY
"""How long an erased unit's digest is remembered, for what was appended before may be sealed after it."""


def expire_texts(context: Context, texts: Texts) -> int:
    """Remove the texts of days that ended longer ago than each use case keeps them; return how many files that was.

    Then destroy the keys of units of whom no text is left: without them, what a copy of the disk still holds says nothing.
    """
    names = texts.use_cases()
    with context.store.read() as tx:
        proposed = tx.proposals.use_cases()
        known = {*names, *tx.unit_keys.use_cases(), *proposed}
        days = {name: _retain_for(tx, name) for name in known}
    now = context.clock.now()
    gone = sum(texts.expire(name, now - days[name] * DAY) for name in names)
    with context.store.write() as tx:
        for name in known:
            tx.unit_keys.expire(name, now - (max(days[name], 0) + _USED_WITHIN) * DAY)
        for name in proposed:
            # A case is a text too, and lives no longer than one here. In the team's folder it is the team's.
            tx.proposals.expire(name, now - (days[name] if days[name] > 0 else DEFAULT) * DAY)
    return gone


def expire(context: Context, texts: Texts) -> int:
    """Let texts expire, end keys that have, and forget the names of units that were erased long enough ago."""
    end_expired(context)
    with context.store.write() as tx:
        if tx.erasures.open():
            tx.erasures.close(context.clock.now() - NAMED)
    return expire_texts(context, texts)


def _retain_for(tx: Transaction, name: str) -> int:
    """Return days. Of a use case that is retired, or that nobody knows, nothing is kept longer than by default.

    The organisation's rules hold at once for what lies there, by the classes of data that a use case handles.
    """
    registered, status = tx.use_cases.get(name), tx.statuses.get(name)
    if registered is None or status is None:
        return DEFAULT
    data = spec_of(registered).data
    kept, days = kept_at_most(organisation_of(tx), data)
    own = min(data.retain_for, days) if kept != "none" else _NOTHING
    return min(own, DEFAULT) if status.retired else own
