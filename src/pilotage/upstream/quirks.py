"""What a provider names differently, or refuses: applied to a request's body, as its release carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pilotage.spec.release import UpstreamAddress

USAGE = "stream_options"


def adapt(body: dict[str, Any], address: UpstreamAddress, *, chat: bool = True) -> dict[str, Any]:
    """Return the body as this provider takes it. A name that it knows already wins over one that is renamed to it.

    The renamed ones are names of chat completions.
    """
    if not (address.renames or address.drops) and address.stream_usage:
        return body
    adapted = dict(body)
    for name, there in address.renames if chat else ():
        if name in adapted:
            value = adapted.pop(name)
            adapted.setdefault(there, value)
    for name in address.drops:
        adapted.pop(name, None)
    if not address.stream_usage:
        adapted.pop(USAGE, None)
    return adapted
