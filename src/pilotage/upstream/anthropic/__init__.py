"""A provider that speaks Anthropic's Messages, asked and heard as one that speaks OpenAI's chat completions."""

from pilotage.upstream.anthropic.upstream import AnthropicUpstream

__all__ = ["AnthropicUpstream"]
