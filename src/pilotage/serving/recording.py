"""Where the facts of a request go: records, and who else is told; and the record that it begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pilotage.clock import SECOND, Clock, ScaledClock
from pilotage.records import Finished, GuardrailHit, Started
from pilotage.store.base.recorded import PlainText

if TYPE_CHECKING:
    from pilotage.serving.exposure import Exposure
    from pilotage.serving.outcome import Outcome
    from pilotage.serving.request import Request
    from pilotage.spec.release import Release

_GRACE = 30 * SECOND
_REPAIR = 2
"""An answer that is asked for once more may come to so many times the first one's worst: the first goes along."""


class Recorder(Protocol):
    """Where the records of a request go. Neither call blocks or raises."""

    def started(self, event: Started) -> None: ...
    def finished(self, event: Finished, text: PlainText | None, *, redact: bool) -> None: ...


class Signals(Protocol):
    """Who is told how a request ended, beside the records. It neither blocks nor raises."""

    def ended(self, outcome: Outcome, finished: Finished) -> None: ...


class Found(Protocol):
    @property
    def hits(self) -> tuple[GuardrailHit, ...]:
        """What filters have found so far."""


def started(exposure: Exposure, request: Request, chain: list[Release], clock: Clock) -> Started:
    """Return the record that the upstreams of this chain are about to be asked, one after the other if need be."""
    at = clock.now()
    patience, times = _GRACE, 0
    for release in chain:
        patience += _patience(release)
        hedged = release.upstream.hedge_after > 0
        times += (1 + release.upstream.retries) * (1 + hedged) * (1 + _REPAIR * _repairs(release))
    # Timeouts are real time, but the deadline is compared with the clock of the records.
    rate = clock.rate if isinstance(clock, ScaledClock) else 1
    assignment = exposure.assignment
    return Started(
        id=exposure.id,
        use_case=exposure.route.use_case,
        at=at,
        release=assignment.reference,
        arm=assignment.arm,
        deadline=at + int(patience * rate),
        unit=exposure.unit,
        rollout=assignment.rollout,
        step=assignment.step,
        share=assignment.share,
        generation=assignment.generation,
        source=exposure.source,
        surface=request.surface,
        streamed=request.stream,
        key=exposure.key,
        caller=exposure.caller,
        segment=exposure.segment,
        copy_of=exposure.copy_of,
        held=exposure.grant.held * times if exposure.grant is not None else 0,
    )


def kept(exposure: Exposure, request: Request, reply: str, clock: Clock) -> PlainText:
    """Return what was asked and answered, for where texts are kept."""
    return PlainText(
        inference=exposure.id,
        use_case=exposure.route.use_case,
        # Without a unit the text has a key of its own, so that it can be erased alone.
        unit=exposure.unit or exposure.id,
        at=clock.now(),
        request=request.transcript,
        reply=reply,
    )


def _patience(release: Release) -> int:
    """Return the longest that a release may be waited for."""
    address = release.upstream
    waits = (address.retries + 1) * address.wait_timeout if address.max_concurrent else 0
    once = address.total_timeout + address.hedge_after
    return (address.retries + 1) * once + address.retries * address.retry_wait + waits


def _repairs(release: Release) -> bool:
    """Return whether an answer may be asked for once more because of what it says."""
    return any(rule.kind == "schema" and rule.repair for rule in release.filters)
