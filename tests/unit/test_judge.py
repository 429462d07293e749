"""The judge sees a question and a reply, and nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from pilotage.demo.judge import Facts, Judge, read_facts
from pilotage.demo.judging import JudgeProcess

TENTS = Facts("How long can I return a tent?", (("45 days", "forty-five days"), ("RW-12",)), ("21 days",))
BOOTS = Facts("And worn boots?", (("21 days",),), ("45 days",))
OF_TENTS = "Within 45  days, with form\nrw-12."
OF_BOOTS = "You have 21 days for those."


def test_swapping_the_replies_of_two_questions_flips_both_outcomes() -> None:
    judge = Judge([TENTS, BOOTS])
    assert [judge.resolved(TENTS.text, OF_TENTS), judge.resolved(BOOTS.text, OF_BOOTS)] == [1, 1]
    assert [judge.resolved(TENTS.text, OF_BOOTS), judge.resolved(BOOTS.text, OF_TENTS)] == [0, 0]


@pytest.mark.parametrize(
    ("reply", "resolved"),
    [
        (OF_TENTS, 1),
        ("forty-five DAYS and RW-12", 1),
        ("45 days", 0),
        ("RW-12", 0),
        (f"{OF_TENTS} Or 21 days, who knows.", 0),
        ("", 0),
    ],
)
def test_every_required_group_and_no_forbidden_fact(reply: str, resolved: int) -> None:
    assert Judge([TENTS]).resolved("  how long can I return a TENT?", reply) == resolved


def test_a_question_that_it_does_not_know_has_no_outcome() -> None:
    assert Judge([TENTS, Facts("No facts?")]).resolved("Something else?", OF_TENTS) is None
    assert Judge([Facts("No facts?")]).resolved("No facts?", OF_TENTS) is None


def test_one_question_with_two_sets_of_facts_is_refused() -> None:
    with pytest.raises(ValueError, match="two sets of facts"):
        Judge([TENTS, Facts(TENTS.text, (("28 days",),))])


def test_a_faulty_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    path.write_text('{"text": "a"}\n\n{"texts": "b"}\n')
    with pytest.raises(ValueError, match=r"live\.jsonl:3"):
        read_facts(path)


def test_as_a_process_of_its_own_it_answers_each_question_with_its_own_outcome(tmp_path: Path) -> None:
    path = tmp_path / "live.jsonl"
    lines = [{"text": item.text, "required": item.required, "forbidden": item.forbidden} for item in (TENTS, BOOTS)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))

    async def ask() -> list[int | None]:
        async with JudgeProcess([path]) as judge:
            pairs = [(TENTS.text, OF_TENTS), (BOOTS.text, OF_TENTS), ("Else?", OF_TENTS), (BOOTS.text, OF_BOOTS)]
            return await asyncio.gather(*(judge.resolved(*pair) for pair in pairs))

    assert asyncio.run(ask()) == [1, 0, None, 1]
