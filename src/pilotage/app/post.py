"""Posts a message to an address that the operators gave."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

SECONDS = 10.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address is a secret, and so is what is sent: neither follows wherever the receiver points."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def post(url: str, body: bytes, content_type: str) -> str:
    """Send it; return what went wrong without naming the address, or an empty string once it was taken."""
    if not url.startswith(("http://", "https://")):
        return "the address does not begin with http:// or https://"
    try:
        request = urllib.request.Request(  # noqa: S310 (the scheme was looked at)
            url, data=body, headers={"content-type": content_type, "user-agent": "pilotage"}
        )
        with _opener.open(request, timeout=SECONDS) as reply:
            reply.read(1024)
    except urllib.error.HTTPError as fault:
        return f"answered {fault.code}"
    except (OSError, http.client.HTTPException, ValueError) as fault:
        reason = getattr(fault, "reason", fault)
        return f"could not be reached ({type(reason).__name__})"
    return ""
