"""How the positions of a rollout were divided while a unit lived: the chance that it had of being the candidate's.

Each of K candidates owns an equal region of all positions. In it, the first `share` is that candidate's and the rest
has the baseline. Between a unit's exposure and its maturity the share may have changed: lo and hi are its lowest and
highest. Whoever lies between them was dropped, so of those who stay, lo had the candidate and 1 - hi the baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pilotage.status import MILLION

if TYPE_CHECKING:
    from pilotage.status import Allocated, RolloutStatus


class Part(msgspec.Struct, frozen=True):
    """The candidate's part (`lo`) beside the baseline's (`base`), in millionths of a region."""

    lo: int
    base: int

    @property
    def share(self) -> float:
        """Return the chance of the candidate among those who have it or the baseline."""
        return self.lo / (self.lo + self.base)

    def comparable(self, *, compared: bool) -> bool:
        """Return whether both sides can have units; without a baseline one side is enough."""
        return self.lo > 0 and (self.base > 0 or not compared)


def part_of(rollout: RolloutStatus, candidate: str, first: int, last: int) -> Part:
    """Return a candidate's part over the generations first to last."""
    splits = [split for split in rollout.allocations if first <= split.generation <= last]
    if not splits or splits[0].generation != first:
        known = ", ".join(str(split.generation) for split in rollout.allocations) or "none"
        msg = f"units were assigned under generation {first}, of which the status says nothing (it has {known})"
        raise ValueError(msg)
    base = sum(MILLION - max(share_in(split, other) for split in splits) for other in rollout.candidates)
    return Part(min(share_in(split, candidate) for split in splits), base)


def share_in(split: Allocated, candidate: str) -> int:
    """Return a candidate's share of its region, in millionths: nothing once it is out."""
    return 0 if candidate in split.out else split.share


def step_of(rollout: RolloutStatus, generation: int) -> int:
    """Return the step at which a generation was in force."""
    for split in rollout.allocations:
        if split.generation == generation:
            return split.step
    msg = f"units were assigned under generation {generation}, of which the status says nothing"
    raise ValueError(msg)
