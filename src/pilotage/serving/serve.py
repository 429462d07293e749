"""One request, whatever brought it: the assigned release, then its fallbacks, each recorded for what it was."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.errors import RequestError, UpstreamError
from pilotage.serving.breaker import Breakers
from pilotage.serving.cache import Cache, Keeping, Replayed
from pilotage.serving.call import prepare
from pilotage.serving.exposure import Exposure
from pilotage.serving.filtering.conforming import Conforming
from pilotage.serving.filtering.filtering import Filtering
from pilotage.serving.filtering.held import gathered
from pilotage.serving.hedge import Hedge, Hedges
from pilotage.serving.outcome import CLIENT_GONE, Outcome
from pilotage.serving.recording import Recorder, Signals
from pilotage.serving.retry import pause
from pilotage.serving.trace import parse
from pilotage.upstream.complaints import Complaints

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pilotage.clock import Clock
    from pilotage.serving.breaker import Breaker
    from pilotage.serving.cache import Kept, Place
    from pilotage.serving.relay import Relay
    from pilotage.serving.request import Request
    from pilotage.serving.trace import Hop, Trace
    from pilotage.spec.release import Release
    from pilotage.upstream.base import Upstreams

log = logging.getLogger(__name__)


class Whole(NamedTuple):
    """A unary answer. Its outcome is recorded already.

    `served` names the release whose answer it is, `error` the assigned release's own fault where that is another.
    """

    served: str
    status: int
    content_type: str
    body: bytes
    error: str
    cache: str = ""


class Server:
    def __init__(self, upstreams: Upstreams, recorder: Recorder, clock: Clock, signals: Sequence[Signals] = ()) -> None:
        self._signals = signals
        self._upstreams = upstreams
        self._recorder = recorder
        self._clock = clock
        self._tally = upstreams.tally
        self._breakers = Breakers(time.monotonic, self._tally)
        self._hedges = Hedges()
        self.cache = Cache()
        self.tracing: Callable[[str, str], Trace | None] = parse
        """Gives a request's place in a trace, by its `traceparent` and `tracestate`; None where it is in none."""
        self._complaints = Complaints()
        self._chance = Random()  # noqa: S311 - it spreads pauses, and guards nothing

    async def serve(self, exposure: Exposure, request: Request) -> Whole | Relay:
        """Return the answer of the first release in the chain that gives one.

        Raises the assigned release's UpstreamError where none does, and RequestError where a filter refuses. Cancelling
        it cancels the upstream call.
        """
        place = self.cache.place(exposure, request)
        if place is not None and (kept := self.cache.look(place)) is not None:
            return self._again(exposure, request, kept)
        chain = _chain(exposure, request)
        outcome = Outcome(exposure, request, self._recorder, self._clock, self._signals)
        outcome.start([release for _, release in chain])
        first: UpstreamError | None = None
        try:
            for reference, release in chain:
                answer = await self._asked(exposure, request, outcome, reference, release)
                if not isinstance(answer, UpstreamError):
                    return answer if place is None else _kept(answer, place, outcome)
                self._complaints.say(reference, answer.kind, f"{answer.message} {answer.hint}".strip())
                outcome.failed(reference, answer.kind)
                first = first or answer
        except RequestError as refusal:
            # A filter's word is the use case's own: no fallback is asked to pass by it.
            outcome.ended(refusal.error_code)
            outcome.finish(refusal.status)
            raise
        except BaseException:
            outcome.finish(CLIENT_GONE, cancelled=True)
            raise
        assert first is not None, "a chain holds at least the assigned release"
        outcome.finish(first.status)
        raise first

    def _again(self, exposure: Exposure, request: Request, kept: Kept) -> Whole | Relay:
        """Return an answer that was given before. It counts for the assigned release, at no cost."""
        hit = msgspec.structs.replace(exposure, source="cache")
        outcome = Outcome(hit, request, self._recorder, self._clock, self._signals)
        outcome.start([])
        if kept.model:
            outcome.named(kept.model)
        outcome.ended(kept.finish_reason)
        outcome.say(kept.text)
        outcome.answering(exposure.assignment.reference, exposure.assignment.release)
        if request.stream:
            return Replayed(kept, outcome)
        outcome.finish(200)
        return Whole(outcome.assigned, 200, kept.content_type, kept.pieces[0], "", "hit")

    async def _asked(
        self, exposure: Exposure, request: Request, outcome: Outcome, reference: str, release: Release
    ) -> Whole | Relay | UpstreamError:
        """Return a release's answer, or the fault of the last attempt to get one."""
        if reference in exposure.route.barred:
            return UpstreamError("barred", exposure.route.barred[reference], status=403)
        tried = 0
        fault: UpstreamError | None = None
        hop = outcome.hop(reference, release)
        while True:
            kind: str | None = None
            breaker = None
            try:
                breaker = self._breakers.check(reference, release.upstream)
                outcome.attempt()
                tried += 1
                answer = await self._answer(exposure, request, outcome, reference, release, hop=hop, breaker=breaker)
                kind = ""
            except UpstreamError as raised:
                if raised.kind in ("open", "budget") and fault is not None:
                    # The last attempt opened it, or took what there was; what it met with is what there is to say.
                    break
                # What the provider refuses says that it answers.
                fault, kind = raised, raised.kind if raised.status >= 500 else ""
            except RequestError as refusal:
                if hop is not None:
                    hop.end(refusal.error_code)
                raise
            except Exception as raised:  # noqa: BLE001 - whatever a release makes go wrong is that release's own error
                # Its text may repeat what the caller wrote; its kind and place do not.
                where = traceback.extract_tb(raised.__traceback__)[-1]
                name = type(raised).__name__
                self._complaints.say(reference, name, f"in {where.name}, line {where.lineno}")
                fault = UpstreamError("internal", f"this release could not be served ({name})", status=500)
                kind = fault.kind
            else:
                return answer
            finally:
                outcome.heard()
                self._breakers.told(reference, breaker, kind)
            outcome.missed(fault.kind)
            wait = pause(fault, tried, release.upstream, self._chance)
            if wait is None:
                break
            self._tally.retried += 1
            log.debug("%s failed (%s): it is asked again in %.2f s", reference, fault.kind, wait)
            outcome.asking()
            await asyncio.sleep(wait)
            outcome.heard()
        if hop is not None:
            hop.end(fault.kind)
        return fault

    async def _answer(
        self,
        exposure: Exposure,
        request: Request,
        outcome: Outcome,
        reference: str,
        release: Release,
        *,
        hop: Hop | None,
        breaker: Breaker | None,
    ) -> Whole | Relay:
        filtering = None
        if release.filters:
            filtering = Filtering(release)
            outcome.passes(filtering)
            if filtering.seeks:
                await filtering.seek(request, self._upstreams.names)
            request = filtering.request(request)
        call = prepare(request, release, unit=exposure.unit, request_id=exposure.id)
        outcome.sending(release, len(call.body))
        if hop is not None and exposure.trace is not None:
            call.headers.update(exposure.trace.headers(hop.span))
        outcome.asking()
        send = self._upstreams.of(release).send
        if release.upstream.hedge_after and not exposure.copy_of:
            hedge = Hedge(
                send,
                self._hedges,
                self._tally,
                reference=reference,
                release=release,
                outcome=outcome,
                breaker=breaker,
            )
            send = hedge.send
        if filtering is not None and filtering.holds(request):
            conforming = Conforming(
                filtering,
                request,
                outcome,
                reference=reference,
                release=release,
                send=send,
                names=self._upstreams.names,
            )
            answer = await conforming.settled(call, await send(call))
            # It has gone through them all.
            filtering = None
        else:
            answer = await send(call)
        if filtering is not None:
            answer = filtering.stream(request, answer)
        handed_on = False
        try:
            relay = request.relay(answer, outcome, reference)
            if relay is not None:
                await relay.open()
                outcome.heard()
                outcome.answering(reference, release)
                handed_on = True
                return relay
            reply = await gathered(answer, request.answer_limit)
            outcome.heard()
            if filtering is not None:
                reply = filtering.whole(request, reply)
            body, content_type = request.whole(reply, answer.content_type, outcome)
        finally:
            if not handed_on:
                await answer.close()
        outcome.answering(reference, release)
        if hop is not None:
            hop.end("")
        outcome.finish(answer.status)
        return Whole(reference, answer.status, content_type, body, outcome.error)


def _kept(answer: Whole | Relay, place: Place, outcome: Outcome) -> Whole | Relay:
    if not isinstance(answer, Whole):
        return Keeping(answer, place, outcome)
    place.keep((answer.body,), answer.content_type, outcome)
    return answer._replace(cache="miss")


def answers(release: Release, request: Request) -> bool:
    """Return whether a release can answer this at all: search, and providers that speak no OpenAI, only chat."""
    return request.chats or release.upstream.kind == "openai"


def _chain(exposure: Exposure, request: Request) -> list[tuple[str, Release]]:
    """Return the assigned release, then its fallbacks as far as they are known and answer what is asked."""
    assigned = exposure.assignment
    if not assigned.release.fallbacks:
        return [(assigned.reference, assigned.release)]
    releases = exposure.route.releases
    return [(assigned.reference, assigned.release)] + [
        (reference, releases[reference])
        for reference in assigned.release.fallbacks
        if reference in releases and reference != assigned.reference and answers(releases[reference], request)
    ]
