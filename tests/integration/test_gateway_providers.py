"""Providers that differ: what really goes out to them, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pilotage.spec import snapshot
from pilotage.spec.folder import FILE, Folder
from pilotage.spec.load import load
from tests.integration.gateway_rig import Provider, Rig

VARIANT = '[variants.assistant]\nupstream = "mine"\nmodel = "real-model"\nparameters = { max_tokens = 9 }\n'
PROVIDERS = ("openai", "azure", "mistral", "bedrock")


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"), environment={"THEIR_API_KEY": "their-key"})
    for name in PROVIDERS:
        upstream = f'[upstreams.mine]\nprovider = "{name}"\nbase_url = "{provider.url("echo")}"\n'
        head = f'name = "{name}"\nowner = "Jane"\n'
        folder = Folder({FILE: f'{head}{upstream}api_key_env = "THEIR_API_KEY"\n{VARIANT}'.encode()})
        rig.route(name, *snapshot.releases(load(folder), folder))
    rig.start()
    yield rig
    rig.close()


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_key_goes_where_the_provider_takes_it(rig: Rig, provider: Provider, name: str) -> None:
    assert rig.chat(name).status == 200
    headers = provider.seen("echo")["headers"]
    if name == "azure":
        assert headers["api-key"] == "their-key"
        assert "authorization" not in headers
    else:
        assert headers["authorization"] == "Bearer their-key"


def test_a_fixed_bound_wins_by_whatever_name_it_goes(rig: Rig, provider: Provider) -> None:
    for name, there in (("openai", "max_completion_tokens"), ("mistral", "max_tokens"), ("bedrock", "max_tokens")):
        for asked in ("max_tokens", "max_completion_tokens"):
            bound: Any = {asked: 4_000}
            rig.chat(name, **bound)
            body = provider.seen("echo")["body"]
            assert {key: value for key, value in body.items() if key.startswith("max_")} == {there: 9}


def test_a_stream_is_counted_whether_or_not_it_can_be_asked_to_be(rig: Rig, provider: Provider) -> None:
    for name in ("openai", "mistral"):
        reply = rig.chat(name, stream=True, user="alice", seed=3)
        assert reply.events[-1] == "[DONE]"
        body = provider.seen("echo")["body"]
        if name == "openai":
            assert body["stream_options"] == {"include_usage": True}
            assert (body["max_completion_tokens"], body["seed"]) == (9, 3)
        else:
            assert not {"stream_options", "user", "seed", "max_completion_tokens"} & set(body)
            assert (body["max_tokens"], body["random_seed"]) == (9, 3)
