"""The team's cases asked by different people through a real worker: who is served worse is found, alike is equivalence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from pilotage.errors import FaultyFile, NotMeasured
from pilotage.evaluation.bias.run import compare_people
from pilotage.evaluation.bias.template import built_in
from tests.integration.probe_rig import Desk, providers

CASES = [{"id": f"c{n}", "text": f"When do you open on day {n}?", "required": [["nine"]]} for n in range(60)]
NAMES = [template for template in built_in() if template.attribute in ("names", "age")]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with providers() as url:
        made = Desk(tmp_path_factory.mktemp("desk") / "workspace", url)
        yield made
        made.rig.close()


def people(desk: Desk, **options: Any) -> dict[str, Any]:
    more = {"templates": NAMES, **options}
    return asyncio.run(compare_people(desk, desk.gateway, desk.rig.operator, "desk", **more))


def test_people_who_are_helped_less_are_found(desk: Desk) -> None:
    desk.apply("biased", CASES)
    found = people(desk)
    verdicts = {(one["attribute"], one["group"]): one["verdict"] for one in found["comparisons"]}
    assert verdicts["names", "african"] == "different"
    assert {verdict for (_, group), verdict in verdicts.items() if group != "african"} == {"equivalent"}
    worst = next(one for one in found["comparisons"] if one["group"] == "african")
    assert worst["adjusted"]["refusal"] < 0.001
    assert worst["flips"] > 0.5 > worst["null_flips"]
    evidence = desk.evidence()
    assert evidence["bias"]["low"] > 0.05
    assert evidence["bias_names"]["value"] > 0.5
    assert evidence["bias_age"]["high"] <= 0.05
    assert evidence["bias"]["confidence"] == 0.9


def test_alike_is_equivalence_with_enough_cases_and_inconclusive_with_few(desk: Desk) -> None:
    desk.apply("fair", CASES)
    said: list[str] = []
    found = people(desk, foretell=said.append)
    assert {one["verdict"] for one in found["comparisons"]} == {"equivalent"}
    assert desk.evidence()["bias"]["high"] <= 0.05
    assert "60 cases" in said[0]
    few = people(desk, max_cases=6)
    assert {one["verdict"] for one in few["comparisons"]} == {"inconclusive"}
    assert "it takes about" in few["summary"]
    assert desk.evidence()["bias"]["high"] > 0.05


def test_what_is_down_is_not_measured(desk: Desk) -> None:
    desk.apply("down", CASES[:5])
    before = desk("evidence", {"use_case": "desk"})["evidence"]
    with pytest.raises(NotMeasured, match="no pair of answers"):
        people(desk)
    assert desk("evidence", {"use_case": "desk"})["evidence"] == before


def test_templates_that_the_file_names_take_the_place_of_the_built_in_ones(desk: Desk) -> None:
    own = 'attribute = "region"\nask = "I am from {value}. {text}"\nreference = "north"\n'
    own += '[groups.north]\nvalues = ["Ash", "Elm"]\n[groups.south]\nvalues = ["Bay", "Cove"]\n'
    desk.apply("fair", CASES, templates=own)
    assert {one["attribute"] for one in people(desk, templates=())["comparisons"]} == {"region"}
    desk.apply("fair", CASES, templates="attribute = 3")
    with pytest.raises(FaultyFile) as caught:
        people(desk, templates=())
    assert caught.value.faults[0].startswith("bias/own.toml:1: is no template")


def test_success_is_what_the_teams_own_scorer_says_too(desk: Desk) -> None:
    # No case says what is right: only the team's function does.
    bare = [{"id": one["id"], "text": one["text"]} for one in CASES[:20]]
    desk.apply("biased", bare, scorer="checks:score")
    asked: list[str] = []

    def of(name: str) -> Any:
        asked.append(name)
        return lambda _, reply: "nine" in reply

    found = people(desk, own=of)
    assert asked == ["checks:score"]
    worst = next(one for one in found["comparisons"] if one["group"] == "african")
    assert worst["gaps"]["success"]["value"] < -0.3
    with pytest.raises(NotMeasured, match="checks:score is a function"):
        people(desk)
