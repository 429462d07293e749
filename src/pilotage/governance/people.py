"""Which person stands behind what was done, and whether two that act are two people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.store.base.transaction import Transaction

SIGNED_IN = "oidc:"


def hands(tx: Transaction, actor_id: str) -> tuple[str, tuple[str, ...]]:
    """Return the person behind an actor on record, and through whose hands their key came."""
    key = tx.keys.get(actor_id.removeprefix("key:")) if actor_id.startswith("key:") else None
    if key is not None:
        return key.person or actor_id, key.makers
    return actor_id.removeprefix(SIGNED_IN), ()


def same_hand(tx: Transaction, actor: Actor, other: str) -> str:
    """Say why an actor may be the same person as another one on record; an empty string where it is somebody else."""
    person, makers = hands(tx, other)
    if other == actor.id or person == actor.who:
        return f"{actor.who} is the one who did that ({other})"
    if person in actor.makers:
        return f"the key of {actor.who} was made by {person}, who did that ({other})"
    if actor.who in makers:
        return f"{actor.who} made the key that did that ({other})"
    return ""
