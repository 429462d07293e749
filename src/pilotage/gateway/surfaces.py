"""Which surface stands at which path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.gateway.chat import Chat
from pilotage.gateway.messages import Messages
from pilotage.serving import chat, embeddings, images, responses, speech

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pilotage.clock import Clock
    from pilotage.gateway.door import Door
    from pilotage.gateway.limits import Limits
    from pilotage.gateway.wire import Incoming
    from pilotage.serving.serve import Server

_PARSERS = {
    "/v1/chat/completions": chat.parse,
    "/v1/responses": responses.parse,
    "/v1/embeddings": embeddings.parse,
    "/v1/images/generations": images.parse,
    "/v1/audio/speech": speech.parse,
}


def surfaces(
    door: Door, server: Server, clock: Clock, limits: Limits
) -> dict[str, Callable[[Incoming], Awaitable[None]]]:
    """Return who answers a POST at each path."""
    handlers = {path: Chat(door, server, clock, limits, parse).handle for path, parse in _PARSERS.items()}
    return {**handlers, "/v1/messages": Messages(door, server, clock, limits).handle}
