"""What happened: frozen records that everything appends and nothing edits.

`Started`, `Finished`, `Text` and `Feedback` are the events of the spool (version 1, docs/events.md). Times are integer
microseconds UTC, durations integer microseconds of real time, money integer millionths of the use case's currency.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

EVENT_VERSION = 1


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="event"):
    """One record of the spool. `id` is the inference's id for the first three, the caller's own for feedback.

    No record holds another, so the collector of cycles need not follow them (`gc`).
    """

    id: str
    use_case: str
    at: int


class Started(Event, frozen=True, kw_only=True, gc=False, tag="started"):
    """Appended before the upstream is called; unfinished at `deadline`, it is an error of the assigned release.

    `unit` is a keyed digest (empty: no unit was given, so not enrolled). `arm` says why this release was assigned:
    `baseline` or `candidate` of a rollout, `live` outside one (or without a unit), `pinned` by the caller.
    `share` is the candidate's share in millionths at `generation`, when the unit was exposed. `surface` is what was
    asked for: `chat`, `messages`, ..., or `flag` where the application calls the model itself. `copy_of` is the live inference
    that a copy (`source` and `arm` are `shadow`) was made of. `held` is the most that it may come to, where a budget
    holds it: what it counts for if its worker dies over it. `segment` names the groups that the request said the unit
    belongs to, such as `language=de;age=old`, as far as the file declares them.
    """

    release: str
    arm: str
    deadline: int
    unit: str = ""
    rollout: str = ""
    step: int = -1
    share: int = 0
    generation: int = 0
    source: str = "live"
    surface: str = "chat"
    streamed: bool = False
    key: str = ""
    caller: str = ""
    copy_of: str = ""
    held: int = 0
    segment: str = ""


class GuardrailHit(msgspec.Struct, frozen=True, omit_defaults=True):
    guardrail: str
    side: str
    action: str
    kind: str = ""
    count: int = 1


class Finished(Event, frozen=True, kw_only=True, gc=False, tag="finished"):
    """Appended before the last bytes go out, also when the client went away.

    `error` is the *assigned* release's own fault (empty: none), whatever was served in its place; `served` names the
    release whose answer went out and is another than the assigned one when a fallback answered (`fallback` true).
    `spent` is what budgets were charged: `cost`, and what may have been billed though nobody counted it.
    """

    served: str
    status: int
    error: str = ""
    fallback: bool = False
    cancelled: bool = False
    attempts: int = 1
    first_byte: int = 0
    duration: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    counted: bool = False
    cost: int = 0
    spent: int = 0
    finish_reason: str = ""
    model: str = ""
    hits: tuple[GuardrailHit, ...] = ()


class Text(Event, frozen=True, kw_only=True, gc=False, tag="text"):
    """Where an inference's encrypted text lies: never the text itself."""

    unit_key: str
    segment: str
    offset: int
    length: int


class Feedback(Event, frozen=True, kw_only=True, gc=False, tag="feedback"):
    """One later outcome; `at` is when it happened, `received` when it was acknowledged. One of the three joins it."""

    metric: str
    value: float
    received: int
    inference: str = ""
    key: str = ""
    unit: str = ""


SpoolEvent = Started | Finished | Text | Feedback


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One scorer's result on one case. `value` is None where it could not be scored, which is not the same as wrong."""

    case: str
    release: str
    scorer: str
    value: float | None
    why: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured fact about one release. `low` and `high` bound `value` (same scale) at `confidence`.

    `measure` is the name a criterion reads (`quality`, `security`, `errors`, ...). `data` is the digest of the data it
    was measured on, `charter` that of the charter it was measured for: another charter voids it. `origin` is where it was
    made, by the name under which the organisation's rules trust that place; empty for this workspace.
    """

    id: str
    use_case: str
    release: str
    charter: str
    measure: str
    value: float
    low: float
    high: float
    n: int
    method: str
    data: str
    at: int
    actor: str
    baseline: str = ""
    confidence: float = 0.95
    detail: dict[str, Any] = {}
    origin: str = ""


class Approval(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's yes, bound to one release entering one stage under one charter, on the evidence there was.

    `person` is whom the actor stands for, `makers` the people through whose hands the actor's key came. `evidence` is the
    digest of what was measured when it was given. It ends at `expires` (microseconds, 0 for never). With `waives` it is
    not a yes to the stage but lets this criterion pass as it is; with `withdraws` it takes another approval back.
    """

    id: str
    use_case: str
    release: str
    charter: str
    stage: str
    actor: str
    role: str
    at: int
    reason: str = ""
    person: str = ""
    makers: tuple[str, ...] = ()
    evidence: str = ""
    expires: int = 0
    waives: str = ""
    withdraws: str = ""


class Alarm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that has gone wrong with what serves: `what` is the metric, or whatever else was watched, as `watch` calls it.

    It has been so since about `since`. `kind` says who noticed (`degradation`, `silence`, `drift`, `model`, `embedding`, `retirement`, `money`, `evaluation`, `parity`),
    `action` what the file wants done, `did` what was done about it and why. Of the same thing that is noticed again while
    it is open, `count` and `last` tell.
    """

    id: str
    use_case: str
    release: str
    kind: str
    what: str
    watch: str
    at: int
    since: int
    says: str
    action: str = "notify"
    acts: bool = False
    did: str = ""
    state: Literal["raised", "acknowledged", "resolved"] = "raised"
    actor: str = ""
    note: str = ""
    changed: int = 0
    count: int = 1
    last: int = 0
    detail: dict[str, Any] = {}

    @property
    def open(self) -> bool:
        return self.state != "resolved"


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message about an alarm to one receiver. `target` is its place in the use case's file, `event` what happened.

    It waits until it was taken (`sent`), or was refused so often that a person must look at it (`dead`).
    """

    id: str
    use_case: str
    alarm: str
    target: str
    event: str
    at: int
    due: int
    state: Literal["waiting", "sent", "dead"] = "waiting"
    tries: int = 0
    why: str = ""


class Proposal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A case that somebody made of what was asked in production, for a team to take into its folder.

    `case` is a line of a case file, with personal data redacted; its `id` is the proposal's. `unit` is the digest of whom the
    text is of: what is erased of them takes this with it. `note` says why, as a reference to words.
    """

    id: str
    use_case: str
    inference: str
    unit: str
    at: int
    actor: str
    case: dict[str, Any]
    note: str = ""


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the ledger. `digest` is SHA-256 over the canonical JSON of everything else, `previous` included."""

    seq: int
    at: int
    actor: str
    action: str
    use_case: str
    detail: dict[str, Any]
    previous: str
    digest: str
