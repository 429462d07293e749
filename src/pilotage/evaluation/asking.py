"""Requests with tools, units and repeats, each answered once: what probes and counterfactuals are sent with."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec

from pilotage.errors import Denied, NotFound
from pilotage.evaluation.client import SHORT, TURNED_AWAY, GatewayClient, seconds
from pilotage.evaluation.collection import Collection, must_be_whole
from pilotage.evaluation.pace import Pace
from pilotage.evaluation.purse import FREE, Money, Purse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.evaluation.plan import Command

_AT_THE_DOOR = ("body_too_large", "too_deep", "too_long")
"""Codes by which the gateway turns away what is too much, whatever stands behind it; and each that names a filter."""


class Call(msgspec.Struct, frozen=True):
    """A tool call; `arguments` is the JSON as the model wrote it."""

    name: str
    arguments: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came back. `error` is empty where there is something to judge.

    That is an answer of the pinned release's own, or that the gateway turned the request away (`refused`: its code), which
    protects whoever stands behind it.
    """

    latency: float = 0.0
    status: int = 0
    text: str | None = None
    calls: tuple[Call, ...] = ()
    error: str = ""
    refused: str = ""
    finish_reason: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request: a chat completion's body without its model. `repeat` tells the same request from itself."""

    body: dict[str, Any]
    repeat: int = 0

    @property
    def key(self) -> str:
        """Return the digest of what is sent."""
        data = msgspec.json.encode([self.body, self.repeat], order="sorted")
        return hashlib.sha256(data).hexdigest()[:32]


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: str | dict[str, Any] | None = ""


class _ToolCall(msgspec.Struct):
    function: _Function = _Function()


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


class _Fault(msgspec.Struct):
    message: str = ""
    code: str | None = None


class _Error(msgspec.Struct):
    error: _Fault


_COMPLETION = msgspec.json.Decoder(_Completion)


class Asker(GatewayClient):
    """Sends whole chat bodies, pinned to a release, and reads tool calls out of the answers: at most so many at once, for no more
    than the money there is (`send` raises Spent).
    """

    def __init__(self, gateway: str, key: str, concurrency: int, money: Money | None = None) -> None:
        super().__init__(gateway, key, source="evaluation")
        self._pace = Pace(concurrency)
        self.purse, self._tariffs = money or (Purse(), {})

    async def raw(self, data: bytes) -> None:
        """Send bytes as they are, such as a body that is no JSON, and do not mind what comes back."""
        try:
            async with self._session.post(f"{self.gateway}/v1/chat/completions", data=data) as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError):
            return

    async def send(self, release: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Said:
        """Return what came back, asking again where there was no room; raise Denied or NotFound where it always is so."""
        said, _ = await self._pace.send(lambda: self._once(release, body, headers), _no_room)
        return said

    async def _once(self, release: str, body: dict[str, Any], headers: dict[str, str] | None) -> tuple[Said, float]:
        """Return what came back, and for how many seconds it wants to be left alone."""
        data = msgspec.json.encode({**body, "model": release})
        with self.purse.paying(self._tariffs.get(release, FREE), len(data)) as bill:
            said, wait = await self._posted(release, data, headers)
            bill.tokens = (0, 0) if said.status not in (0, 200) else (said.input_tokens, said.output_tokens)
        return said, wait

    async def _posted(self, release: str, data: bytes, headers: dict[str, str] | None) -> tuple[Said, float]:
        began = time.perf_counter()
        try:
            async with self._session.post(
                f"{self.gateway}/v1/chat/completions", data=data, headers=headers
            ) as response:
                raw = await response.read()
                status, given = response.status, response.headers
        except TimeoutError:
            return Said(latency=time.perf_counter() - began, error="no answer in time"), 0.0
        except aiohttp.ClientError as fault:
            error = f"no answer: {type(fault).__name__}: {fault}"[:SHORT]
            return Said(latency=time.perf_counter() - began, error=error), 0.0
        latency = time.perf_counter() - began
        if status != 200:
            return _turned_away(status, raw, latency, release), seconds(given.get("retry-after", ""))
        answered = given.get("x-pilotage-served", "") or given.get("x-pilotage-release", "")
        if answered and answered != release:
            why = given.get("x-pilotage-error", "")
            error = f"{f'its provider failed ({why}), and ' if why else ''}{answered} answered in its place"
            return Said(latency=latency, status=status, error=error), 0.0
        return _read(raw, latency), 0.0


class Panel(Collection[Said]):
    """The answers of one release to requests, by `Ask.key`. An answer that is there is not asked for again."""

    def __init__(self, command: Command, use_case: str, release: str) -> None:
        super().__init__(command, use_case, release, Said, "probes")
        self.release = release

    @property
    def said(self) -> dict[str, Said]:
        return self.found

    async def collect(
        self, client: Asker, asks: Sequence[Ask], concurrency: int, progress: Callable[[int, int], None]
    ) -> None:
        """Fill `said` for all requests; raise NotMeasured where the client's money does not suffice."""
        wanted = {ask.key: ask for ask in asks}
        await self.recall(wanted)
        todo = {
            key: partial(client.send, self.release, ask.body) for key, ask in wanted.items() if key not in self.found
        }
        await self.fill(todo, concurrency, progress)
        must_be_whole([self], client.purse)


def _no_room(answer: tuple[Said, float]) -> float | None:
    said, wait = answer
    return wait if said.status == TURNED_AWAY and not said.refused else None


def _read(raw: bytes, latency: float) -> Said:
    try:
        completion = _COMPLETION.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        return Said(latency=latency, status=200, error=f"the reply is no chat completion: {fault}")
    if not completion.choices:
        return Said(latency=latency, status=200, error="the reply holds no answer")
    choice = completion.choices[0]
    message = choice.message
    content = message.content
    text = content if isinstance(content, str | None) else "".join(part.text or "" for part in content)
    calls = tuple(Call(one.function.name, _as_text(one.function.arguments)) for one in message.tool_calls or ())
    text = text if text is not None else message.refusal
    reason = choice.finish_reason or ""
    refused = "content_filter" if reason == "content_filter" else ""
    if text is None and not calls and not refused:
        return Said(latency=latency, status=200, error="the reply holds no text and no call")
    return Said(
        latency=latency,
        status=200,
        text=text or "",
        calls=calls,
        refused=refused,
        finish_reason=reason,
        input_tokens=completion.usage.prompt_tokens if completion.usage else None,
        output_tokens=completion.usage.completion_tokens if completion.usage else None,
    )


def _as_text(arguments: str | dict[str, Any] | None) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments or {}).decode()


def _turned_away(status: int, raw: bytes, latency: float, release: str) -> Said:
    """Tell the gateway's own refusal of this request from a provider that did not answer."""
    try:
        fault = msgspec.json.decode(raw, type=_Error).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        fault = _Fault(raw[:SHORT].decode(errors="replace"))
    code = fault.code or ""
    said = f"{status}: {fault.message}"[:SHORT]
    if code in _AT_THE_DOOR or ("filter" in code and not code.startswith("upstream_")):
        return Said(latency=latency, status=status, refused=code)
    if status in (401, 403) and not code.startswith("upstream_"):
        raise Denied(
            f"the gateway refuses the key ({status}): {fault.message}",
            hint="a pinned release needs a key with the roles infer and operate: `pilotage keys create`",
        )
    if status == 404 and code == "model_not_found":
        raise NotFound(f"the gateway does not know {release}: {fault.message}", hint="is it serving this workspace?")
    return Said(latency=latency, status=status, error=said)
