"""Budgets and limits of real workers that share one port: what they hold, what they refuse, and kill -9 under load."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pilotage.records import Finished, Started
from pilotage.spec.route import Limits, Money, Pace
from pilotage.store.base.handed_out import Handed
from tests.integration.gateway_rig import Provider, Reply, Rig, release, search, until

NOON = 1_790_078_400_000_000  # 2026-09-22, 12:00 UTC
COST = 11 + 7 * 1_000
"""Millionths of one answer of the provider's: 11 tokens in, 7 out."""
PRICES = {"input_price": 1_000_000, "output_price": 1_000_000_000}


class Crew(Rig):
    """Several workers on one port, each of which can be killed and comes back by its name."""

    names: tuple[str, ...] = ("w0",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        # A clock that stands at noon when the test begins: no test runs into another day.
        self.arguments = ("--clock", f"{time.time_ns() // 1000}:{NOON}:1")

    def start(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        for name in self.names:
            self.begin(name)
        until(lambda: self.ask("GET", "/readyz").status == 200)

    def begin(self, name: str) -> None:
        command = [sys.executable, "-m", "pilotage.app.worker", "--workspace", str(self.path), "--name", name]
        with self.log.open("ab") as log:
            self.workers[name] = subprocess.Popen(
                [*command, "--fd", str(self.listener.fileno()), *self.arguments],
                pass_fds=[self.listener.fileno()],
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def kill(self, name: str) -> None:
        self.workers[name].kill()
        self.workers[name].wait(20)

    def end(self) -> None:
        for worker in self.workers.values():
            worker.terminate()
        for worker in self.workers.values():
            worker.wait(40)

    def close(self) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                worker.terminate()
                worker.wait(40)
        self.listener.close()
        self.store.close()

    def cost(self) -> int:
        return sum(event.cost for event in self.events() if isinstance(event, Finished))

    def taken(self, account: str, period: str = "2026-09-22") -> int:
        with self.store.read() as tx:
            return tx.allowances.total(account, period)[0]


@pytest.fixture
def crew(tmp_path: Path) -> Iterator[Crew]:
    crew = Crew(tmp_path / "workspace")
    yield crew
    crew.close()


def shop(provider: Provider, behaviour: str = "ok", **more: Any) -> Any:
    return release("shop", provider.url(behaviour), **{**PRICES, **more})


def refused(reply: Reply) -> tuple[int, str, str]:
    return reply.status, reply.error["type"], reply.error["code"]


def test_a_day_is_served_up_to_its_cap_and_then_refused(crew: Crew, provider: Provider) -> None:
    cap = 12 * 11_000
    crew.route("shop", shop(provider), money=Money(a_day=cap), limits=Limits(max_tokens=10))
    crew.start()
    replies: list[Reply] = []
    while not replies or replies[-1].status == 200 or int(replies[-1].headers["retry-after"]) <= 1:
        replies.append(crew.chat("shop"))
        if replies[-1].status == 429:
            time.sleep(0.02)
        assert len(replies) < 500
    last = replies[-1]
    assert refused(last) == (429, "insufficient_quota", "budget_exceeded")
    assert 11 * 3600 < int(last.headers["retry-after"]) <= 12 * 3600
    assert last.headers["x-should-retry"] == "false"
    assert "the budget of 'shop' has left for 2026-09-22 (UTC) does not suffice" in last.error["message"]
    served = [reply for reply in replies if reply.status == 200]
    assert cap - 11_000 < len(served) * COST == crew.cost() <= cap
    assert crew.taken("shop/day") <= cap
    figures = crew.ask("GET", "/metrics").body.decode()
    assert 'pilotage_budget_cap{account="shop/day"} 0.132' in figures
    assert 'pilotage_budget_given_out{account="shop/day"} 0.1' in figures
    assert f"pilotage_limited_budget_total {len(replies) - len(served)}" in figures


def test_messages_is_told_in_its_own_shape(crew: Crew, provider: Provider) -> None:
    crew.route("shop", shop(provider), money=Money(a_day=1), limits=Limits(max_tokens=10))
    crew.start()
    body = {"model": "shop", "max_tokens": 10, "messages": [{"role": "user", "content": "Hello"}]}
    reply = crew.ask("POST", "/v1/messages", body)
    assert (reply.status, reply.json["error"]["type"]) == (429, "rate_limit_error")
    assert "may cost more than the budget" in reply.json["error"]["message"]


def test_beyond_the_budget_its_variant_answers_and_nobody_is_enrolled(crew: Crew, provider: Provider) -> None:
    faq = search("shop", crew.knowledge(parcels="# Parcels\n\nThree days."))
    live = shop(provider)
    crew.route("shop", live, faq, money=Money(a_month=25_000, beyond=faq.reference), limits=Limits(max_tokens=10))
    crew.start()
    replies: list[Reply] = []

    def served(reference: str) -> bool:
        replies.append(crew.chat("shop", headers={"x-pilotage-unit": "u"}))
        return replies[-1].headers["x-pilotage-release"] == reference

    until(lambda: served(live.reference))
    until(lambda: served(faq.reference))
    assert {reply.status for reply in replies} == {200}
    last = replies[-1]
    assert crew.taken("shop/month", "2026-09") <= 25_000
    assert "x-pilotage-error" not in last.headers
    started, finished = crew.record(last)
    assert (started.arm, started.rollout, started.release) == ("beyond", "", faq.reference)
    assert (finished.error, finished.fallback, finished.cost) == ("", False, 0)
    assert 0 < crew.cost() <= 25_000
    # What cannot search is refused, and so is who asked for one release.
    body = {"model": "shop", "input": "Hello"}
    assert crew.ask("POST", "/v1/embeddings", {**body, "input": "x" * 30_000}).status == 429
    assert crew.chat(live.reference, key=crew.operator).status == 429


def test_a_request_without_a_limit_gets_the_files_and_its_own_wins(crew: Crew, provider: Provider) -> None:
    crew.route("shop", shop(provider, "echo"), money=Money(a_day=10**9), limits=Limits(max_tokens=77))
    crew.start()

    def sent(**more: Any) -> Any:
        return json.loads(crew.chat("shop", **more).json["choices"][0]["message"]["content"])["body"]

    assert sent()["max_tokens"] == 77
    assert sent(max_tokens=5)["max_tokens"] == 5
    assert "max_tokens" not in sent(max_completion_tokens=6)
    for wrong in (0, -1, 1.5, "9", True):
        reply = crew.chat("shop", max_tokens=wrong)
        assert (reply.status, reply.error["param"]) == (400, "max_tokens")


def test_what_nobody_counted_costs_what_was_held(crew: Crew, provider: Provider) -> None:
    """A stream without figures, and a provider that falls silent, may have cost all that was asked for."""
    hangs = shop(provider, "hang", first_byte=100_000)
    down = release("shop", "http://127.0.0.1:1/v1", "down", **PRICES)
    crew.route("shop", hangs, down, money=Money(a_day=10**9), limits=Limits(max_tokens=100))
    crew.start()
    assert crew.chat("shop").status == 504

    def spent() -> int:
        return sum(event.spent for event in crew.events() if isinstance(event, Finished))

    assert 100_000 < spent() < 102_000
    before = spent()
    assert crew.chat(down.reference, key=crew.operator).status == 502
    assert spent() == before
    assert crew.cost() == 0


def test_a_worker_that_ends_gives_back_what_it_has_not_spent(crew: Crew, provider: Provider) -> None:
    crew.route("shop", shop(provider), money=Money(a_day=10**9, a_month=10**10), limits=Limits(max_tokens=10))
    crew.start()
    assert crew.chat("shop").status == 200
    assert crew.taken("shop/day") > COST
    crew.end()
    assert crew.taken("shop/day") == crew.taken("shop/month", "2026-09") == COST


@pytest.mark.parametrize("per", ["key", "unit"])
def test_requests_a_minute_hold_over_workers_and_their_death(crew: Crew, provider: Provider, per: str) -> None:
    crew.names = ("w0", "w1")
    crew.arguments = ("--clock", f"{time.time_ns() // 1000}:{NOON}:0.001")
    faq = search("shop", crew.knowledge(parcels="# Parcels\n\nThree days."))
    crew.route("shop", faq, limits=Limits(key=Pace(requests=20)) if per == "key" else Limits(unit=Pace(requests=20)))
    crew.start()
    # Until both have the other's table, each counts what it knows of.
    until(lambda: len(list(crew.workspace.run.glob("*.rates"))) == 2)
    until(lambda: crew.ask("GET", "/readyz").status == 200)
    time.sleep(0.5)
    statuses = [crew.chat("shop", headers={"x-pilotage-unit": "u1"}).status for _ in range(15)]
    for name in crew.names:
        crew.kill(name)
        crew.begin(name)
    until(lambda: crew.ask("GET", "/readyz").status == 200)
    replies = [crew.chat("shop", headers={"x-pilotage-unit": "u1"}) for _ in range(15)]
    assert [*statuses, *(reply.status for reply in replies)] == [200] * 20 + [429] * 10
    assert refused(replies[-1]) == (429, "requests", "rate_limit_exceeded")
    assert int(replies[-1].headers["retry-after"]) >= 1
    other = crew.chat("shop", headers={"x-pilotage-unit": "u2"})
    assert other.status == (429 if per == "key" else 200)
    assert crew.chat("shop", key=crew.operator).status == 200


def test_tokens_a_minute_are_settled_with_what_was_used(crew: Crew, provider: Provider) -> None:
    crew.arguments = ("--clock", f"{time.time_ns() // 1000}:{NOON}:0.001")
    crew.route("shop", release("shop", provider.url("ok")), limits=Limits(key=Pace(tokens=400), max_tokens=100))
    crew.start()
    statuses = [crew.chat("shop").status for _ in range(30)]
    served = statuses.count(200)
    # Each is supposed to take some 130 and takes 18.
    assert statuses == [200] * served + [429] * (30 - served)
    assert 400 - 150 < served * 18 <= 400
    assert refused(crew.chat("shop"))[1:] == ("tokens", "rate_limit_exceeded")


@pytest.mark.slow
def test_killed_under_load_the_workers_never_spend_more_than_the_cap(crew: Crew, provider: Provider) -> None:
    cap = 400 * 11_000
    crew.names = ("w0", "w1", "w2", "w3")
    crew.route("shop", shop(provider), money=Money(a_day=cap), limits=Limits(max_tokens=10))
    crew.start()
    ended = threading.Event()
    counts: dict[int, int] = {}

    def customer(number: int) -> None:
        while not ended.is_set():
            try:
                reply = crew.chat("shop", stream=number % 2 == 1)
            except (OSError, http.client.HTTPException):
                continue
            counts[reply.status] = counts.get(reply.status, 0) + 1
            if reply.status == 429 and int(reply.headers["retry-after"]) > 1:
                time.sleep(0.05)

    customers = [threading.Thread(target=customer, args=(number,)) for number in range(8)]
    for one in customers:
        one.start()
    chance = Random(3)
    for _ in range(8):
        time.sleep(0.4)
        name = chance.choice(crew.names)
        crew.kill(name)
        crew.begin(name)
    with contextlib.suppress(AssertionError):
        until(lambda: crew.taken("shop/day") >= cap - 12_000, seconds=30)
    time.sleep(0.5)
    ended.set()
    for one in customers:
        one.join()
    crew.end()
    events = crew.events()
    begun = [event for event in events if isinstance(event, Started)]
    finished = {event.id for event in events if isinstance(event, Finished)}
    # What began and did not end was under way in a worker that was killed; at most it cost what was held for it.
    lost = sum(event.id not in finished for event in begun)
    assert crew.cost() + lost * COST <= crew.taken("shop/day") <= cap
    # What killed workers had leased stays spent, so how much of it was used depends on when they died.
    assert crew.cost() > cap // 10
    assert counts[429] > 0
    with crew.store.write() as tx:
        assert tx.allowances.take("shop/day", "2026-09-22", "x", cap=cap, wanted=0, least=0) == Handed(
            0, crew.taken("shop/day")
        )
