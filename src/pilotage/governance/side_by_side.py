"""The answers of two releases to the same cases, failures first, as the evaluation kept them that a measured fact names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from pilotage.governance import standing
from pilotage.governance.compared import compared
from pilotage.governance.context import Text
from pilotage.governance.report import subject

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context

MOST = 100


class SideBySide(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of the candidate, or of a `variant`. `only`: where it does worse or better than the other, is wrong, or says something else."""

    use_case: Text
    variant: Text = ""
    only: Literal["", "worse", "better", "wrong", "differs"] = ""
    after: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 20


def side_by_side(context: Context, _: Actor, arguments: SideBySide) -> dict[str, Any]:
    """Return cases with both answers. `release` is empty where no evaluation kept any."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
        measured = [fact.release for fact in reversed(tx.evidence.of(arguments.use_case))]
        release = subject(stands, arguments.variant, measured)
        return compared(
            tx, arguments.use_case, release, only=arguments.only, after=arguments.after, most=arguments.most
        )
