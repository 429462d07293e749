"""What a gateway tells of itself: figures by the names that boards know."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.control_rig import ask, serving
from tests.integration.gateway_rig import Provider, Rig, release, until

LABELS = (
    'gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_original_model="{0}",'
    'gen_ai_request_model="real-model",gen_ai_response_model="{1}",pilotage_variant="assistant"'
)


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("signals"))
    rig.route("support", release("support", provider.url("ok")))
    rig.route("fails", release("fails", provider.url("status-500")))
    rig.start()
    yield rig
    rig.close()


def figures(address: str) -> dict[str, float]:
    """Every series of one scrape, by its name and labels."""
    shown = ask(address, "GET", "/metrics").body.decode()
    lines = [line.rsplit(" ", 1) for line in shown.splitlines() if not line.startswith("#")]
    assert len({name for name, _ in lines}) == len(lines)
    return {name: float(value) for name, value in lines}


def test_the_names_that_envoys_board_asks_for(rig: Rig) -> None:
    assert rig.chat("support").status == 200
    assert rig.chat("support", stream=True).status == 200
    assert rig.chat("fails").status == 502
    seen = figures(f"http://127.0.0.1:{rig.port}")
    answered = LABELS.format("support", "real-model-7")
    assert seen[f"gen_ai_server_request_duration_seconds_count{{{answered}}}"] == 2
    assert seen[f'gen_ai_client_token_usage_sum{{{answered},gen_ai_token_type="input"}}'] == 22
    assert seen[f'gen_ai_client_token_usage_sum{{{answered},gen_ai_token_type="output"}}'] == 14
    assert seen[f'gen_ai_client_token_usage_bucket{{{answered},gen_ai_token_type="input",le="4"}}'] == 0
    assert seen[f'gen_ai_client_token_usage_bucket{{{answered},gen_ai_token_type="input",le="16"}}'] == 2
    # Only streams have a first token of their own.
    assert seen[f"gen_ai_server_time_to_first_token_seconds_count{{{answered}}}"] == 1
    assert seen[f"gen_ai_server_time_per_output_token_seconds_count{{{answered}}}"] == 1
    failed = LABELS.format("fails", "unknown") + ',error_type="status:500"'
    assert seen[f"gen_ai_server_request_duration_seconds_count{{{failed}}}"] == 1
    overhead = 'pilotage_overhead_seconds_{}{{gen_ai_operation_name="chat"}}'
    assert seen[overhead.format("count")] == 2
    assert seen["pilotage_workers"] == 1


def test_any_worker_tells_of_all_and_forgets_nothing_when_one_dies(tmp_path: Path) -> None:
    with serving(tmp_path / "ws", workers=2) as server:
        series = 'pilotage_requests_total{path="/v1/models",status="401"}'
        until(lambda: figures(server.gateway).get("pilotage_workers") == 2)
        for number in range(1, 21):
            assert ask(server.gateway, "GET", "/v1/models").status == 401
            # The answer may be here before the worker has counted it.
            until(lambda: figures(server.gateway).get(series) == number)  # noqa: B023 (asked at once)
        killed = server.kill("pilotage.app.worker")
        until(lambda: (pids := server.pids("pilotage.app.worker")) and killed not in pids and len(pids) == 2)
        until(lambda: figures(server.gateway).get("pilotage_workers") == 2)
        assert figures(server.gateway)[series] == 20
