"""How long texts are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.clock import DAY
from pilotage.governance.standing import spec_of
from pilotage.spec.use_case import Data

if TYPE_CHECKING:
    from pilotage.governance.context import Context
    from pilotage.store.base import Texts, Transaction

DEFAULT = Data().retain_for


def expire_texts(context: Context, texts: Texts) -> int:
    """Remove the texts of days that ended longer ago than each use case keeps them; return how many files that was."""
    names = texts.use_cases()
    with context.store.read() as tx:
        days = {name: _retain_for(tx, name) for name in names}
    now = context.clock.now()
    return sum(texts.expire(name, now - days[name] * DAY) for name in names)


def _retain_for(tx: Transaction, name: str) -> int:
    """Return days. Of a use case that is retired, or that nobody knows, nothing is kept longer than by default."""
    registered, status = tx.use_cases.get(name), tx.statuses.get(name)
    if registered is None or status is None:
        return DEFAULT
    own = spec_of(registered).data.retain_for
    return min(own, DEFAULT) if status.retired else own
