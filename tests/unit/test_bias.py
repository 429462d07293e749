"""Counterfactuals, the noise floor, gaps with equivalence, and templates that are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from pilotage.errors import FaultyFile
from pilotage.evaluation.bias.compare import Comparison, Gap, Row, Seen, adjusted, compare
from pilotage.evaluation.bias.run import forecast, verdict
from pilotage.evaluation.bias.template import built_in, built_in_files, read_template
from pilotage.evaluation.bias.tone import tone
from pilotage.spec.case import Case
from pilotage.stats.paired import equivalence_discordance, equivalence_pairs

CASE = Case(id="c", text="Are you going to send the tent? It is not here, and I do not have any news.")
RIGHT, WRONG = Seen(right=1.0, refused=False, words=20), Seen(right=0.0, refused=False, words=20)
REFUSED, NOTHING = Seen(right=0.0, refused=True, words=8), Seen()


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def row(reference: Seen, group: Seen, other: Seen | None = None, again: Seen | None = None) -> Row:
    return Row(reference=reference, group=group, other=other or reference, again=again or reference)


def compared(rows: list[Row]) -> Comparison:
    return compare("names", "b", "a", rows, rng())


def test_templates_make_the_same_question_by_other_people() -> None:
    assert {template.attribute for template in built_in()} == {"names", "pronouns", "age", "dialect"}
    for template in built_in():
        said = {group: template.messages(CASE, 5, group)[-1]["content"] for group in template.groups}
        assert len(set(said.values())) == len(said)
        null = template.messages(CASE, 5, template.reference, other=True)[-1]["content"]
        assert null not in said.values()
    dialect = next(template for template in built_in() if template.attribute == "dialect")
    said = dialect.messages(CASE, 0, "vernacular")[0]["content"]
    assert "gonna send" in said
    assert "ain't here" in said
    assert dialect.messages(CASE, 0, "second-language")[0]["content"].count(" the ") == 0


def test_only_what_the_user_said_last_is_varied() -> None:
    messages = (
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": "When?"},
    )
    case = Case(id="c", text="When?", messages=messages)
    said = built_in()[0].messages(case, 0, built_in()[0].reference)
    assert [message["content"] for message in said[:2]] == ["Hello", "Hi"]
    assert said[2]["content"] != "When?"
    assert messages[2]["content"] == "When?"


def test_alike_is_equivalent_once_there_are_enough_cases() -> None:
    enough = compared([row(RIGHT, RIGHT)] * 100)
    assert enough.gaps["success"].value == 0
    assert verdict(enough, 0.05) == "equivalent"
    few = compared([row(RIGHT, RIGHT)] * 5)
    assert verdict(few, 0.05) == "inconclusive"
    assert few.gaps["success"].needed(0.05) > 5


def test_a_gap_is_found_and_a_small_sample_proves_nothing() -> None:
    found = compared([row(RIGHT, REFUSED)] * 30 + [row(RIGHT, RIGHT)] * 70)
    assert found.gaps["success"].value == pytest.approx(-0.3)
    assert found.gaps["refusal"].value == pytest.approx(0.3)
    assert found.gaps["refusal"].p < 1e-6
    assert verdict(found, 0.05) == "different"
    assert found.flips == pytest.approx(0.3)
    assert found.null_flips == 0
    assert found.p["flips"] < 0.01
    assert found.longer < -0.1
    assert verdict(compared([row(RIGHT, WRONG)] + [row(RIGHT, RIGHT)] * 9), 0.05) == "inconclusive"


def test_what_flips_for_no_reason_is_no_bias() -> None:
    noisy = [row(RIGHT, WRONG, WRONG, WRONG), row(WRONG, RIGHT, RIGHT, RIGHT)] * 50
    found = compared(noisy)
    assert (found.flips, found.null_flips) == (1.0, 1.0)
    assert found.p["flips"] == 1.0
    assert found.gaps["success"].value == 0
    assert verdict(found, 0.05) == "inconclusive"  # every pair differs: 100 cases cannot show that they balance
    assert found.gaps["success"].needed(0.05) == equivalence_pairs(1.0, 0.05)


def test_what_was_not_answered_widens_and_never_narrows() -> None:
    whole = compared([row(RIGHT, RIGHT)] * 100)
    holes = compared([row(RIGHT, RIGHT)] * 100 + [row(RIGHT, NOTHING)] * 6 + [row(NOTHING, NOTHING)] * 6)
    assert holes.gaps["success"].n == whole.gaps["success"].n
    assert holes.gaps["success"].most > 0.1
    assert verdict(holes, 0.05) == "inconclusive"
    assert compared([row(NOTHING, NOTHING)] * 3).gaps == {}
    assert verdict(compared([row(NOTHING, NOTHING)] * 3), 0.05) == "inconclusive"


def test_cases_that_nothing_can_score_count_for_refusal_only() -> None:
    plain = Seen(right=None, refused=False, words=9)
    rows = [Row(reference=plain, group=plain, other=plain, again=plain, scorable=False)] * 100
    assert set(compared(rows).gaps) == {"refusal"}


def test_many_tests_are_corrected_together() -> None:
    one = compared([row(RIGHT, REFUSED)] * 6 + [row(RIGHT, RIGHT)] * 94)
    many = adjusted([one] * 10)
    assert all(many[0].adjusted[name] >= p for name, p in one.p.items())
    assert many[0].adjusted["success"] == pytest.approx(min(1.0, one.p["success"] * 50), rel=0.5)


def test_the_forecast_says_what_it_takes() -> None:
    said = forecast(316, 5000, 0.05)
    assert "316 cases, 5000 requests" in said
    assert f"{equivalence_pairs(0.1, 0.05)} cases" in said
    assert equivalence_discordance(equivalence_pairs(0.1, 0.05), 0.05) == pytest.approx(0.1, abs=0.001)
    assert equivalence_discordance(10**6, 0.05) == 1.0


def test_a_gap_knows_its_ends() -> None:
    def gap(low: float, high: float) -> Gap:
        return Gap(value=(low + high) / 2, low=low, high=high, n=10, discordant=0.1, p=1.0)

    assert (gap(-0.02, 0.01).least, gap(-0.02, 0.01).most) == (0.0, 0.02)
    assert (gap(-0.2, -0.1).least, gap(-0.2, -0.1).most) == (0.1, 0.2)


def test_tone_is_warm_or_cold() -> None:
    assert tone("Happy to help, thank you, and welcome!") > 0 > tone("No, we cannot and must not.")
    assert tone("") == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("attribute = ", "is not TOML"),
        ('attribute = "a"', "is no template"),
        (
            'attribute = "A b"\nask = "{value} {text}"\nreference = "x"\n[groups.x]\nvalues = ["1", "2"]',
            "is no template",
        ),
        ('attribute = "a"\nask = "{value}"\nreference = "x"\n[groups.x]\nvalues = ["1", "2"]', "ask holds no {text}"),
        (
            'attribute = "a"\nask = "{value} {text}"\nreference = "z"\n[groups.x]\nvalues = ["1", "2"]',
            "reference is 'z'",
        ),
        ('attribute = "a"\nask = "{value} {text}"\nreference = "x"\n[groups.x]\nvalues = ["1"]', "is no template"),
        (
            'attribute = "a"\nask = "{value} {text}"\nreference = "x"\n[groups.x]\nvalues = ["1", "2"]\nrewrite = [["(", ""]]',
            "cannot be used",
        ),
    ],
)
def test_what_is_no_template_is_told(text: str, says: str) -> None:
    with pytest.raises(FaultyFile) as caught:
        read_template("own.toml", text.encode())
    assert any(says in fault for fault in caught.value.faults)
    assert all(fault.startswith("own.toml:") for fault in caught.value.faults)


def test_the_files_to_edit_are_what_is_used() -> None:
    assert tuple(read_template(name, data) for name, data in built_in_files()) == built_in()
