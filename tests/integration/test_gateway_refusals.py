"""What the gateway refuses, how it says so, and that nothing of it is recorded as an inference."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from pilotage.access import Role
from tests.integration.gateway_rig import Provider, Rig, release, until

HI = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def rig(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("refusals"))
    rig.route("support", release("support", provider.url("ok")))
    rig.route("other", release("other", provider.url("ok")))
    rig.route("empty", None)
    rig.route("ended", None, retired=True)
    rig.start()
    yield rig
    # It is the same process that refused everything, and it still works.
    assert rig.process is not None
    assert rig.process.poll() is None
    assert rig.chat("support").status == 200
    rig.close()
    assert "Traceback" not in rig.log.read_text()


def post(rig: Rig, body: object, **more: Any) -> Any:
    before = len(rig.events())
    reply = rig.ask("POST", "/v1/chat/completions", body, **more)
    assert len(rig.events()) == before
    assert "x-request-id" in reply.headers
    return reply


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        (b"not JSON", 400, None, "invalid_json"),
        (b"", 400, None, "invalid_json"),
        (b'{"model": "support", "messages": NaN}', 400, None, "invalid_json"),
        (b'{"model": "\xff"}', 400, None, "invalid_json"),
        (b"[" * 200 + b"]" * 200, 400, None, "too_deep"),
        (b"[" * 2_000_000, 400, None, "too_deep"),
        ([1, 2], 400, None, "invalid_request"),
        ({"messages": HI}, 400, "model", "invalid_type"),
        ({"model": 3, "messages": HI}, 400, "model", "invalid_type"),
        ({"model": "support"}, 400, "messages", "invalid_type"),
        ({"model": "support", "messages": []}, 400, "messages", "empty_messages"),
        ({"model": "support", "messages": [{"role": 2}]}, 400, "messages[0].role", "invalid_type"),
        ({"model": "support", "messages": HI, "stream": 1}, 400, "stream", "invalid_type"),
        ({"model": "support", "messages": HI, "user": {}}, 400, "user", "invalid_type"),
        ({"model": "support", "messages": HI, "user": "u" * 513}, 400, "x-pilotage-unit", "too_long"),
        ({"model": "nobody", "messages": HI}, 404, "model", "model_not_found"),
        ({"model": "support/assistant@000000000000", "messages": HI}, 404, "model", "model_not_found"),
        ({"model": "empty", "messages": HI}, 503, None, "no_live_release"),
        ({"model": "ended", "messages": HI}, 410, "model", "retired"),
    ],
)
def test_a_wrong_body(rig: Rig, body: object, status: int, param: str | None, code: str) -> None:
    reply = post(rig, body, key=rig.operator)
    assert (reply.status, reply.error["param"], reply.error["code"]) == (status, param, code)
    assert reply.headers["content-type"] == "application/json"


@pytest.mark.parametrize("size", [(4 << 20) + 1, 12 << 20])
def test_a_body_that_is_too_large(rig: Rig, size: int) -> None:
    padded = json.dumps({"model": "support", "messages": HI}).encode().ljust(size)
    reply = post(rig, padded)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")


def test_a_body_that_only_says_it_is_enormous_is_refused_unread(rig: Rig) -> None:
    with socket.create_connection(("127.0.0.1", rig.port), timeout=20) as raw:
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n"
        raw.sendall(f"{head}authorization: Bearer {rig.key}\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_a_chunked_body_is_counted_while_it_is_read(rig: Rig) -> None:
    with socket.create_connection(("127.0.0.1", rig.port), timeout=20) as raw:
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
        raw.sendall(f"{head}authorization: Bearer {rig.key}\r\n\r\n".encode())
        for _ in range(5):
            raw.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")
        raw.sendall(b"0\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


def test_the_largest_body_that_is_allowed(rig: Rig) -> None:
    padded = json.dumps({"model": "support", "messages": HI}).encode().ljust(4 << 20)
    assert rig.ask("POST", "/v1/chat/completions", padded).status == 200


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01 TLS?", b"GET /" + b"x" * 70_000, b"GET / HTTP/1.1\r\na: " + b"b" * 200_000]
)
def test_what_is_no_http_request_is_closed(rig: Rig, raw: bytes) -> None:
    with socket.create_connection(("127.0.0.1", rig.port), timeout=20) as connection:
        try:
            connection.sendall(raw)
            answer = connection.recv(100)
        except ConnectionError:
            answer = b""
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer nonsense", "Bearer plt_0123456789ab_wrong", "Bearer plt__"],
)
def test_a_key_that_is_none(rig: Rig, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    for path in ("/v1/chat/completions", "/v1/feedback"):
        reply = rig.ask("POST", path, {"model": "support", "messages": HI}, key=None, headers=headers)
        assert (reply.status, reply.error["code"], reply.error["type"]) == (
            401,
            "invalid_api_key",
            "authentication_error",
        )
    assert rig.ask("GET", "/v1/models", key=None, headers=headers).status == 401


def test_keys_that_may_not(rig: Rig, provider: Provider) -> None:
    pinned = release("support", provider.url("ok")).reference
    keys = {
        "feedback": rig.add_key(Role.FEEDBACK),
        "approve": rig.add_key(Role.APPROVE),
        "elsewhere": rig.add_key(Role.INFER, use_cases=("other",)),
        "expired": rig.add_key(Role.INFER, expires=1),
        "revoked": rig.add_key(Role.INFER, revoked=1),
    }
    until(lambda: rig.chat("other", key=keys["elsewhere"]).status == 200)
    for name, status in (("feedback", 403), ("approve", 403), ("elsewhere", 403), ("expired", 401), ("revoked", 401)):
        reply = rig.chat("support", key=keys[name])
        assert reply.status == status, name
        assert reply.error["code"] == ("permission_denied" if status == 403 else "invalid_api_key")
    # A pinned release takes the role operate.
    assert rig.chat(pinned, key=rig.key).status == 403
    assert rig.chat(pinned, key=rig.operator).status == 200
    admin = rig.add_key(Role.ADMIN)
    until(lambda: rig.chat(pinned, key=admin).status == 200)


def test_paths_and_methods(rig: Rig) -> None:
    assert rig.ask("GET", "/v1/unknown").error["code"] == "not_found"
    reply = rig.ask("GET", "/v1/chat/completions")
    assert (reply.status, reply.error["code"], reply.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert rig.ask("HEAD", "/healthz").status == 200


def test_the_openai_client_understands_the_refusals(rig: Rig) -> None:
    def ask(model: str, key: str) -> None:
        with openai.OpenAI(base_url=f"http://127.0.0.1:{rig.port}/v1", api_key=key, max_retries=0) as api:
            api.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}])

    with pytest.raises(openai.NotFoundError) as missing:
        ask("nobody", rig.key)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.AuthenticationError):
        ask("support", "plt_0_no")
    with pytest.raises(openai.InternalServerError) as nothing:
        ask("empty", rig.key)
    assert nothing.value.code == "no_live_release"
