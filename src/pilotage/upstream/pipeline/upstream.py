"""The upstream: a pipeline is given a chat request, and what it returns or yields becomes a completion or chunks of one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.clock import SECOND, Clock, new_id
from pilotage.errors import UpstreamError
from pilotage.upstream.pipeline.thread import Run, Thread
from pilotage.upstream.sse import DONE, event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.base import Call


class PipelineAnswer:
    """A pipeline yields text, or dicts with `content`, `usage` or `finish_reason`; a dict with `choices` is taken as it is."""

    status = 200

    def __init__(self, run: Run, first: Any, head: dict[str, Any], *, stream: bool, with_usage: bool) -> None:
        self._run = run
        self._first = first
        self._head = head
        self._stream = stream
        self._with_usage = with_usage
        self._usage: Any = None
        self._finish = "stop"
        self.content_type = "text/event-stream" if stream else "application/json"
        self.idle = self.end = 0.0

    async def chunks(self) -> AsyncIterator[bytes]:
        if self._stream:
            async for chunk in self._events():
                yield chunk
            return
        texts: list[str] = []
        async for piece in self._pieces():
            if isinstance(piece, dict) and "choices" in piece:
                yield _encoded({**self._head, "object": "chat.completion", **piece})
                return
            texts.append(self._text(piece))
        message = {"role": "assistant", "content": "".join(texts), "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        more = {} if self._usage is None else {"usage": self._usage}
        yield _encoded({**self._head, "object": "chat.completion", "choices": [choice], **more})

    async def close(self) -> None:
        self._run.leave()

    async def _events(self) -> AsyncIterator[bytes]:
        whole = False
        yield self._chunk({"role": "assistant", "content": ""})
        async for piece in self._pieces():
            if isinstance(piece, dict) and "choices" in piece:
                whole = True
                yield event(_encoded({**self._head, "object": "chat.completion.chunk", **piece}))
            elif text := self._text(piece):
                yield self._chunk({"content": text})
        last = b"" if whole else self._chunk({}, self._finish)
        if self._usage is not None and self._with_usage:
            counted = {**self._head, "object": "chat.completion.chunk", "choices": [], "usage": self._usage}
            last += event(_encoded(counted))
        yield last + event(DONE)

    async def _pieces(self) -> AsyncIterator[Any]:
        piece, self._first = self._first, None
        loop = asyncio.get_running_loop()
        while piece is not None:
            yield piece
            try:
                async with asyncio.timeout_at(min(loop.time() + self.idle, self.end)):
                    piece = await self._run.next()
            except TimeoutError:
                raise UpstreamError("timeout", "the pipeline fell silent within its answer", status=504) from None

    def _text(self, piece: Any) -> str:
        if isinstance(piece, str):
            return piece
        if not isinstance(piece, dict):
            kind = type(piece).__name__
            raise UpstreamError("pipeline", f"the pipeline of this release gave {kind}, which is neither text nor dict")
        self._usage = piece.get("usage", self._usage)
        self._finish = piece.get("finish_reason") or self._finish
        return str(piece.get("content") or "")

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event(_encoded({**self._head, "object": "chat.completion.chunk", "choices": [choice]}))


class PipelineUpstream:
    """One thread a pipeline: what one of them blocks, only its own requests wait for."""

    def __init__(self, function: Callable[[dict[str, Any]], Any], address: UpstreamAddress, clock: Clock) -> None:
        self._function = function
        self._name = address.function
        self._clock = clock
        self._first = address.first_byte_timeout / SECOND
        self._idle = (address.idle_timeout or address.first_byte_timeout) / SECOND
        self._total = address.total_timeout / SECOND
        self._thread = Thread(address.function)

    async def send(self, call: Call) -> PipelineAnswer:
        request: dict[str, Any] = msgspec.json.decode(call.body)
        end = asyncio.get_running_loop().time() + self._total
        run = Run(self._thread, self._function, request)
        try:
            async with asyncio.timeout(min(self._first, self._total)):
                first = await run.next()
        except TimeoutError:
            run.leave()
            raise UpstreamError("timeout", "the pipeline did not begin to answer in time", status=504) from None
        except BaseException:
            run.leave()
            raise
        head = {
            "id": f"chatcmpl-{new_id(self._clock)}",
            "created": self._clock.now() // SECOND,
            "model": request.get("model") or self._name,
        }
        options = request.get("stream_options") or {}
        answer = PipelineAnswer(run, first, head, stream=call.stream, with_usage=bool(options.get("include_usage")))
        answer.idle, answer.end = self._idle, end
        return answer

    async def close(self) -> None:
        self.stop()

    def stop(self) -> None:
        self._thread.stop()


def _encoded(value: dict[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError):
        raise UpstreamError("pipeline", "the pipeline of this release gave what JSON cannot carry") from None
