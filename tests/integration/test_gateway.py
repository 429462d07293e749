"""The gateway as its users meet it: the real `openai` client, a real worker process, a real provider process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from pilotage import access
from pilotage.access import Role
from pilotage.spec.release import Release
from tests.integration.gateway_rig import Provider, Rig, release, search, until

WORDS = "Parcels arrive in three days — usually."


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))
    knowledge = rig.knowledge(parcels="# Parcels\n\nA parcel arrives in three days.", refunds="# Refunds\n\nOne week.")
    priced: dict[str, Any] = {"input_price": 2_000_000, "output_price": 10_000_000}
    prompt = "You answer for {{ use_case }}. Question: {{ question }}"
    for name in ("support", "faq", "empty", "talk", "steady", "echo"):
        live: Release | None = release(name, provider.url("ok"), **priced)
        if name == "faq":
            live = search(name, knowledge)
        if name == "echo":
            live = release(name, provider.url("echo"), prompt=prompt, parameters={"temperature": 0.25})
        rig.route(name, None if name == "empty" else live, unit="conversation" if name == "talk" else "user")
    rig.start()
    yield rig
    rig.close()


def client(rig: Rig, key: str = "") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=key or rig.key, max_retries=0)


def test_the_openai_client_works_with_another_base_url(rig: Rig) -> None:
    with client(rig) as api:
        raw = api.chat.completions.with_raw_response.create(
            model="support", messages=[{"role": "user", "content": "When?"}], user="alice"
        )
        completion = raw.parse()
    assert completion.choices[0].message.content == WORDS
    assert completion.usage is not None
    assert completion.usage.total_tokens == 18
    # What Pilotage does not know passes through.
    assert completion.system_fingerprint == "unknown to Pilotage"
    assert raw.headers["x-pilotage-variant"] == "assistant"
    assert raw.headers["x-pilotage-release"].startswith("support/assistant@")
    use_case, inference, mac = raw.headers["x-pilotage-inference"].split(".")
    assert (use_case, len(inference), len(mac)) == ("support", 32, 16)
    started, finished = rig.record_of(inference)
    assert started.unit == access.keyed(rig.store.secret("unit"), "support", "alice")
    assert (started.arm, started.rollout, started.source, started.streamed) == ("live", "", "live", False)
    assert started.deadline > started.at
    assert (finished.served, finished.status, finished.error) == (started.release, 200, "")
    assert (finished.input_tokens, finished.output_tokens, finished.counted, finished.cost) == (11, 7, True, 92)
    assert (finished.finish_reason, finished.model) == ("stop", "real-model-7")
    assert 0 < finished.first_byte <= finished.duration


@pytest.mark.parametrize("asks", [False, True])
def test_the_openai_client_streams(rig: Rig, asks: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if asks else {}
    with client(rig) as api:
        stream = api.chat.completions.create(
            model="support", messages=[{"role": "user", "content": "When?"}], stream=True, **options
        )
        chunks = list(stream)
        inference = stream.response.headers["x-pilotage-inference"].split(".")[1]
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert said == WORDS
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([18] if asks else [])
    started, finished = rig.record_of(inference)
    assert started.streamed
    # Counted whether or not the caller asked.
    assert (finished.output_tokens, finished.counted, finished.finish_reason) == (7, True, "stop")


def test_a_stream_in_single_bytes_arrives_as_it_came(rig: Rig, provider: Provider) -> None:
    rig.route("pieces", release("pieces", provider.url("pieces")))
    until(lambda: rig.chat("pieces").status != 404)
    reply = rig.chat("pieces", stream=True)
    assert reply.body.startswith(b": warming up\r\n\r\n")
    assert b',\r\ndata: "choices"' in reply.body
    assert reply.body.endswith(b"data: [DONE]\r\n\r\n")
    assert b"total_tokens" not in reply.body
    assert rig.record(reply)[1].counted


def test_search_answers_without_a_model(rig: Rig) -> None:
    with client(rig) as api:
        whole = api.chat.completions.create(model="faq", messages=[{"role": "user", "content": "my parcels?"}])
        stream = api.chat.completions.create(
            model="faq", messages=[{"role": "user", "content": "my parcels?"}], stream=True
        )
        pieces = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert whole.choices[0].message.content == pieces == "Parcels\n\nA parcel arrives in three days."


def test_what_reaches_the_provider(rig: Rig, provider: Provider) -> None:
    rig.chat("echo", "Where?", user="bob", temperature=2, invented={"a": [1]}, headers={"x-pilotage-unit": "account-7"})
    facts = provider.seen("echo")
    assert facts["path"] == "/echo/v1/chat/completions"
    assert facts["body"] == {
        "model": "real-model",
        "temperature": 0.25,
        "invented": {"a": [1]},
        "user": access.keyed(rig.store.secret("unit"), "echo", "account-7"),
        "messages": [
            {"role": "system", "content": "You answer for echo. Question: Where?"},
            {"role": "user", "content": "Where?"},
        ],
    }
    # Neither the caller's key nor the unit leaves; no key was configured for this provider.
    assert "authorization" not in facts["headers"]
    assert not {name for name in facts["headers"] if name.startswith("x-pilotage")}


def test_the_unit_is_read_in_the_contracts_order(rig: Rig) -> None:
    def unit(model: str = "support", headers: dict[str, str] | None = None, **more: Any) -> str:
        return rig.record(rig.chat(model, headers=headers or {}, **more))[0].unit

    def digest(*parts: str) -> str:
        return access.keyed(rig.store.secret("unit"), *parts)

    assert unit(user="u", safety_identifier="s", headers={"x-pilotage-unit": "h"}) == digest("support", "h")
    assert unit(user="u", safety_identifier="s") == digest("support", "s")
    assert unit(user="ü") == unit(headers={"x-pilotage-unit": "ü".encode().decode("latin-1")})
    assert unit() == ""
    # Only conversations are told apart by how they begin.
    assert unit("talk", question="Hello, I am new") == unit("talk", question="Hello, I am new")
    assert unit("talk", question="Hello, I am new") != unit("talk", question="Something else") != ""


def test_a_business_key_is_recorded_as_a_digest(rig: Rig) -> None:
    started, _ = rig.record(rig.chat("support", headers={"x-pilotage-key": "order-1"}))
    assert started.key == access.keyed(rig.store.secret("unit"), "support", "key", "order-1")
    assert b"order-1" not in b"".join(path.read_bytes() for path in rig.workspace.spool.glob("*.spool"))


def test_a_rollout_splits_by_unit_and_records_the_exposure(rig: Rig, provider: Provider) -> None:
    baseline = release("steady", provider.url("ok"), "old")
    candidate = release("steady", provider.url("ok"), "new")
    rig.split("steady", baseline, candidate, 500_000, generation=3)
    until(lambda: rig.record(rig.chat("steady", user="anyone"))[0].rollout)
    arms = {}
    for number in range(40):
        reply = rig.chat("steady", user=f"user {number}")
        started, _ = rig.record(reply)
        arms[number] = started.arm
        assert (started.rollout, started.step, started.share, started.generation) == ("r1", 1, 500_000, 3)
        assert reply.headers["x-pilotage-variant"] == {"baseline": "old", "candidate": "new"}[started.arm]
    assert set(arms.values()) == {"baseline", "candidate"}
    assert all(rig.record(rig.chat("steady", user=f"user {n}"))[0].arm == arms[n] for n in range(5))
    # Not enrolled: nobody, and who pins a release.
    nobody, _ = rig.record(rig.chat("steady"))
    assert (nobody.arm, nobody.rollout, nobody.release) == ("live", "", baseline.reference)
    pinned, _ = rig.record(rig.chat(candidate.reference, user="user 1", key=rig.operator))
    assert (pinned.arm, pinned.rollout, pinned.release, pinned.use_case) == (
        "pinned",
        "",
        candidate.reference,
        "steady",
    )


def test_evaluations_say_so_and_only_pinned(rig: Rig, provider: Provider) -> None:
    reference = release("support", provider.url("ok"), input_price=2_000_000, output_price=10_000_000).reference
    headers = {"x-pilotage-source": "evaluation"}
    assert rig.record(rig.chat(reference, key=rig.operator, headers=headers))[0].source == "evaluation"
    assert rig.chat("support", key=rig.operator, headers=headers).status == 403
    assert rig.chat(reference, key=rig.operator, headers={"x-pilotage-source": "live"}).status == 403


def test_models_are_the_use_cases_of_the_key(rig: Rig) -> None:
    with client(rig) as api:
        assert {"support", "faq"} <= {model.id for model in api.models.list()}
        assert api.models.retrieve("faq").id == "faq"
    narrow = rig.add_key(Role.INFER, use_cases=("faq",))
    until(lambda: rig.ask("GET", "/v1/models", key=narrow).status == 200)
    assert [model["id"] for model in rig.ask("GET", "/v1/models", key=narrow).json["data"]] == ["faq"]
    assert rig.ask("GET", "/v1/models/support", key=narrow).status == 404


def test_a_key_that_is_revoked_stops_working_in_a_running_worker(rig: Rig) -> None:
    secret = rig.add_key(Role.INFER)
    until(lambda: rig.chat("support", key=secret).status == 200)
    with rig.store.write() as tx:
        found = tx.keys.get(access.key_id_of(secret))
        assert found is not None
        tx.keys.put(type(found)(**{name: getattr(found, name) for name in found.__struct_fields__} | {"revoked": 5}))
    until(lambda: rig.chat("support", key=secret).status == 401)


def test_health_readiness_and_figures(rig: Rig) -> None:
    assert rig.ask("GET", "/healthz", key=None).json == {"status": "ok"}
    assert rig.ask("GET", "/readyz", key=None).json == {"status": "ready", "faults": [], "lost": 0, "dropped": 0}
    before = rig.ask("GET", "/metrics", key=None).body.decode()
    rig.chat("nobody")
    after = rig.ask("GET", "/metrics", key=None).body.decode()

    def count(text: str) -> int:
        name = 'pilotage_requests_total{path="/v1/chat/completions",status="404"}'
        return next((int(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0)

    assert count(after) == count(before) + 1


def test_a_request_id_is_the_callers_or_a_new_one(rig: Rig) -> None:
    assert rig.chat("support", headers={"x-request-id": "trace-7"}).headers["x-request-id"] == "trace-7"
    assert len(rig.chat("support", headers={"x-request-id": 'odd "id"'}).headers["x-request-id"]) == 32


def test_keys_and_addresses_come_from_the_environment(provider: Provider, tmp_path: Path) -> None:
    rig = Rig(
        tmp_path / "workspace",
        environment={
            "OPENAI_BASE_URL": provider.url("echo") + "/",
            "OPENAI_API_KEY": "the-providers-key",
            "OTHER_API_KEY": "another",
            "HTTP_PROXY": "http://127.0.0.1:1",
            "http_proxy": "http://127.0.0.1:1",
        },
    )
    default = release("default", "")
    address = type(default.upstream)(kind="openai", base_url=provider.url("echo"), api_key_env="OTHER_API_KEY")
    rig.route("default", default)
    rig.route("named", Release(use_case="named", variant="a", upstream=address, model="m"))
    rig.start()
    try:
        for model, key in (("default", "the-providers-key"), ("named", "another")):
            # A proxy named in the environment is not used: the call arrives.
            assert rig.chat(model).status == 200
            assert provider.seen("echo")["headers"]["authorization"] == f"Bearer {key}"
    finally:
        rig.close()
    log = rig.log.read_text()
    assert "the-providers-key" not in log
    assert rig.key not in log
