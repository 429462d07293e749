from __future__ import annotations

import numpy as np
import pytest

from pilotage.decision import rounds
from pilotage.decision.rounds import FIRST, LEARNED, Outcome, Round, Rounds, Said
from pilotage.spec.watch import Watch
from pilotage.stats.permutation import stratified

HOUR = 3_600_000_000
WATCH = Watch.model_validate({"recheck": "1h"})


class Model:
    """Answers 25 questions; `noise` is how often it says something else than usual, `shift` moves its log-probabilities."""

    def __init__(self, seed: int, *, logs: bool) -> None:
        self.rng, self.logs = np.random.default_rng(seed), logs
        self.noise, self.shift = 0.05, 0.0

    def round(self) -> Round:
        found = {}
        for number in range(25):
            answer = "other" if self.rng.random() < self.noise else "usual"
            top = {"a": -0.2, "b": -1.7, "c": -3.0}
            moved = {token: value + self.shift + float(self.rng.normal(0, 0.02)) for token, value in top.items()}
            found[f"q{number}"] = Said(answer, moved if self.logs else {})
        return found


def play(model: Model, known: Rounds, count: int) -> list[Outcome]:
    asked, found = rounds.setting(WATCH), []
    for _ in range(count):
        outcome = rounds.heard(known, model.round(), (known.count + 1) * HOUR, asked, np.random.default_rng(0))
        known = outcome.rounds
        found.append(outcome)
    return found


@pytest.mark.parametrize("logs", [True, False])
def test_the_same_model_is_quiet_for_a_month(logs: bool) -> None:
    found = play(Model(1, logs=logs), Rounds(), 720)
    assert not any(outcome.crossings for outcome in found)
    assert found[FIRST + LEARNED - 1].rounds.learned


def test_another_model_is_noticed_by_its_answers() -> None:
    model = Model(2, logs=False)
    known = play(model, Rounds(), 50)[-1].rounds
    model.noise = 0.5
    found = play(model, known, 4)
    crossed = [outcome for outcome in found if outcome.crossings]
    assert crossed[0].crossings[0].stream == "answers"
    assert crossed[0].p is not None
    assert crossed[0].p < 0.05


def test_another_model_is_noticed_by_its_log_probabilities_alone() -> None:
    model = Model(3, logs=True)
    known = play(model, Rounds(), 50)[-1].rounds
    model.shift = -0.3
    found = play(model, known, 12)
    crossed = [outcome for outcome in found if outcome.crossings]
    assert crossed[0].crossings[0].stream == "log-probabilities"
    assert crossed[0].p == pytest.approx(0.001)


def test_questions_that_are_not_answered_are_left_out() -> None:
    known = play(Model(4, logs=True), Rounds(), FIRST + LEARNED)[-1].rounds
    outcome = rounds.heard(known, {"q1": Said("usual")}, HOUR, rounds.setting(WATCH), np.random.default_rng(0))
    assert outcome.crossings == ()
    assert outcome.rounds.watching.streams["answers"].moments.n == 0


def test_the_permutation_test_is_uniform_under_no_change() -> None:
    rng = np.random.default_rng(5)
    p = [stratified(rng.normal(size=(7, 20)), rng.normal(size=(3, 20)), rng) for _ in range(200)]
    assert np.mean(np.asarray(p) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert stratified(rng.normal(size=(7, 20)), rng.normal(1, 1, size=(3, 20)), rng) == pytest.approx(0.001)
