"""The simulations step arrays; here one path of theirs is compared with the processes that decide."""

from __future__ import annotations

import math

import numpy as np
from calibration.units import World, passage

from pilotage.stats.binary import Batch, BinaryProcess
from pilotage.stats.claim import Claim, harmful, superior


class _Scripted:
    """A generator whose draws are known."""

    def __init__(self, draws: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
        self._draws = draws

    def random(self, shape: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        head, self._draws = self._draws[: shape[1]], self._draws[shape[1] :]
        return head[None, :]


def _by_unit(world: World, claim: Claim, draws: list[int], block: int, needed: float) -> float:
    process = BinaryProcess(claim)
    for start in range(0, len(draws), block):
        part = draws[start : start + block]
        for size in range(1, block + 1):
            counts = [part[:size].count(kind) for kind in range(4)]
            if process.update(Batch(*counts), world.share).log_e >= needed:
                return start + size
        process = process.update(Batch(*(part.count(kind) for kind in range(4))), world.share)
    return math.inf


def test_a_simulated_path_is_the_path_of_the_process() -> None:
    for claim in (superior(0.1), harmful(0.1, "lower", at="zero")):
        world = World(0.1, 0.3, 0.3, 600)
        uniform = np.random.default_rng(11).random(600)
        draws = np.searchsorted(np.cumsum(world.kinds)[:-1], uniform, side="right").tolist()
        rng: object = _Scripted(uniform)
        first = passage(world, claim, rng, runs=1, alpha=0.05, block=20)  # type: ignore[arg-type]
        assert float(first.process[0]) == _by_unit(world, claim, draws, 20, math.log(20))
        assert math.isfinite(float(first.process[0]))
