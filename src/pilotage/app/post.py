"""Posts a message to an address that the operators gave."""

from __future__ import annotations

import http.client
import threading
import urllib.error
import urllib.request

SECONDS = 5.0
"""For each step of it: connecting, and each piece that is read."""
LONGEST_SECONDS = 10.0
"""For all of it: whoever answers a byte at a time holds nobody up."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The address is a secret, and so is what is sent: neither follows wherever the receiver points."""

    def redirect_request(self, *_: object, **__: object) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def post(url: str, body: bytes, content_type: str) -> str:
    """Send it; return what went wrong without naming the address, or an empty string once it was taken."""
    said: list[str] = []
    sending = threading.Thread(target=lambda: said.append(_sent(url, body, content_type)), name="post", daemon=True)
    sending.start()
    sending.join(LONGEST_SECONDS)
    return said[0] if said else f"took longer than {LONGEST_SECONDS:.0f} s to answer"


def _sent(url: str, body: bytes, content_type: str) -> str:
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
        if isinstance(reason, TimeoutError):
            return f"did not answer within {SECONDS:.0f} s"
        return f"could not be reached ({type(reason).__name__})"
    return ""
