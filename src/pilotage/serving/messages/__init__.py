"""`messages`: Anthropic's Messages, carried as a chat and answered as a message."""

from pilotage.serving.messages.request import MessagesRequest, parse

__all__ = ["MessagesRequest", "parse"]
