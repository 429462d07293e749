"""Drift on real questions and arrivals, with a change at a known hour."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from calibration.drift import CHANGE, SOME, banking, clinc, own_order, run, together, trace

DATA = Path(os.environ.get("PILOTAGE_TEST_DATA", "/nowhere"))
pytestmark = pytest.mark.skipif(
    not (DATA / "text" / "banking77_train.csv").is_file(),
    reason="PILOTAGE_TEST_DATA names no folder with real questions",
)


def test_questions_of_other_kinds_are_noticed_and_the_same_ones_are_not() -> None:
    bank, orders = together(banking(DATA)), together(clinc(DATA, "test"))
    quiet = run(bank, orders, 0.0, np.random.default_rng(5), longest=96)
    assert quiet.ticks == math.inf
    moved = run(bank, orders, 0.2, np.random.default_rng(5), longest=96)
    assert CHANGE < moved.ticks < math.inf
    assert moved.by in ("novel+", "unfamiliar>")


def test_a_few_intents_that_become_frequent_are_noticed_as_topics() -> None:
    orders = clinc(DATA, "train", "val", "test")
    moved = run(together(orders), together(orders, SOME), 0.5, np.random.default_rng(5), longest=96)
    assert CHANGE < moved.ticks < math.inf
    assert moved.by.startswith("topic=")


def test_the_trace_in_its_own_minutes() -> None:
    hour = trace(DATA)
    quiet = run(
        hour.asked, hour.asked, 0.0, np.random.default_rng(5), longest=96, arrivals=[n // 4 for n in hour.minutes]
    )
    assert quiet.ticks == math.inf
    # The hour itself moves: half of its replies get shorter, and its questions too.
    assert "question_tokens" in own_order(DATA) or "reply_tokens" in own_order(DATA)
