from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from pilotage.errors import FaultyFile
from pilotage.planning.cheaper import cheaper
from pilotage.planning.outlook import outlook
from pilotage.planning.proof import Proof, proofs
from pilotage.planning.ramp import compared, stops, traffic_of
from pilotage.planning.supposed import Unplannable, beta_hats, supposed
from pilotage.planning.whole import provable, whole
from pilotage.planning.worth import worths
from pilotage.spec.folder import Folder
from pilotage.spec.load import load
from pilotage.spec.metric import Goal, Guardrail
from pilotage.spec.use_case import UseCase

ROOT = Path(__file__).parents[2]
FILE = """
name = "help"
owner = "Ada Writer"
status_quo = "before"
candidate = "after"

[traffic]
new_units_a_day = 1000
requests_a_unit = 2

[goals.resolved]
today = 0.5
target = 0.6
minimum_effect = 0.05
matures_after = "1h"
worth = 2.0

[guardrails.complained]
direction = "down"
today = 0.1
margin = 0.03
matures_after = "6h"

[budget]
a_request = 0.01

[variants.before]
upstream = "openai"
model = "small"

[variants.after]
upstream = "openai"
model = "large"
"""


def use_case(text: str = FILE) -> UseCase:
    return load(Folder({"usecase.toml": text.encode()}))


def changed(*pairs: tuple[str, str]) -> UseCase:
    text = FILE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return use_case(text)


def by_name(found: tuple[Proof, ...]) -> dict[str, Proof]:
    return {one.name: one for one in found}


class TestWhatIsSupposed:
    def test_a_declared_rate_is_taken_as_it_is(self) -> None:
        assert supposed(Goal(today=0.46)).today == 0.46
        assert supposed(Goal(today=0.46)).assumed == ()

    def test_an_unknown_rate_is_one_half_the_worst_case(self) -> None:
        found = supposed(Goal())
        assert found.today == 0.5
        assert "worst case" in found.assumed[0]

    def test_what_the_gateway_sees_hardly_ever_happens(self) -> None:
        found = supposed(Guardrail(source="errors", direction="down", margin=0.02))
        assert found.today == pytest.approx(0.002)
        assert "0.2 % is assumed" in found.assumed[0]

    def test_ratings_spread_over_a_quarter_of_their_range(self) -> None:
        found = supposed(Goal(kind="rating", low=1, high=5, today=3, silence=3))
        assert found.deviation() == pytest.approx(1.0, rel=0.02)
        assert "a quarter of its range" in found.assumed[0]
        near = supposed(Goal(kind="rating", low=1, high=5, today=4.6, silence=3))
        assert near.deviation() == pytest.approx(math.sqrt(3.6 * 0.4) / 2, rel=0.03)

    def test_the_supposed_law_has_the_mean_it_should(self) -> None:
        edges = tuple(x / 10 for x in range(11))
        for mean in (0.02, 0.5, 0.93):
            hats = beta_hats(edges, mean)
            assert sum(hats) == pytest.approx(1)
            assert sum(x * y for x, y in zip(edges, hats, strict=True)) == pytest.approx(mean, abs=1e-6)
        law = supposed(Guardrail(kind="duration", direction="down", high=60, today=2, margin=1)).law(1.0)
        assert law.means == pytest.approx((2, 3), abs=1e-3)

    def test_without_a_bound_todays_level_says_how_wide_values_are(self) -> None:
        found = supposed(Goal(kind="money", today=20))
        assert found.deviation() == pytest.approx(20, rel=0.15)
        with pytest.raises(Unplannable, match="cap"):
            supposed(Goal(kind="money"))

    def test_an_effect_beyond_the_scale_is_refused(self) -> None:
        with pytest.raises(Unplannable, match="beyond 0 to 1"):
            supposed(Goal(today=0.9)).law(0.2)


class TestTheRamp:
    def test_steps_last_until_their_units_have_matured(self) -> None:
        road = stops(use_case())
        # 50 candidate users of 1,000 a day at 1 %, and the six hours of the slowest guardrail.
        assert road[0].days == pytest.approx(5 + 0.25, rel=1e-3)
        assert road[1].days == pytest.approx(1 + 0.25, rel=1e-3)
        assert [stop.proves for stop in road] == [False, False, False, True]

    def test_a_hold_may_last_longer(self) -> None:
        held = changed(
            (
                "[variants.before]",
                '[rollout]\nsteps = [{ share = 10, demands = ["hold 7d"] }, { share = 50, demands = ["prove"] }]\n[variants.before]',
            )
        )
        first = stops(held)[0]
        assert (first.days, first.why) == (7.0, "hold 7d")

    def test_everybody_who_returns_is_new_once(self) -> None:
        crowd = changed(("new_units_a_day = 1000", "new_units_a_day = 1000\nreturning = 0.5\nregulars = 20000"))
        curve = traffic_of(crowd)
        assert curve is not None
        assert curve.new_units(0.01) == pytest.approx(20, rel=0.01)
        assert curve.new_units(400) - curve.new_units(399) == pytest.approx(1000, rel=0.01)
        assert (stops(crowd)[0].days or 9) < (stops(use_case())[0].days or 0)

    def test_one_candidate_has_the_share_as_it_stands(self) -> None:
        step = compared(use_case(), 0.25)
        assert (step.share, step.part) == (0.25, 1.0)


