"""A provider that takes its key in a header of its own, or asks for headers beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pilotage.spec.release import UpstreamAddress
    from pilotage.upstream.base import Answer, Call, Upstream

BEARER = "bearer"


class KeyedUpstream:
    """Adds an address's headers, and the key where it goes there, to every call."""

    def __init__(self, inner: Upstream, address: UpstreamAddress, api_key: str) -> None:
        self._inner = inner
        self._headers = dict(address.headers)
        if api_key:
            bearer = address.auth == BEARER
            self._headers["authorization" if bearer else address.auth] = f"Bearer {api_key}" if bearer else api_key

    async def send(self, call: Call) -> Answer:
        return await self._inner.send(msgspec.structs.replace(call, headers={**self._headers, **call.headers}))

    async def close(self) -> None:
        await self._inner.close()
