"""Which surface stands at which path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilotage.gateway.chat import Chat
from pilotage.gateway.messages import Messages
from pilotage.serving import chat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pilotage.clock import Clock
    from pilotage.gateway.door import Door
    from pilotage.gateway.wire import Incoming
    from pilotage.serving.serve import Server

_PARSERS = {
    "/v1/chat/completions": chat.parse,
}


def surfaces(door: Door, server: Server, clock: Clock) -> dict[str, Callable[[Incoming], Awaitable[None]]]:
    """Return who answers a POST at each path."""
    handlers = {path: Chat(door, server, clock, parse).handle for path, parse in _PARSERS.items()}
    return {**handlers, "/v1/messages": Messages(door, server, clock).handle}
