"""How long texts are kept."""

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
    from pilotage.store.base import Texts, Transaction

DEFAULT = Data().retain_for
NAMED = DAY
"""How long an erased unit's digest is remembered, for what was appended before may be sealed after it."""


def expire_texts(context: Context, texts: Texts) -> int:
    """Remove the texts of days that ended longer ago than each use case keeps them; return how many files that was."""
    names = texts.use_cases()
    with context.store.read() as tx:
        days = {name: _retain_for(tx, name) for name in names}
    now = context.clock.now()
    return sum(texts.expire(name, now - days[name] * DAY) for name in names)


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
    own = min(data.retain_for, kept_at_most(organisation_of(tx), data)[1])
    return min(own, DEFAULT) if status.retired else own