class TestProofs:
    def test_goals_and_guardrails_are_planned(self) -> None:
        found = by_name(proofs(use_case()))
        assert list(found) == ["resolved", "complained", "errors", "fallbacks"]
        goal = found["resolved"]
        assert goal.claims == "higher (planned for 5.0 points)"
        assert [at.share for at in goal.steps] == [0.01, 0.05, 0.25, 0.5]
        assert goal.steps[3].variance == pytest.approx(0.25 / 0.5 + 0.55 * 0.45 / 0.5)
        assert goal.ramp_mean is not None
        assert goal.ramp_likely is not None
        assert goal.ramp_likely.days is not None
        assert goal.ramp_mean.units < goal.ramp_likely.units
        assert goal.harm == ()
        # A step takes less of the time the more it shows.
        days = [at.likely.days or 0 for at in goal.steps if at.likely]
        assert days == sorted(days, reverse=True)

    def test_harm_is_stopped_the_sooner_the_larger_the_share(self) -> None:
        guard = by_name(proofs(use_case()))["complained"]
        assert guard.harm_at_text == "16 %"
        means = [at.mean for at in guard.harm]
        assert all(means)
        days = [one.days or 0 for one in means if one]
        assert days == sorted(days, reverse=True)
        exposed = [one.candidate_units for one in means if one]
        assert exposed == sorted(exposed)

    def test_maturity_comes_on_top(self) -> None:
        soon = by_name(proofs(use_case()))["resolved"].steps[3].likely
        late = by_name(proofs(changed(('matures_after = "1h"', 'matures_after = "49h"'))))["resolved"].steps[3].likely
        assert soon is not None
        assert late is not None
        assert (late.days or 0) - (soon.days or 0) == pytest.approx(2, abs=0.02)

    def test_the_whole_takes_longer_than_any_part(self) -> None:
        spec = use_case()
        found = proofs(spec)
        ended = whole(spec, found)
        assert ended is not None
        assert ended.likely is not None
        assert ended.likely.days is not None
        for one in found:
            assert one.ramp_likely is not None
            assert one.ramp_likely.days is not None
            assert ended.likely.days >= one.ramp_likely.days

    def test_without_traffic_units_are_told_and_no_days(self) -> None:
        spec = changed(("[traffic]\nnew_units_a_day = 1000\nrequests_a_unit = 2\n", ""))
        found = outlook(spec)
        known = by_name(found.proofs)["resolved"].steps[3].likely
        assert known is not None
        assert known.days is None
        with_traffic = by_name(proofs(use_case()))["resolved"].steps[3].likely
        assert with_traffic is not None
        assert known.units == pytest.approx(with_traffic.units - 1000 / 24, rel=0.02)
        assert any("No traffic" in note for note in found.notes)
        assert found.provable == ()

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("today = 0.5\ntarget = 0.6", "today = 0.96\ntarget = 0.99", "beyond 0 to 1"),
            ('status_quo = "before"', "", "nothing serves today"),
        ],
    )
    def test_what_cannot_be_planned_says_why(self, old: str, new: str, says: str) -> None:
        text = FILE.replace(old, new)
        if "status_quo" in old:
            text = text.replace("today = 0.5\n", "")
        assert any(says in one.cannot for one in proofs(use_case(text)))

    def test_a_ten_line_file_has_a_plan(self) -> None:
        found = outlook(use_case('name = "a"\nowner = "b"\n[variants.c]\nupstream = "openai"\nmodel = "m"\n'))
        assert [one.name for one in found.proofs] == ["errors", "fallbacks"]
        assert len(found.notes) == 3

    def test_a_ramp_without_proof_ends_by_itself(self) -> None:
        spec = changed(("[variants.before]", "[rollout]\nsteps = [{ share = 10 }, { share = 50 }]\n[variants.before]"))
        found = outlook(spec)
        assert by_name(found.proofs)["resolved"].course is None
        assert found.whole is not None
        assert found.whole.mean is not None
        assert found.whole.mean.days == pytest.approx(sum(stop.days or 0 for stop in found.ramp))
        assert any("No step demands" in note for note in found.notes)


