"""A customer-facing shop's side of the gateway: chat completions, whole or streamed, and feedback."""

from __future__ import annotations

from typing import Self

import aiohttp
import msgspec


class Answered(msgspec.Struct, frozen=True):
    """One answer as the customer got it, with what the gateway said about it in its headers."""

    text: str
    inference: str
    release: str


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    delta: _Message | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    error: msgspec.Raw = msgspec.Raw()


_COMPLETION = msgspec.json.Decoder(_Completion)


class Failed(Exception):
    """No good answer came; the message says why."""


class Shop:
    """Talks to the gateway with one key; used as an async context manager."""

    def __init__(self, gateway: str, key: str, use_case: str, *, patience: float = 120) -> None:
        self._gateway, self._use_case, self._patience = gateway, use_case, patience
        self._headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            timeout=aiohttp.ClientTimeout(total=self._patience),
            headers=self._headers,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, question: str, *, unit: str, key: str, stream: bool) -> Answered:
        """Return the answer; raise Failed where none came, or a stream broke off."""
        body = {"model": self._use_case, "messages": [{"role": "user", "content": question}], "stream": stream}
        headers = {"x-pilotage-unit": unit, "x-pilotage-key": key}
        url = f"{self._gateway}/v1/chat/completions"
        try:
            async with self._session.post(url, data=msgspec.json.encode(body), headers=headers) as response:
                raw = await response.read()
                if response.status != 200:
                    raise Failed(f"{response.status}: {raw[:300].decode(errors='replace')}")
                about = response.headers
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise Failed(f"{type(fault).__name__}: {fault}") from None
        try:
            text = _streamed(raw) if stream else _whole(raw)
        except msgspec.MsgspecError as fault:
            raise Failed(f"an answer that cannot be read: {fault}") from None
        return Answered(text, about.get("x-pilotage-inference", ""), about.get("x-pilotage-release", ""))

    async def tell(self, feedback: str, metric: str, value: bool, **about: str | float) -> None:
        """Post feedback; `about` holds `inference`, or `key` and `use_case`, and `at`. Raise Failed where refused."""
        body = {"id": feedback, "metric": metric, "value": value, **about}
        try:
            async with self._session.post(f"{self._gateway}/v1/feedback", data=msgspec.json.encode(body)) as response:
                raw = await response.read()
                if response.status != 202:
                    raise Failed(f"{response.status}: {raw[:300].decode(errors='replace')}")
        except (aiohttp.ClientError, TimeoutError) as fault:
            raise Failed(f"{type(fault).__name__}: {fault}") from None


def _whole(raw: bytes) -> str:
    message = _COMPLETION.decode(raw).choices[0].message
    return (message.content if message else None) or ""


def _streamed(raw: bytes) -> str:
    """Join a stream's tokens. One that ends without [DONE] broke off, however clean its end looks."""
    parts: list[str] = []
    done = False
    for line in raw.split(b"\n"):
        if line.startswith(b"data: "):
            if line[6:].strip() == b"[DONE]":
                done = True
                continue
            event = _COMPLETION.decode(line[6:])
            if event.error:
                raise Failed(f"the stream broke off: {bytes(event.error)[:300].decode(errors='replace')}")
            parts += [choice.delta.content for choice in event.choices if choice.delta and choice.delta.content]
    if not done:
        raise Failed("the stream ended without [DONE]")
    return "".join(parts)
