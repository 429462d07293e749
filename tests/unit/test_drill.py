from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pilotage.decision.batch import Batch, Cell
from pilotage.decision.stratum import Arm
from pilotage.decision.watch import Watching, begin, setting
from pilotage.errors import Refused
from pilotage.planning.drill import Noticed, drill
from pilotage.spec.use_case import UseCase

MINUTE = 60_000_000


def file(**more: Any) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "support",
            "owner": "Ada",
            "variants": {"assistant": {"upstream": "openai", "model": "m"}},
            "goals": {"resolved": {"minimum_effect": 0.05}},
            "guardrails": {"cost": {"kind": "money", "source": "cost", "direction": "down", "high": 1, "margin": 0.1}},
            "watch": {"tick": "5m", "cycle": "1h"},
            **more,
        },
        strict=False,
    )


def half(noticed: Noticed) -> float:
    assert noticed.median is not None
    return noticed.median


KNOWN = {"resolved": Arm(3000, 1800, 0.6, 720.0), "cost": Arm(3000, 0, 0.2, 3000 * 0.01)}


def known(spec: UseCase) -> Watching:
    return begin(setting(spec, holdback=False), KNOWN)


def recorded(count: int, units: int = 20) -> list[Batch]:
    rng = np.random.default_rng(2)
    method = setting(file(), holdback=False).asked["cost"].method
    found = []
    for number in range(count):
        yes = int(rng.binomial(units, 0.6))
        costs = [int(cost * 1e6) for cost in rng.normal(0.2, 0.05, units).clip(0)]
        metrics: dict[str, tuple[Cell, ...]] = {
            "resolved": (Cell(1, 1, 1, (yes, units - yes)),),
            "cost": (Cell(1, 1, 1, method.gather(costs)),),
        }
        found.append(Batch(at=(number + 1) * 5 * MINUTE, metrics=metrics))
    return found


def test_a_larger_drop_is_noticed_sooner_and_the_file_acts_later() -> None:
    spec = file()
    small, large = (
        drill(spec, known(spec), recorded(300), {"resolved": change}, runs=10, seed=1) for change in (-0.1, -0.3)
    )
    for found in (small, large):
        told, acted = found.noticed
        assert told.within == acted.within == 1
        assert 0 < half(told) < half(acted)
    assert half(large.noticed[0]) < half(small.noticed[0])
    assert small.units_a_day == pytest.approx(20 * 288)
    assert small.by == {"resolved": 10}
    # The same seed plays the same.
    assert drill(spec, known(spec), recorded(300), {"resolved": -0.1}, runs=10, seed=1) == small


def test_a_doubled_price_is_noticed() -> None:
    spec = file()
    found = drill(spec, known(spec), recorded(300), {"cost": 0.2}, runs=5, seed=1)
    assert found.noticed[0].within == 1
    assert found.by == {"cost": 5}


def test_what_is_too_small_is_said_not_to_be_noticed() -> None:
    spec = file(watch={"tick": "6h", "cycle": "6h"})
    found = drill(spec, known(spec), recorded(300, units=2), {"resolved": -0.01}, runs=3, seed=1)
    assert found.noticed[0].median is None
    assert found.noticed[0].late is None


def test_without_a_record_the_declared_traffic_stands_in() -> None:
    spec = file(traffic={"new_units_a_day": 3000})
    found = drill(spec, known(spec), recorded(5), {"resolved": -0.2}, runs=3, seed=1)
    assert "declared traffic" in found.source
    assert found.units_a_day == pytest.approx(3000, rel=0.1)
    with pytest.raises(Refused, match="declares no traffic"):
        drill(file(), known(file()), recorded(5), {"resolved": -0.2}, runs=3, seed=1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"stars": -1}, "stars is not watched"), ({"resolved": 0}, "changes by 0"), ({"resolved": float("nan")}, "nan")],
)
def test_what_cannot_be_drilled_is_said(changes: dict[str, float], says: str) -> None:
    with pytest.raises(Refused, match=says):
        drill(file(), known(file()), recorded(50), changes, runs=1, seed=1)
    with pytest.raises(Refused, match="not known yet"):
        drill(file(), begin(setting(file(), holdback=False), {}), recorded(50), {"resolved": -0.1}, runs=1, seed=1)
