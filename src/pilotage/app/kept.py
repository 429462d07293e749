"""Texts that the gateway kept, for a rehearsal on this machine: redacted once more, and sent nowhere by themselves."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.decision.traits import turns_of
from pilotage.errors import NotFound
from pilotage.guardrails.personal_data import redact
from pilotage.records import Text
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts
from pilotage.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.app.client import Commander

_MOST = 10_000


def kept_texts(where: Commander, use_case: str) -> dict[str, tuple[str, str]]:
    """Return (request, reply) by inference, the newest; nothing where a server elsewhere has them, or none are kept.

    Both are redacted, whatever the use case keeps: what is replayed goes to a provider once more.
    """
    if where.key:
        return {}
    rows = where.events("texts", limit=_MOST, use_case=use_case)
    names = [field.name for field in msgspec.structs.fields(Text)]
    wanted = [msgspec.convert({name: row[name] for name in names}, Text) for row in rows]
    if not wanted:
        return {}
    workspace = Workspace(where.workspace).require()
    texts = Texts(workspace.texts)
    found: dict[str, tuple[str, str]] = {}
    with closing(SqliteStore(workspace.state)) as store, store.read() as tx:
        keys = tx.unit_keys.by_id({one.unit_key for one in wanted})
    for one in wanted:
        if one.unit_key not in keys:
            continue  # Erased.
        try:
            request, reply = texts.read(one, keys[one.unit_key])
        except NotFound:
            continue
        found[one.id] = redact(request)[0], redact(reply)[0]
    return found


def conversations(texts: Iterable[tuple[str, tuple[str, str]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the messages of each request that can be asked again: a conversation that ends with its user's turn."""
    found = {}
    for inference, (request, _) in texts:
        turns = turns_of(request)
        # What begins without a role is no conversation: an image's prompt, a text to be embedded.
        if turns and request.startswith(f"{turns[0][0]}: ") and turns[-1][0] == "user":
            found[inference] = [{"role": role, "content": text} for role, text in turns]
    return found
