"""A provider behind HTTP, in OpenAI's protocol: one pooled session a worker, nothing held back.

Redirects are not followed and proxies named in the environment are not used: a prompt goes to the address in the
use case's file or nowhere. Certificates are checked against the system's trust store.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import aiohttp

from pilotage.clock import SECOND
from pilotage.errors import UpstreamError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.base import Call

ERROR_BODY_LIMIT = 64 << 10

# Closed by us before the servers that are known to close at five seconds: a request on a connection that its server is
# just closing would look like a fault of the release.
IDLE_SECONDS = 4

_STALE_AT_MOST = 2
"""Pooled connections that one request may find closed before it is sent on whatever comes next."""

_PASSED_ON = frozenset({400, 409, 413, 415, 422, 429})


async def _note_reuse(_: aiohttp.ClientSession, context: Any, __: aiohttp.TraceConnectionReuseconnParams) -> None:
    context.trace_request_ctx.append(True)


def open_session() -> aiohttp.ClientSession:
    """Return the session that every HTTP upstream of one process shares; needs a running loop."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(_note_reuse)
    connector = aiohttp.TCPConnector(
        limit=0, ssl=ssl.create_default_context(), keepalive_timeout=IDLE_SECONDS, ttl_dns_cache=10
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, trace_configs=[trace]
    )


class HttpAnswer:
    def __init__(self, response: aiohttp.ClientResponse, host: str) -> None:
        self._response = response
        self._host = host

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def content_type(self) -> str:
        return self._response.content_type

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError:
            raise _fault(self._host, "timeout", "the provider fell silent within its answer", status=504) from None
        except aiohttp.ClientError as fault:
            raise _fault(self._host, "broken", "the provider broke off its answer", fault) from None

    async def close(self) -> None:
        # A connection whose answer was read to its end is in the pool again already; closing it then does nothing.
        self._response.close()


class HttpUpstream:
    """One address. The silence that `first_byte_timeout` allows before the answer is also allowed within it."""

    def __init__(self, session: aiohttp.ClientSession, address: UpstreamAddress, *, api_key: str = "") -> None:
        self._session = session
        self._base_url = address.base_url.rstrip("/")
        self._host = self._base_url.partition("://")[2].partition("/")[0]
        self._headers = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "pilotage"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._timeout = aiohttp.ClientTimeout(
            total=address.total_timeout / SECOND,
            connect=address.connect_timeout / SECOND,
            sock_read=address.first_byte_timeout / SECOND,
        )

    async def send(self, call: Call) -> HttpAnswer:
        for _ in range(_STALE_AT_MOST):
            reused: list[bool] = []
            try:
                return await self._post(call, reused)
            except UpstreamError as fault:
                # A server may close an idle connection just as a request is sent on it: nobody has seen that request.
                if fault.kind != "broken" or not reused:
                    raise
        return await self._post(call, [])

    async def _post(self, call: Call, reused: list[bool]) -> HttpAnswer:
        accept = "text/event-stream" if call.stream else "application/json"
        try:
            response = await self._session.post(
                self._base_url + call.path,
                data=call.body,
                headers={**self._headers, "accept": accept, **call.headers},
                timeout=self._timeout,
                allow_redirects=False,
                trace_request_ctx=reused,
            )
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError, aiohttp.InvalidURL) as fault:
            raise _fault(self._host, "connect", "no connection to the provider", fault) from None
        except TimeoutError:
            raise _fault(self._host, "timeout", "the provider did not begin to answer in time", status=504) from None
        except aiohttp.ClientResponseError as fault:
            raise _fault(self._host, "protocol", "the provider did not answer in HTTP", fault) from None
        except aiohttp.ClientError as fault:
            raise _fault(self._host, "broken", "the provider closed the connection unanswered", fault) from None
        answer = HttpAnswer(response, self._host)
        if 200 <= response.status < 300:
            return answer
        try:
            raise await _refusal(answer, self._host)
        finally:
            await answer.close()

    async def close(self) -> None:
        """Do nothing: the session belongs to whoever opened it."""


async def _refusal(answer: HttpAnswer, host: str) -> UpstreamError:
    """Return the error for a status other than 2xx, with the provider's own words where it sent some."""
    body = bytearray()
    try:
        async for chunk in answer.chunks():
            body += chunk[: ERROR_BODY_LIMIT - len(body)]
            if len(body) >= ERROR_BODY_LIMIT:
                break
    except UpstreamError:
        pass  # the status is known; half of its explanation is better than none
    status = answer.status
    says = f"the provider answered HTTP {status}"
    if 300 <= status < 400:
        says += "; redirects are not followed"
    seen = status if status in _PASSED_ON else 503 if status in (503, 529) else 502
    return _fault(host, f"status:{status}", says, status=seen, body=bytes(body))


def _fault(
    host: str, kind: str, says: str, cause: Exception | None = None, *, status: int = 502, body: bytes = b""
) -> UpstreamError:
    """Return the error. Callers read the message, which names no address; the log reads the hint, which does.

    Of the cause only its kind is told: its own text may repeat headers.
    """
    fault = UpstreamError(kind, says, status=status, body=body)
    why = getattr(getattr(cause, "os_error", None), "strerror", None) or (type(cause).__name__ if cause else "")
    fault.hint = f"{host}: {why}" if why else host
    return fault
