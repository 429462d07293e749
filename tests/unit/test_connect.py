"""From an address to its upstream: which key goes where, and what is said where there is none."""

from __future__ import annotations

from typing import cast

import pytest

from pilotage.app.connect import connect
from pilotage.clock import SystemClock
from pilotage.spec.release import UpstreamAddress
from pilotage.upstream.base import Upstream
from pilotage.upstream.tally import Tally

ADDRESS = UpstreamAddress(kind="openai", base_url="https://llm.example/v1", api_key_env="MY_API_KEY")


def key_of(environment: dict[str, str], address: UpstreamAddress = ADDRESS) -> str:
    asked: list[str] = []

    def transport(_: UpstreamAddress, key: str) -> Upstream:
        asked.append(key)
        return cast(Upstream, object())

    connect(transport, address, lambda name: environment.get(name, ""), SystemClock(), Tally())
    return asked[0]


def test_a_key_is_read_where_it_is_used() -> None:
    assert key_of({"MY_API_KEY": " sk-1\n"}) == "sk-1"


def test_a_key_that_is_not_there_is_told_of_with_its_variable(caplog: pytest.LogCaptureFixture) -> None:
    assert key_of({}) == ""
    assert [record.getMessage() for record in caplog.records] == [
        "MY_API_KEY is not set here: llm.example is asked without a key"
    ]
    caplog.clear()
    key_of({}, UpstreamAddress(kind="openai", base_url="http://127.0.0.1:8000/v1"))
    assert not caplog.records
