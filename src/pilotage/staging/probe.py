"""A small probe of a provider: a few real requests, where too little is recorded of how it behaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pilotage.errors import NotMeasured
from pilotage.evaluation.client import GatewayClient
from pilotage.evaluation.hint import hint
from pilotage.staging.behaviour import Behaviour, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

PROBES = 12
AT_ONCE = 3


async def probe(gateway: str, key: str, release: str, questions: Sequence[Sequence[dict[str, Any]]]) -> Behaviour:
    """Ask `PROBES` questions; raise NotMeasured where fewer than half are answered."""
    room = asyncio.Semaphore(AT_ONCE)
    async with GatewayClient(gateway, key, source="replay") as client:
        await client.check()

        async def ask(index: int) -> Any:
            async with room:
                return await client.ask(release, questions[index % len(questions)])

        replies = await asyncio.gather(*map(ask, range(PROBES)))
    good = [reply for reply in replies if not reply.error]
    if len(good) < PROBES / 2:
        first = next(reply.error for reply in replies if reply.error)
        raise NotMeasured(
            f"too little is known of {release}'s provider, and of {PROBES} requests to learn from {PROBES - len(good)}"
            f" failed, the first so: {first}",
            hint=hint(first),
        )
    samples = tuple(Sample(one.input_tokens or 1, one.output_tokens or 1, one.latency) for one in good)
    return Behaviour(samples=samples, errors={}, learned_from=len(replies))
