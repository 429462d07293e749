"""A storm of faults is one event in the log."""

from __future__ import annotations

import asyncio

import pytest

from pilotage.upstream import complaints
from pilotage.upstream.complaints import Complaints


def test_a_storm_is_two_lines(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "EVERY", 0.05)

    async def storm() -> None:
        said = Complaints()
        for _ in range(1_000):
            said.say("support/assistant@1", "status:500", "the provider answered HTTP 500")
        said.say("support/assistant@1", "timeout", "silence")
        async with asyncio.timeout(20):
            while len(caplog.records) < 3:
                await asyncio.sleep(0.01)
        # Once it was quiet for as long, the next one is said at once again.
        async with asyncio.timeout(20):
            while said._more:
                await asyncio.sleep(0.01)
        said.say("support/assistant@1", "timeout", "silence again")

    asyncio.run(storm())
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "support/assistant@1 failed (status:500): the provider answered HTTP 500"
    assert lines[1] == "support/assistant@1 failed (timeout): silence"
    assert lines[2].startswith("support/assistant@1 failed (status:500) 999 more times within")
    assert lines[3].endswith("silence again")
    assert len(lines) == 4
