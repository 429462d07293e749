"""A client of a gateway, as any other: what it measures is what users will meet."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import aiohttp
import msgspec

from pilotage.errors import Denied, NotFound, NotMeasured, PilotageError
from pilotage.evaluation.media.look import Media
from pilotage.evaluation.sources import sources_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

SHORT = 300
"""Characters of a reply or of an error that are shown."""
TURNED_AWAY = 429
PATIENCE = 120.0
"""Seconds that are waited for a whole reply."""
LARGEST = 192 << 20
"""Bytes of a reply that are read: more than the gateway lets pictures have."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back for one request. `latency` is in real seconds, from sending to the last byte.

    `error` is empty when the pinned release itself answered. `text` is None where there is no answer of its own to
    judge; `status` is 0 where no answer came at all. Tokens are None where the reply does not say. `retry_after` is how
    many seconds whoever was turned away is told to wait. `sources` are the names of what was retrieved, None where it does not say.
    Of pictures and sound, `media` is what came, `text` its description, `flags` what the provider's safety system says of it;
    `code` is a refusal's own. `pictures` and `characters` (that were read aloud) are what a price by the piece counts.
    """

    latency: float
    status: int = 0
    text: str | None = None
    error: str = ""
    release: str = ""
    finish_reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    retry_after: float = 0.0
    sources: tuple[tuple[str, ...], ...] | None = None
    media: tuple[Media, ...] = ()
    flags: tuple[str, ...] = ()
    pictures: int = 0
    characters: int = 0
    code: str = ""


class Came(NamedTuple):
    """What came back over the wire. `status` 0: nothing did, and `error` says why."""

    status: int
    headers: Mapping[str, str]
    raw: bytes
    latency: float
    error: str = ""


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    annotations: Any = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None
    citations: Any = None


_COMPLETION = msgspec.json.Decoder(_Completion)


class _Fault(msgspec.Struct):
    message: str = ""
    code: Any = None


class _Error(msgspec.Struct):
    error: _Fault


class GatewayClient:
    """Sends chat completions pinned to a release; used as an async context manager."""

    def __init__(
        self, gateway: str, key: str, *, source: Literal["evaluation", "replay", "watch"], timeout: float = PATIENCE
    ) -> None:
        self.gateway = gateway.rstrip("/").removesuffix("/v1")
        self._key, self._source, self._timeout = key, source, timeout

    async def __aenter__(self) -> Self:
        # No limit on connections here: a queue inside the client would hide the gateway's own.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            headers={
                "authorization": f"Bearer {self._key}",
                "content-type": "application/json",
                "x-pilotage-source": self._source,
            },
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def check(self) -> None:
        """Raise NotMeasured where no gateway answers."""
        try:
            async with self._session.get(f"{self.gateway}/healthz") as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise NotMeasured(
                f"no gateway answers at {self.gateway}: {fault or type(fault).__name__}",
                hint="start one with `pilotage serve`, or name the right address",
            ) from None
        if status != 200:
            raise NotMeasured(
                f"what answers at {self.gateway} is no healthy gateway: GET /healthz gives {status}",
                hint="look at what `pilotage serve` prints",
            )

    async def complete(
        self, release: str, messages: Sequence[dict[str, Any]], more: Mapping[str, Any]
    ) -> tuple[int, bytes]:
        """Return (status, body) of one request with more fields; the status is 0 where no answer came."""
        body = msgspec.json.encode({**more, "model": release, "messages": messages})
        try:
            async with self._session.post(f"{self.gateway}/v1/chat/completions", data=body) as response:
                return response.status, await response.read()
        except (TimeoutError, aiohttp.ClientError) as fault:
            return 0, f"no answer: {type(fault).__name__}".encode()

    async def ask(self, release: str, messages: Sequence[dict[str, Any]]) -> Reply:
        """Return the reply to one request, a failed one as a Reply with an error.

        Raise Denied or NotFound where the gateway refuses the key or does not know the release: so it will be for all.
        """
        body = msgspec.json.encode({"model": release, "messages": messages})
        came = await self.post("/v1/chat/completions", body)
        if came.error:
            return Reply(latency=came.latency, error=came.error)
        return reply_of(came.status, came.headers, came.raw, came.latency, release)

    async def post(self, path: str, body: bytes) -> Came:
        """Return what one request brought, whatever that is."""
        began = time.perf_counter()

        def passed() -> float:
            return time.perf_counter() - began

        try:
            async with self._session.post(f"{self.gateway}{path}", data=body) as response:
                raw = bytearray()
                async for piece in response.content.iter_any():
                    raw += piece
                    if len(raw) > LARGEST:
                        return Came(0, {}, b"", passed(), f"the reply is larger than {LARGEST >> 20} MiB")
                return Came(response.status, response.headers, bytes(raw), passed())
        except TimeoutError:
            return Came(0, {}, b"", passed(), "no answer in time")
        except aiohttp.ClientError as fault:
            return Came(0, {}, b"", passed(), f"no answer: {type(fault).__name__}: {fault}"[:SHORT])


def reply_of(status: int, headers: Mapping[str, str], raw: bytes, latency: float, release: str) -> Reply:
    """Return what a gateway's answer to a request for `release` says; raise Denied or NotFound as `GatewayClient.ask` does."""
    if status != 200:
        return refused(status, raw, latency, release, headers.get("retry-after", ""))
    return _read(raw, latency, *who_answered(headers, release))


