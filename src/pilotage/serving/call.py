"""What a release makes of a request before it goes to the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.serving import prompt
from pilotage.upstream.base import Call
from pilotage.upstream.quirks import adapt

if TYPE_CHECKING:
    from pilotage.serving.request import ChatRequest
    from pilotage.spec.release import Release

PATH = "/chat/completions"


def prepare(request: ChatRequest, release: Release, *, unit: str, request_id: str) -> Call:
    """Return the call: the variant's fixed parameters win, its prompt comes first, and no raw user goes out.

    Every other field passes through. Raises UpstreamError where the prompt does not render.
    """
    body = {**request.body, **release.parameters, "model": release.model}
    for name in ("user", "safety_identifier"):
        if name in body:
            body[name] = unit
    system = prompt.render(release, request)
    if system:
        body["messages"] = [{"role": "system", "content": system}, *request.messages]
    if request.stream:
        # Tokens must be counted whether or not the caller asks; a chunk it has not asked for is taken out again.
        body["stream_options"] = {**(request.body.get("stream_options") or {}), "include_usage": True}
    return Call(
        path=PATH,
        body=msgspec.json.encode(adapt(body, release.upstream)),
        stream=request.stream,
        headers={"x-request-id": request_id},
    )
