"""The accounting of caps: whatever many workers do, and whichever of them die when, no cap is passed."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.clock import DAY, HOUR, SECOND
from pilotage.serving.purse import Allowance, Purse
from pilotage.spec.period import Kind, bounds, period


class Bank:
    """The store's side of it, as every backend must do it."""

    def __init__(self, cap: int) -> None:
        self.cap, self.taken = cap, 0

    def take(self, wanted: int, least: int) -> int:
        left = max(0, self.cap - self.taken)
        granted = max(0, min(wanted, max(left // 4, least) if least <= left else left // 4, left))
        self.taken += granted
        return granted


class Worker:
    def __init__(self) -> None:
        self.purse = Purse(usual=30)
        self.running: list[int] = []

    def renew(self, bank: Bank, *, dies: bool = False) -> None:
        wanted, least = self.purse.wanted(bank.cap)
        if wanted > 0:
            granted = bank.take(wanted, least)
            if not dies:
                self.purse.renewed(granted, bank.taken, bank.cap)
        elif wanted < 0:
            self.purse.returned(-wanted)
            if not dies:
                bank.taken += wanted


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "ask", "end", "renew", "renew", "die", "die renewing"]),
        st.integers(0, 3),
        st.integers(0, 120),
        st.integers(0, 100),
    ),
    max_size=200,
)


@settings(max_examples=300, deadline=None)
@given(STEPS, st.integers(0, 3_000))
def test_the_sum_never_passes_the_cap(steps: list[tuple[str, int, int, int]], cap: int) -> None:
    bank = Bank(cap)
    workers = [Worker() for _ in range(4)]
    spent = 0
    for step, number, amount, percent in steps:
        worker = workers[number]
        match step:
            case "ask":
                if worker.purse.hold(amount):
                    worker.running.append(amount)
            case "end" if worker.running:
                held = worker.running.pop(percent % len(worker.running))
                cost = held * percent // 100
                worker.purse.settle(held, cost)
                spent += cost
            case "renew":
                worker.renew(bank)
            case "die" | "die renewing":
                if step == "die renewing":
                    worker.renew(bank, dies=True)
                # The provider may well have done all that was asked of it.
                spent += sum(worker.running)
                workers[number] = Worker()
        under_way = sum(worker.purse.held for worker in workers)
        assert spent + under_way <= bank.taken <= cap
        assert all(worker.purse.free >= 0 for worker in workers)


def test_nearly_all_of_a_cap_is_spent() -> None:
    chance = Random(7)
    bank, workers, spent, refused = Bank(1_000_000), [Worker() for _ in range(4)], 0, 0
    for turn in range(40_000):
        worker = chance.choice(workers)
        if turn % 20 == 0:
            for one in workers:
                one.renew(bank)
        if worker.purse.hold(100):
            cost = chance.randrange(20, 90)
            worker.purse.settle(100, cost)
            spent += cost
        else:
            worker.renew(bank)
            refused += spent < 900_000
    assert 990_000 < spent <= 1_000_000
    assert refused < 20


def test_what_was_dearer_than_held_is_owed_out_of_the_next_share() -> None:
    purse = Purse()
    purse.renewed(100, 100, 1_000)
    assert purse.hold(100)
    purse.settle(100, 130)
    assert purse.free == -30
    assert not purse.hold(1)
    assert purse.wanted(1_000) == (1_000 + 30, 31)  # ten times the pace, and the debt


def test_a_share_that_nobody_needs_goes_back() -> None:
    purse = Purse()
    purse.renewed(1_000, 1_000, 4_000)
    assert purse.wanted(4_000) == (-980, 0)
    purse.returned(980)
    assert (purse.free, purse.taken, purse.wanted(4_000)) == (20, 20, (0, 0))


def test_what_was_refused_and_then_paid_does_not_make_it_dry() -> None:
    bank, purse = Bank(150), Purse(usual=100)
    wanted, least = purse.wanted(bank.cap)
    # Refused while its money is on the way, and asked again when that is there.
    assert not purse.hold(100)
    purse.renewed(bank.take(wanted, least), bank.taken, bank.cap)
    assert purse.hold(100)
    wanted, least = purse.wanted(bank.cap)
    purse.renewed(bank.take(wanted, least), bank.taken, bank.cap)
    assert bank.taken < bank.cap
    assert not purse.dry
    purse.settle(100, 40)
    while not purse.hold(100):
        assert not purse.dry
        wanted, least = purse.wanted(bank.cap)
        purse.renewed(bank.take(wanted, least), bank.taken, bank.cap)


def test_a_purse_is_dry_when_the_store_has_less_than_was_needed() -> None:
    purse = Purse()
    assert (purse.hold(50), purse.dry) == (False, False)
    assert purse.wanted(1_000)[1] == 50
    purse.renewed(20, 100, 1_000)
    assert (purse.dry, purse.low(1_000)) == (True, False)
    assert purse.hold(20)


def at(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp()) * SECOND  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("kind", "when", "name", "end"),
    [
        ("day", at(2026, 11, 23, 4), "2026-11-23", at(2026, 11, 24)),
        ("day", at(2026, 11, 24) - 1, "2026-11-23", at(2026, 11, 24)),
        ("day", at(2026, 11, 24), "2026-11-24", at(2026, 11, 25)),
        ("month", at(2026, 1, 31, 23), "2026-01", at(2026, 2, 1)),
        ("month", at(2028, 2, 29, 12), "2028-02", at(2028, 3, 1)),
        ("month", at(2026, 12, 1), "2026-12", at(2027, 1, 1)),
    ],
)
def test_periods_are_calendar_days_and_months_in_utc(kind: Kind, when: int, name: str, end: int) -> None:
    found = period(kind, when)
    assert (found.name, found.end) == (name, end)
    assert bounds(name) == (found.begin, end)
    assert found.begin <= when < found.end
    assert period(kind, end).number == found.number + 1


def test_the_next_period_has_its_share_before_it_begins() -> None:
    allowance = Allowance("support", "day", 1_000)
    noon = at(2026, 11, 23, 12)
    ((name, today),) = allowance.due(noon, HOUR)
    assert name == "2026-11-23"
    today.renewed(100, 100, 1_000)
    today.hold(60)
    late = at(2026, 11, 24) - HOUR
    (_, same), (name, tomorrow) = allowance.due(late, HOUR)
    assert (same, name) == (today, "2026-11-24")
    assert tomorrow.wanted(1_000) == (600, 0)
    tomorrow.renewed(250, 250, 1_000)
    assert allowance.purse(late + HOUR) is tomorrow
    assert allowance.purse(late + HOUR + DAY).free == 0
    today.settle(60, 10)
    assert today.free == 90
