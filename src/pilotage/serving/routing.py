"""Who gets which release: an immutable table, swapped by reference when the store's change counter moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import xxhash

from pilotage.spec.release import Release

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pilotage.access import Key
    from pilotage.spec.route import Route

MILLION = 1_000_000


class Assignment(msgspec.Struct, frozen=True):
    """The release that answers for one request, and why."""

    release: Release
    reference: str
    arm: str
    rollout: str = ""
    step: int = -1
    share: int = 0
    generation: int = 0


def position(rollout: str, unit: str) -> int:
    """Return where a unit stands in one rollout, in millionths: below the share means candidate, where there is one.

    A stable hash of both, so raising a share keeps everyone who was in, and each rollout shuffles anew.
    """
    return xxhash.xxh3_64_intdigest(f"{rollout}\0{unit}".encode()) % MILLION


class RoutingTable:
    """An immutable view over routes and keys; workers hold one reference and replace it whole.

    `blind` holds the rollouts whose controller is not heard of: none of their units gets the candidate.
    """

    def __init__(self, routes: Mapping[str, Route], keys: Iterable[Key], blind: frozenset[str] = frozenset()) -> None:
        self.routes = dict(routes)
        self._made: dict[tuple[str, str, str], Assignment] = {}
        self.keys = {key.id: key for key in keys}
        self.blind = blind

    def assign(self, route: Route, unit: str) -> Assignment | None:
        """Return the release for a unit's digest (empty: not enrolled), or None where nothing serves.

        Of K candidates each owns one of K equal parts of all positions. In it, the first `share` is the candidate's and
        the rest the baseline's, so raising the share keeps everyone who was in, and one that is out gives its units to the
        baseline alone. A rollout without a baseline serves the candidates' share of units, and nobody else. The share that an
        assignment carries is the one that it was made by: 0 while the rollout is blind.
        """
        split = route.allocation
        if split is None or not unit:
            return self._assignment(route, route.live, "live") if route.live else None
        share = 0 if split.rollout in self.blind else split.share
        part, place = divmod(position(split.rollout, unit) * (1 + len(split.rivals)), MILLION)
        owner = split.rivals[part - 1] if part else split.candidate
        candidate = place < share and owner not in split.out
        reference = owner if candidate else split.baseline
        return self._assignment(route, reference, "candidate" if candidate else "baseline") if reference else None

    def _assignment(self, route: Route, reference: str, arm: str) -> Assignment:
        """Return what is the same for every request that gets this release for this reason."""
        known = self._made.get((route.use_case, reference, arm))
        if known is not None:
            return known
        release, split = route.releases[reference], route.allocation
        if split is None or arm == "live":
            made = Assignment(release, reference, arm)
        else:
            share = 0 if split.rollout in self.blind else split.share
            made = Assignment(release, reference, arm, split.rollout, split.step, share, split.generation)
        self._made[route.use_case, reference, arm] = made
        return made
