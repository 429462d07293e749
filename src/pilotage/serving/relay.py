"""What passes a streamed answer on, whatever it is a stream of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Relay(Protocol):
    """The answer of one release. `open` returns once it began; until then a fallback may take over.

    `last` turns true before the last bytes are yielded, when the outcome was recorded. Where it never does, the answer
    broke off in a way that its form has no words for, and the connection is closed before its end.
    """

    served: str
    error: str
    last: bool

    @property
    def cache(self) -> str:
        """Return `hit` or `miss` where answers are kept, else an empty string."""

    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    async def open(self) -> None:
        """Raise UpstreamError where no answer begins."""

    def events(self) -> AsyncIterator[bytes]:
        """Yield what goes out, within `async with`."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *_: object) -> None: ...
