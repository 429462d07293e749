"""What a request is held to cost, and what it is settled with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pilotage.errors import RequestError, UpstreamError
from pilotage.serving import chat, embeddings, images, responses, speech
from pilotage.serving.grant import Bill, Grant
from pilotage.serving.purse import Purse
from pilotage.serving.request import Request
from pilotage.serving.tariff import Tariff, Worst, assignable, tariff
from pilotage.spec.price import Price
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Allocation, Route

FAQ = Release(use_case="shop", variant="faq", upstream=UpstreamAddress(kind="search"))


def model(name: str, price_in: int | None, price_out: int | None, **more: Any) -> Release:
    upstream = UpstreamAddress(kind="openai", base_url="http://p/v1")
    return Release(
        use_case="shop",
        variant=name,
        upstream=upstream,
        model="m",
        input_price=price_in,
        output_price=price_out,
        **more,
    )


CHEAP = model("cheap", 1_000_000, 2_000_000, prompt="é" * 50)
DEAR = model("dear", 3_000_000, 1_000_000, parameters={"max_tokens": 300, "n": 2}, fallbacks=(FAQ.reference,))
OLD = model("old", None, None)


def route(*releases: Release, **more: Any) -> Route:
    names = {release.reference: release for release in (*releases, FAQ)}
    return Route(use_case="shop", unit="user", live=releases[0].reference, releases=names, metrics={}, **more)


def ask(**more: Any) -> Request:
    return chat.parse(json.dumps({"model": "shop", "messages": [{"role": "user", "content": "hi"}], **more}).encode())


def of(*releases: Release) -> Tariff:
    return tariff(route(*releases), [release.reference for release in releases])


def test_all_sides_of_a_rollout_are_held_at_the_dearest() -> None:
    split = Allocation(
        rollout="r", baseline=CHEAP.reference, candidate=DEAR.reference, step=0, share=10_000, generation=1
    )
    both = route(CHEAP, DEAR, allocation=split)
    found = tariff(both, assignable(both))
    assert found == Tariff(Price(3_000_000, 2_000_000), prompt=100, longest=300, fixed=False, choices=2)
    assert found.worst(10, Worst(10)) == 50
    assert found.size(1_000) > 1_100
    assert assignable(route(DEAR)) == (DEAR.reference,)


def test_what_only_searches_costs_nothing() -> None:
    assert of(FAQ).worst(1 << 40, Worst(1 << 40)) == 0
    assert of(FAQ).free


def test_worst_is_rounded_up() -> None:
    assert Tariff(Price(1, 1)).worst(1, Worst()) == 1


def test_a_release_without_a_price_counts_at_the_dearest_of_its_use_case() -> None:
    found = tariff(route(OLD, CHEAP, DEAR), [OLD.reference])
    assert found.unpriced
    assert found.worst(1_000_000, Worst()) == 3_000_000
    listed = tariff(route(OLD, CHEAP, prices={OLD.reference: Price(7, 9)}), [OLD.reference])
    assert (listed.dearest, listed.unpriced) == (Price(7, 9), False)


@pytest.mark.parametrize(
    ("said", "answer", "sent"),
    [
        ({}, 50, 50),
        ({"max_tokens": None}, 50, 50),
        ({"max_tokens": 7}, 7, 7),
        ({"max_completion_tokens": 9, "max_tokens": 7}, 9, 7),
        ({"max_completion_tokens": 9}, 9, None),
        ({"n": 3}, 150, 50),
    ],
)
def test_an_answer_is_as_long_as_the_request_or_else_the_file_says(
    said: dict[str, Any], answer: int, sent: int | None
) -> None:
    request = ask(**said)
    assert of(CHEAP).answer(request, 50).tokens == answer
    assert request.body.get("max_tokens") == sent


def test_what_every_release_fixes_nobody_can_change() -> None:
    found = of(DEAR)
    assert found.fixed
    assert found.answer(ask(max_tokens=9_999), 50).tokens == 600


def test_other_surfaces_have_their_own_words() -> None:
    response = responses.parse(b'{"model": "shop", "input": "hi"}')
    assert of(CHEAP).answer(response, 50).tokens == response.body["max_output_tokens"] == 50
    vectors = embeddings.parse(b'{"model": "shop", "input": "hi"}')
    picture = images.parse(b'{"model": "shop", "prompt": "hi", "n": 2}')
    assert of(CHEAP).answer(vectors, 50) == Worst()
    assert of(CHEAP).answer(picture, 50) == Worst(tokens=2 * 8_192, pictures=2)
    spoken = speech.parse(b'{"model": "shop", "input": "Hello"}')
    assert of(CHEAP).answer(spoken, 50) == Worst(tokens=16_384, characters=5)
    assert {*vectors.body, *picture.body} == {"model", "input", "prompt", "n"}


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "9", [1]])
def test_what_is_no_number_of_tokens_is_refused(wrong: object) -> None:
    with pytest.raises(RequestError, match=r"max_tokens is .*; it must be a whole number"):
        of(CHEAP).answer(ask(max_tokens=wrong), 50)


def purse(given: int) -> Purse:
    made = Purse()
    made.renewed(given, given, 1_000_000)
    return made


def grant(*purses: Purse) -> Grant:
    return Grant(of(CHEAP), Worst(100), purses)


def test_what_was_held_is_settled_with_what_it_cost() -> None:
    day, month = purse(1_000), purse(5_000)
    made = grant(day, month)
    assert made.hold(500) is None
    assert (day.free, month.free) == (300, 4_300)
    made.sending(CHEAP, 400)
    made.settle(Bill(CHEAP.price, (40, 10)))
    assert (day.free, day.spent, day.held) == (940, 60, 0)
    assert (month.free, month.spent) == (4_940, 60)


def test_where_one_purse_lacks_it_nothing_is_held() -> None:
    day, month = purse(1_000), purse(600)
    assert grant(day, month).hold(500) is month
    assert (day.held, month.held) == (0, 0)


@pytest.mark.parametrize(
    ("kind", "spent"),
    [("timeout", 700), ("broken", 700), ("internal", 700), ("connect", 0), ("status:500", 0), ("busy", 0)],
)
def test_a_fault_costs_what_was_held_unless_nobody_bills_it(kind: str, spent: int) -> None:
    day = purse(10_000)
    made = grant(day)
    made.hold(600)
    made.sending(CHEAP, 500)
    made.missed(kind)
    made.settle(None)
    assert (day.spent, day.held) == (spent, 0)


def test_each_attempt_is_held_anew_and_a_search_costs_nothing() -> None:
    day = purse(1_500)
    made = grant(day)
    made.hold(500)
    made.sending(CHEAP, 500)
    made.missed("broken")
    made.sending(CHEAP, 500)
    assert day.held == 1_400
    made.missed("timeout")
    with pytest.raises(UpstreamError, match="does not suffice"):
        made.sending(CHEAP, 500)
    made.missed("budget")
    made.sending(FAQ, 500)
    made.settle(Bill(FAQ.price, (5, 5)))
    assert (day.spent, day.held) == (1_400, 0)


@pytest.mark.parametrize(
    ("first", "second", "spent"),
    [
        ((40, 10), (50, 20), 150),
        # Nobody counted the first, so it costs what was held for it; or the second, then that.
        (None, (50, 20), 590),
        ((40, 10), None, 860),
    ],
)
def test_an_answer_that_is_asked_for_again_is_paid_too(
    first: tuple[int, int] | None, second: tuple[int, int] | None, spent: int
) -> None:
    day = purse(10_000)
    made = grant(day)
    made.hold(300)
    made.sending(CHEAP, 300)
    made.repeating(Bill(CHEAP.price, first))
    made.sending(CHEAP, 600)
    assert made.settle(Bill(CHEAP.price, second)) == day.spent == spent
    assert day.held == 0


def test_an_answer_that_is_asked_for_again_in_vain_is_paid_once() -> None:
    day, minute = purse(1_000), Minute()
    made = Grant(of(CHEAP), Worst(100), (day,), (minute,))
    made.hold(300)
    made.sending(CHEAP, 300)
    made.repeating(Bill(CHEAP.price, (40, 10)))
    with pytest.raises(UpstreamError, match="does not suffice"):
        made.sending(CHEAP, 5_000)
    made.missed("budget")
    made.repeated_in_vain(Bill(CHEAP.price, (40, 10)))
    assert made.settle(Bill(CHEAP.price, (40, 10))) == day.spent == 60
    assert (day.held, minute.said) == (0, 50)


@pytest.mark.parametrize(
    ("usage", "spent"),
    [((40, 10), 120), (None, 1_000)],
)
def test_what_is_sent_twice_at_once_is_held_twice_and_paid_twice(usage: tuple[int, int] | None, spent: int) -> None:
    day = purse(1_000)
    made = grant(day)
    made.hold(300)
    made.sending(CHEAP, 300)
    assert made.hedging()
    assert day.held == 1_000
    assert made.settle(Bill(CHEAP.price, usage)) == day.spent == spent
    assert day.held == 0


def test_what_the_budget_does_not_suffice_for_is_not_sent_twice() -> None:
    day = purse(999)
    made = grant(day)
    made.hold(300)
    made.sending(CHEAP, 300)
    assert not made.hedging()
    assert made.settle(Bill(CHEAP.price, (40, 10))) == day.spent == 60
    assert Grant(of(CHEAP), Worst(100)).hedging()


def test_one_of_two_that_came_to_nothing_is_not_paid_and_two_that_broke_off_may_be() -> None:
    day = purse(10_000)
    made = grant(day)
    made.hold(300)
    made.sending(CHEAP, 300)
    made.hedging()
    made.unhedged()
    made.missed("broken")
    made.sending(CHEAP, 300)
    made.hedging()
    made.missed("timeout")
    made.sending(CHEAP, 300)
    made.hedging()
    made.repeating(Bill(CHEAP.price, (40, 10)))
    made.sending(CHEAP, 300)
    assert made.settle(Bill(CHEAP.price, (40, 10))) == day.spent == 500 + 2 * 500 + 2 * 60 + 60
    assert day.held == 0


class Minute:
    said = 0

    def correct(self, amount: int) -> None:
        self.said = amount


def test_an_answer_that_nobody_counted_costs_what_was_held() -> None:
    day = purse(1_000)
    made = grant(day)
    made.hold(500)
    made.sending(CHEAP, 300)
    made.settle(Bill(CHEAP.price))
    assert (day.spent, day.held) == (500, 0)


def test_pictures_and_characters_are_paid_by_the_piece() -> None:
    painter = model("painter", 0, 0, image_price=40_000, speech_price=15_000_000)
    found = of(painter)
    picture = images.parse(b'{"model": "shop", "prompt": "a cat", "n": 3}')
    spoken = speech.parse('{"model": "shop", "input": "Grüße"}'.encode())
    assert found.worst(500, found.answer(picture, 50)) == 3 * 40_000
    assert found.worst(500, found.answer(spoken, 50)) == 5 * 15
    day = purse(200_000)
    made = Grant(found, found.answer(picture, 50), (day,))
    made.hold(500)
    made.sending(painter, 500)
    # Two came of the three that were asked for; nobody counted tokens, and they cost nothing.
    assert made.settle(Bill(painter.price, None, pictures=2)) == day.spent == 80_000


def test_what_a_request_only_points_to_is_held_at_the_dearest() -> None:
    parts = [{"type": "text", "text": "what is this"}, {"type": "image_url", "image_url": {"url": "https://e/x.png"}}]
    request = ask(messages=[{"role": "user", "content": parts}])
    assert of(CHEAP).answer(request, 50) == Worst(tokens=50, unseen=50_000)


@pytest.mark.parametrize("said", [{"max_tokens": 10**30}, {"n": 10**30, "max_tokens": 10**30}])
def test_what_is_absurdly_much_stays_a_number_that_can_be_counted_with(said: dict[str, Any]) -> None:
    assert of(CHEAP).answer(ask(**said), 50).tokens == 1 << 40
