"""Providers that fail for a while, are busy, or fall silent: what a release's own settings make of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from pilotage.spec.release import Release
from pilotage.spec.route import Limits, Money
from tests.integration.gateway_rig import Provider, Rig, release, search, until
from tests.integration.upstreams import completion


class Flaky:
    """Answers each path's requests with the statuses that were put down for it, and with 200 when none is left.

    The path `full` waits with that until `gate` is set.
    """

    def __init__(self) -> None:
        self.statuses: dict[str, list[int]] = {}
        self.requests: dict[str, int] = {}
        self.gate = threading.Event()
        flaky = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                name = self.path.split("/")[1]
                self.rfile.read(int(self.headers["content-length"]))
                flaky.requests[name] = flaky.requests.get(name, 0) + 1
                if name == "full":
                    flaky.gate.wait(60)
                left = flaky.statuses.get(name, [])
                status = left.pop(0) if left else 200
                body = completion("Well.") if status == 200 else json.dumps({"error": {"message": "no"}}).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                if status == 429:
                    self.send_header("retry-after", "100")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{name}/v1"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def flaky() -> Iterator[Flaky]:
    running = Flaky()
    yield running
    running.close()


def at(name: str, url: str, fallbacks: tuple[str, ...] = (), variant: str = "assistant", **address: int) -> Release:
    plain = release(name, url, variant, fallbacks=fallbacks)
    return msgspec.structs.replace(plain, upstream=msgspec.structs.replace(plain.upstream, **address))


@pytest.fixture(scope="module")
def rig(flaky: Flaky, provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))
    knowledge = rig.knowledge(parcels="# Parcels\n\nThree days.")
    for name in ("again", "later", "never"):
        rig.route(name, at(name, flaky.url(name), retries=2, retry_wait=100_000))
    words = search("breaks", knowledge)
    breaks: dict[str, Any] = {"breaker_failures": 3, "breaker_pause": 2_000_000}
    rig.route("breaks", at("breaks", flaky.url("breaks"), (words.reference,), **breaks), words)
    other = at("aside", flaky.url("aside"), variant="other", breaker_failures=3)
    rig.route("aside", at("aside", flaky.url("aside"), breaker_failures=3), other)
    rig.route("full", at("full", flaky.url("full"), max_concurrent=1, max_waiting=0))
    rig.route("silent", at("silent", provider.url("stall"), idle_timeout=200_000))
    prices: dict[str, Any] = {"input_price": 1_000_000, "output_price": 1_000_000_000}
    slow = msgspec.structs.replace(at("slow", provider.url("slow"), hedge_after=1_000_000), **prices)
    rig.route("slow", slow, money=Money(a_day=10**9), limits=Limits(max_tokens=100))
    rig.start()
    yield rig
    rig.close()


def figure(rig: Rig, name: str) -> int:
    text = rig.ask("GET", "/metrics", key=None).body.decode()
    return int(next(line.split()[-1] for line in text.splitlines() if line.startswith(f"{name} ")))


def test_a_provider_that_fails_for_a_moment_is_asked_again(rig: Rig, flaky: Flaky) -> None:
    before = figure(rig, "pilotage_upstream_retries_total")
    flaky.statuses["again"] = [503, 500]
    reply = rig.chat("again")
    assert (reply.status, flaky.requests["again"]) == (200, 3)
    _, finished = rig.record(reply)
    assert (finished.attempts, finished.error, finished.fallback) == (3, "", False)
    assert figure(rig, "pilotage_upstream_retries_total") == before + 2


def test_it_is_asked_so_often_and_no_more(rig: Rig, flaky: Flaky) -> None:
    flaky.statuses["never"] = [500] * 9
    reply = rig.chat("never")
    assert (reply.status, reply.error["code"]) == (502, "upstream_status_500")
    assert flaky.requests["never"] == 3
    flaky.statuses["never"] = [400, 400]
    assert rig.chat("never").status == 400
    assert flaky.requests["never"] == 4


def test_what_the_provider_says_of_later_reaches_the_caller(rig: Rig, flaky: Flaky) -> None:
    flaky.statuses["later"] = [429]
    reply = rig.chat("later")
    assert (reply.status, reply.headers["retry-after"], flaky.requests["later"]) == (429, "100", 1)


def test_a_release_that_fails_again_and_again_is_not_asked_until_it_answers(rig: Rig, flaky: Flaky) -> None:
    opened = figure(rig, "pilotage_breakers_opened_total")
    flaky.statuses["breaks"] = [500] * 3
    for _ in range(3):
        assert rig.chat("breaks").headers["x-pilotage-error"] == "status:500"
    reply = rig.chat("breaks")
    # Its fallback answers, and the fault is the release's own.
    assert (reply.status, reply.headers["x-pilotage-error"]) == (200, "open")
    assert rig.record(reply)[1].attempts == 1
    assert figure(rig, "pilotage_breakers_opened_total") == opened + 1
    assert flaky.requests["breaks"] == 3
    until(lambda: "x-pilotage-error" not in rig.chat("breaks").headers)
    assert figure(rig, "pilotage_breakers_open") == 0


def test_one_releases_failures_take_no_other_away(rig: Rig, flaky: Flaky) -> None:
    flaky.statuses["aside"] = [500] * 3
    for _ in range(3):
        rig.chat("aside")
    assert rig.chat("aside").error["code"] == "upstream_open"
    other = at("aside", flaky.url("aside"), variant="other", breaker_failures=3)
    assert rig.chat(other.reference, key=rig.operator).status == 200


def test_who_finds_no_room_hears_so_at_once(rig: Rig, flaky: Flaky) -> None:
    held: list[Any] = []
    holding = threading.Thread(target=lambda: held.append(rig.chat("full")))
    holding.start()
    until(lambda: figure(rig, "pilotage_upstream_calls") == 1)
    reply = rig.chat("full")
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "upstream_busy", "1")
    assert figure(rig, "pilotage_upstream_turned_away_total") == 1
    flaky.gate.set()
    holding.join()
    assert held[0].status == 200
    until(lambda: figure(rig, "pilotage_upstream_calls") == 0)


def test_silence_within_an_answer_has_a_bound_of_its_own(rig: Rig) -> None:
    reply = rig.chat("silent", stream=True)
    assert reply.events[-1]["error"]["code"] == "upstream_timeout"
    assert rig.record(reply)[1].error == "timeout"


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_stays_unanswered_is_sent_once_more_beside_itself(
    rig: Rig, provider: Provider, *, stream: bool
) -> None:
    before = [figure(rig, f"pilotage_upstream_hedges_{what}") for what in ("total", "won_total")]
    gone = provider.seen("slow")["gone"]
    for _ in range(20):
        assert rig.chat("slow").status == 200
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    reply = rig.chat("slow", "WAIT", **more)
    assert reply.status == 200
    _, finished = rig.record(reply)
    assert (finished.attempts, finished.error, finished.fallback) == (2, "", False)
    # Both are paid, and what the provider gave nobody an answer to is cancelled.
    assert finished.cost == finished.spent == 2 * (11 + 7 * 1_000)
    until(lambda: provider.seen("slow")["gone"] > gone)
    after = [figure(rig, f"pilotage_upstream_hedges_{what}") for what in ("total", "won_total")]
    assert all(now > was for now, was in zip(after, before, strict=True))