def who_answered(headers: Mapping[str, str], release: str) -> tuple[str, str]:
    """Return the release that answered, and what is wrong with that: a fallback may have, and then the gateway names it apart."""
    answered = headers.get("x-pilotage-served", "") or headers.get("x-pilotage-release", "")
    if not answered or answered == release:
        return answered, ""
    failed = headers.get("x-pilotage-error", "")
    return answered, f"{f'its provider failed ({failed}), and ' if failed else ''}{answered} answered in its place"


def _read(raw: bytes, latency: float, answered: str, instead: str) -> Reply:
    try:
        completion = _COMPLETION.decode(raw)
    except msgspec.DecodeError as fault:
        return Reply(latency=latency, status=200, error=f"the reply is no chat completion: {fault}")
    usage = completion.usage or _Usage()
    choice = completion.choices[0] if completion.choices else _Choice(_Message())
    content = choice.message.content
    text = content if isinstance(content, str | None) else "".join(part.text or "" for part in content)
    error = "" if text is not None else "the reply holds no text"
    if instead:
        text, error = None, instead
    return Reply(
        latency=latency,
        status=200,
        text=text,
        error=error,
        release=answered,
        finish_reason=choice.finish_reason or "",
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        sources=sources_of(completion.citations, choice.message.annotations),
    )


def refused(status: int, raw: bytes, latency: float, release: str, retry_after: str) -> Reply:
    """Return what a refusal says; raise Denied or NotFound where it will be so for all."""
    try:
        fault = msgspec.json.decode(raw, type=_Error).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        fault = _Fault(raw[:SHORT].decode(errors="replace"))
    said = fault.message
    if status in (401, 403):
        raise Denied(
            f"the gateway refuses the key ({status}): {said}",
            hint="a pinned release needs a key with the roles infer and operate: `pilotage keys create`",
        )
    if status == 404:
        raise NotFound(f"the gateway does not know {release}: {said}", hint="is it serving this workspace?")
    wait = seconds(retry_after)
    code = fault.code[:80] if isinstance(fault.code, str) else ""
    return Reply(latency=latency, status=status, error=f"{status}: {said}"[:SHORT], retry_after=wait, code=code)


def seconds(retry_after: str) -> float:
    """Return the seconds that a `retry-after` names; 0 where it names none."""
    return float(retry_after) if retry_after.isdecimal() else 0.0


@asynccontextmanager
async def tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup whose first error of ours is raised as itself, for people do not read groups."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as faults:
        ours = next(_ours(faults), None)
        if ours is None:
            raise
        raise ours from None


def _ours(faults: BaseExceptionGroup[BaseException]) -> Iterator[PilotageError]:
    for fault in faults.exceptions:
        if isinstance(fault, PilotageError):
            yield fault
        elif isinstance(fault, BaseExceptionGroup):
            yield from _ours(fault)
