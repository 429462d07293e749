"""What a release makes of a request before it goes to the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.upstream.base import Call

if TYPE_CHECKING:
    from pilotage.serving.request import Request
    from pilotage.spec.release import Release


def prepare(request: Request, release: Release, *, unit: str, request_id: str) -> Call:
    """Return the call: what the request's surface makes of it, without a raw user, in the provider's own names.

    Every other field passes through. Raises UpstreamError where the prompt does not render.
    """
    body = request.outgoing(release)
    for name in ("user", "safety_identifier"):
        if name in body:
            body[name] = unit
    return Call(
        path=request.path,
        body=msgspec.json.encode(body),
        stream=request.stream,
        headers={"x-request-id": request_id},
    )
