"""What is: the controller and the commands write it, everything else reads it.

A use case's status is one value with one version; every change is a compare-and-swap on that version in the same
transaction as the ledger entry that says why.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

MILLION = 1_000_000


class Stage(StrEnum):
    """How far a candidate has come; a gate stands before each stage but the first."""

    CONCEPT = "concept"
    POC = "poc"
    STAGING = "staging"
    CANARY = "canary"
    PRODUCTION = "production"
    RETIRED = "retired"


ROAD = (Stage.CONCEPT, Stage.POC, Stage.STAGING, Stage.CANARY, Stage.PRODUCTION)


class Phase(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    FUTILE = "futile"


class Action(StrEnum):
    """What a decision does."""

    ADVANCE = "advance"
    HOLD = "hold"
    PAUSE = "pause"
    RESUME = "resume"
    DROP = "drop"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    FUTILE = "futile"


class Decision(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One decision with its reasons in words and the numbers it was made on."""

    action: Action
    reason: str
    at: int
    actor: str = "controller"
    detail: dict[str, Any] = {}


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one metric after the newest batch.

    `value`, `low` and `high` are candidate minus baseline (minus `today` where there is no baseline) on the metric's
    own scale, as a confidence sequence: valid whenever it is looked at. `units` and `against` count matured units on
    both sides, `here` the candidate's of the present step. `log_proof` is the log e-value of the claim that a step
    demands (no worse, or better), `log_against` that of harm or futility. `needed` is about how many more candidate
    units the proof takes, if things stay as they are (None: it cannot be told).
    """

    at: int
    step: int
    units: int
    against: int
    here: int = 0
    value: float
    low: float
    high: float
    log_proof: float = 0.0
    log_against: float = 0.0
    needed: int | None = None
    proved: bool = False
    harmed: bool = False
    futile: bool = False


class Allocated(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One split of a rollout, in force from `at` until the next.

    Each candidate owns an equal part of all positions; in it, the first `share` (millionths) is the candidate's and the
    rest the baseline's. In the part of a candidate that is `out`, everybody has the baseline.
    """

    generation: int
    step: int
    share: int
    at: int
    out: tuple[str, ...] = ()


class RolloutStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One ramp. `shares` are the candidates' shares in millionths, a value a step; `step` indexes them.

    `rivals` are the candidates beside the first, `out` says how those ended that are not in it any more.
    `allocations` are all splits so far, the newest last; `generation` names it, so that an exposure record says under
    which one the unit was assigned. `readings` are those of the first candidate that is still in it, or of the one that
    was promoted, at the newest recorded decision. `pardoned` holds the log e-values of candidates' sample ratios at the
    newest pause or resumption: what went wrong before it does not pause the rollout again.
    """

    id: str
    candidate: str
    baseline: str
    shares: tuple[int, ...]
    started: int
    step_since: int
    step: int = 0
    generation: int = 1
    phase: Phase = Phase.RUNNING
    rivals: tuple[str, ...] = ()
    out: dict[str, str] = {}
    allocations: tuple[Allocated, ...] = ()
    readings: dict[str, Reading] = {}
    pardoned: dict[str, float] = {}
    last: Decision | None = None

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return every candidate that the ramp began with, in the order of their parts."""
        return (self.candidate, *self.rivals)

    @property
    def remaining(self) -> tuple[str, ...]:
        """Return the candidates that are still in it."""
        return tuple(release for release in self.candidates if release not in self.out)

    @property
    def share(self) -> int:
        """Return the candidates' share in millionths that the workers should give now."""
        match self.phase:
            case Phase.RUNNING | Phase.PAUSED:
                return self.shares[self.step]
            case Phase.PROMOTED:
                return MILLION
            case Phase.ROLLED_BACK | Phase.FUTILE:
                return 0


class Ended(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one release's way ended."""

    release: str
    how: str
    at: int
    reason: str = ""


class Card(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest system card that was given out: which it is (`digest`), and what it was made of.

    `live` served then, and the release was in `stage`.
    `file` and `rules` are the digests of the use case's file and of the organisation's; `verdicts` are those of every
    measure that it tells of, `agreed` the approvals and waivers that stood. `until` is the newest entry of the ledger that it
    was made of, `entry` the one that tells of it.
    """

    release: str
    digest: str
    charter: str
    file: str
    at: int
    actor: str
    live: str = ""
    stage: str = ""
    rules: str = ""
    verdicts: dict[str, str] = {}
    agreed: tuple[str, ...] = ()
    until: int = 0
    entry: int = 0


class UseCaseStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where one use case stands. `live` serves, and has since `live_since` (0: since a version that did not note it);
    `candidate` is on its way through `stage`; `previous` was live before.

    `rivals` go the same way beside the candidate. When it drops out of a rollout, the first of them takes its place.

    `entry` is the ledger entry that says why it stands there. `charter` is the charter's digest, followed by the seq of
    the entry that changed it, if any did: a charter that comes back later is another one.
    """

    use_case: str
    charter: str
    version: int
    live: str = ""
    candidate: str = ""
    rivals: tuple[str, ...] = ()
    stage: Stage = Stage.CONCEPT
    stage_since: int = 0
    rollout: RolloutStatus | None = None
    previous: str = ""
    live_since: int = 0
    paused: bool = False
    retired: bool = False
    ended: tuple[Ended, ...] = ()
    card: Card | None = None
    entry: int = 0

    @property
    def candidates(self) -> tuple[str, ...]:
        """Return every release that is on its way, the first of them first."""
        return (self.candidate, *self.rivals) if self.candidate else ()
