"""What every command is given: the store, the clock, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from pilotage.errors import Denied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pilotage.access import Actor, Role
    from pilotage.clock import Clock
    from pilotage.governance.anchors import Place
    from pilotage.store.base.holdings import Holdings
    from pilotage.store.base.transaction import Store, Transaction


Text = Annotated[str, msgspec.Meta(max_length=2_000)]
"""What people write into a command: reasons, and names of things."""


def _nothing_set(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Context:
    """`environment` gives a variable's value, such as OPENAI_BASE_URL's, or an empty string.

    `holdings` gives what is held of people beside the store, for as long as it is needed; `anchors` are the places
    beyond the workspace that its ledger is anchored in.
    """

    store: Store
    clock: Clock
    environment: Callable[[str], str] = _nothing_set
    holdings: Callable[[], AbstractContextManager[Holdings]] | None = None
    anchors: Sequence[Place] = ()


def moment(context: Context, tx: Transaction) -> int:
    """Return the time that decisions are made at: the clock's, and never before the newest entry of the ledger.

    So a clock that is set back brings nothing to life again that has ended.
    """
    newest = next(iter(tx.ledger.read(newest=1)), None)
    now = context.clock.now()
    return now if newest is None else max(now, newest.at)


def require(actor: Actor, roles: tuple[Role, ...], use_case: str = "") -> None:
    """Raise Denied unless the actor has one of the roles on this use case (empty: on the whole workspace)."""
    if any(actor.allows(role, use_case) for role in roles):
        return
    wanted = " or ".join(roles)
    if not any(role in actor.roles for role in roles):
        raise Denied(
            f"{actor.id} lacks the role {wanted}", hint="use a key that has it: `pilotage keys create --role ...`"
        )
    if use_case:
        raise Denied(f"{actor.id} may not act on {use_case}", hint=f"it is for {', '.join(actor.use_cases)} only")
    raise Denied(
        f"{actor.id} is for {', '.join(actor.use_cases)} only, and this concerns the whole workspace",
        hint="use a key without use cases of its own, or name one of them",
    )
