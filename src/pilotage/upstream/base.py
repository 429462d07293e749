"""What the serving path asks of a provider, whoever speaks behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pilotage.spec.release import Release
    from pilotage.upstream.tally import Tally


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a provider. `body` is JSON in the provider's protocol; `path` such as `/chat/completions`.

    One that does not wait is turned away where the provider is asked by as many as may.
    """

    path: str
    body: bytes
    stream: bool = False
    headers: dict[str, str] = {}
    waits: bool = True


class Answer(Protocol):
    """A provider's answer whose status was 2xx. Errors are raised as UpstreamError by `Upstream.send`."""

    @property
    def status(self) -> int: ...
    @property
    def content_type(self) -> str: ...
    def chunks(self) -> AsyncIterator[bytes]:
        """Yield bytes as they arrive, never held back; raise UpstreamError where the connection breaks."""

    async def close(self) -> None:
        """Give the connection back, or cancel the call where the answer is not read to its end."""


class Upstream(Protocol):
    """A provider. One instance serves many releases at one address."""

    async def send(self, call: Call) -> Answer:
        """Send and return when the status line is there; raise UpstreamError for anything but 2xx."""

    async def close(self) -> None: ...


class Unfound(Exception):
    """Why nobody can look for names, in words."""


class Names(Protocol):
    """Who finds names in texts."""

    async def of(self, model: str, texts: Sequence[str], *, seconds: float) -> list[str]:
        """Return the names in these texts; raise Unfound where nobody can tell, TimeoutError where it takes too long."""


class Upstreams(Protocol):
    """Makes and keeps the upstream of a release; made in `app`, where adapters are named."""

    tally: Tally

    @property
    def names(self) -> Names: ...

    def of(self, release: Release) -> Upstream: ...
    def retain(self, releases: Mapping[str, Release]) -> None:
        """Forget upstreams that none of these releases needs."""

    async def close(self) -> None: ...
