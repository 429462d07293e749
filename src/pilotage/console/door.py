"""What API and pages share: who asks, bodies within bounds, and errors in one shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from pilotage.console.visitors import TooMany

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pilotage.access import Actor
    from pilotage.console.visitors import Visitors
    from pilotage.errors import PilotageError

CODES = {
    401: "unauthorized",
    403: "denied",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "wrong_call",
    429: "too_many",
}


async def bearer(request: Request, visitors: Visitors) -> Actor:
    """Return who the Authorization header names; 401 otherwise, 429 where bad keys keep coming from there."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    address = request.client.host if request.client else ""
    actor = None
    try:
        if scheme.lower() == "bearer" and secret:
            actor = await run_in_threadpool(visitors.bearer, secret.strip(), address)
    except TooMany as many:
        raise HTTPException(
            429, "too many bad keys came from this address", headers={"retry-after": str(many.seconds)}
        ) from None
    if actor is None:
        raise HTTPException(
            401, "no good key was presented", headers={"www-authenticate": 'Bearer realm="Pilotage control API"'}
        )
    return actor


def visitor(request: Request, visitors: Visitors) -> Actor | None:
    """Return who is signed in, if anybody."""
    return visitors.by_session(request.cookies.get(visitors.cookie, ""))


def own_site(request: Request) -> None:
    """Refuse a form that another site sent. What is no browser sends neither header."""
    site = request.headers.get("sec-fetch-site", "")
    origin = request.headers.get("origin", "")
    if site in ("same-origin", "none") if site else origin.partition("://")[2] == request.headers.get("host", ""):
        return
    if site or origin:
        raise HTTPException(403, "another site sent this form; open the console itself and try again")


async def body_of(request: Request, limit: int) -> bytes:
    """Return a request's body; 413 as soon as it is known to be larger than `limit` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise HTTPException(413, f"the body is {int(length):,} bytes; at most {limit:,} are taken here")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise HTTPException(413, f"the body is above {limit:,} bytes, the most that is taken here")
        parts.append(part)
    return b"".join(parts)


def refused(fault: PilotageError) -> Response:
    return JSONResponse({"error": fault.as_json()}, fault.http_status)


def failed(fault: HTTPException) -> Response:
    error = {
        "code": CODES.get(fault.status_code, "error"),
        "message": fault.detail,
        "hint": _HINTS.get(fault.status_code, ""),
    }
    return JSONResponse({"error": error}, fault.status_code, headers=fault.headers)


_HINTS = {
    401: "send Authorization: Bearer and a key's secret; `pilotage keys create` makes one",
    404: "see /api/v1/openapi.json for what there is",
}