class TestWhatTrafficCanShow:
    def test_thirty_days_prove_what_they_say(self) -> None:
        spec = use_case()
        size = provable(spec, spec.goals["resolved"], 30)
        assert size is not None
        goal = spec.goals["resolved"].model_copy(update={"minimum_effect": size})
        again = by_name(proofs(spec.model_copy(update={"goals": {"resolved": goal}})))["resolved"]
        assert again.ramp_likely is not None
        assert again.ramp_likely.days == pytest.approx(30, rel=0.03)

    def test_longer_shows_less(self) -> None:
        for one in outlook(use_case()).provable:
            month, quarter = one.smallest
            assert month is None or quarter is not None
            if month and quarter:
                assert quarter < month


class TestWorth:
    def test_what_a_goal_brings_beside_what_serving_costs(self) -> None:
        (found,) = worths(use_case())
        assert found.effect == pytest.approx(0.1)
        assert found.brings == pytest.approx(200)
        assert found.costs == pytest.approx(20)
        assert found.break_even_effect == pytest.approx(0.01)
        assert found.worth_doing is True

    def test_what_does_not_pay_is_said_plainly(self) -> None:
        (found,) = worths(changed(("a_request = 0.01", "a_request = 0.5")))
        assert found.worth_doing is False
        assert "NOT WORTH DOING" in found.says

    def test_a_monthly_budget_asks_for_users(self) -> None:
        prices = [
            (f'model = "{name}"', f'model = "{name}"\nprice = {{ input = 1, output = 2 }}')
            for name in ("small", "large")
        ]
        (found,) = worths(changed(("a_request = 0.01", "a_month = 30000"), *prices))
        assert found.break_even_units == pytest.approx(5000)
        assert found.worth_doing is False

    def test_unknown_costs_are_not_made_up(self) -> None:
        (found,) = worths(changed(("[budget]\na_request = 0.01\n", "")))
        assert found.worth_doing is None
        assert "not in the file" in found.says


class TestCheaper:
    def test_what_saves_a_third_is_offered_and_true(self) -> None:
        spec = changed(("new_units_a_day = 1000", "new_units_a_day = 200"))
        found = proofs(spec)
        now = whole(spec, found)
        assert now is not None
        assert now.likely is not None
        assert now.likely.days is not None
        offers = cheaper(spec, found)
        assert offers
        for offer in offers:
            assert offer.saves >= now.likely.days / 3
            assert offer.days + offer.saves == pytest.approx(now.likely.days)
        first = next(offer for offer in offers if "leave out the step at 1 %" in offer.change)
        steps = spec.rollout.steps[1:]
        short = spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"steps": steps})})
        after = whole(short, proofs(short))
        assert after is not None
        assert after.likely is not None
        assert after.likely.days == pytest.approx(first.days)

    def test_a_rate_of_slow_answers_is_cheaper_than_a_mean(self) -> None:
        timed = '\n[guardrails.wait]\nkind = "duration"\ndirection = "down"\nhigh = 60\ntoday = 4\nmargin = 0.2\n'
        spec = use_case(FILE + timed)
        assert any("source = 'slow'" in offer.change for offer in cheaper(spec, proofs(spec)))

    def test_a_small_last_share_is_told(self) -> None:
        ramp = '[rollout]\nsteps = [{ share = 5, demands = ["prove"] }]\n[variants.before]'
        spec = changed(("[variants.before]", ramp))
        assert any("prove at 50 %" in offer.change for offer in cheaper(spec, proofs(spec)))


def test_the_examples_plan_is_facts() -> None:
    spec = load(Folder.read(ROOT / "examples" / "support"))
    found = outlook(spec)
    plain = msgspec.to_builtins(found)
    assert plain["use_case"] == "support"
    assert len(plain["proofs"]) == 6
    assert msgspec.json.decode(msgspec.json.encode(found), type=dict)


@pytest.mark.parametrize(
    ("lines", "line", "says"),
    [
        ("returning = 0.3", 9, "returning needs regulars"),
        ("regulars = 500", 9, "regulars has no meaning without returning"),
        ("returning = 0.5\nregulars = 10", 10, "fewer than the 1,000 that return on one day"),
        ("returning = 1.0\nregulars = 10", 9, "below 1"),
    ],
)
def test_a_return_curve_that_cannot_be_is_a_fault(lines: str, line: int, says: str) -> None:
    text = FILE.replace("new_units_a_day = 1000", f"new_units_a_day = 1000\n{lines}")
    with pytest.raises(FaultyFile) as caught:
        use_case(text)
    assert any(fault.startswith(f"usecase.toml:{line}:") and says in fault for fault in caught.value.faults), (
        caught.value.faults
    )
