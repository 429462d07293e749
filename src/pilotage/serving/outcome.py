"""What one request came to, gathered while it is served and recorded once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pilotage.clock import Clock
from pilotage.records import Finished
from pilotage.serving.exposure import Exposure
from pilotage.serving.grant import Bill, billed
from pilotage.serving.recording import Found, Recorder, Signals, kept, started
from pilotage.serving.request import Request
from pilotage.serving.trace import Hop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.spec.release import Release
    from pilotage.upstream.chat import Completion

CLIENT_GONE = 499
_LONGEST_NAME = 200
_MOST_TOKENS = 1 << 40


class Outcome:
    """Gathers one request's facts; `finish` records them, the first time it is called."""

    __slots__ = (
        "_asked", "_attempts", "_beside", "_clock", "_done", "_earlier", "_exposure", "_filtering", "_first_byte", "_keeps_text", "_model",
        "_pictures", "_recorder", "_release", "_reply", "_request", "_served", "_signals", "_usage", "_waited",
        "error", "finish_reason", "hops", "overhead",
    )  # fmt: skip

    def __init__(
        self, exposure: Exposure, request: Request, recorder: Recorder, clock: Clock, signals: Sequence[Signals] = ()
    ) -> None:
        self._signals = signals
        self._asked = self._waited = 0
        self.overhead = 0
        """Nanoseconds from the request's arrival to the beginning of its answer, less those that providers took."""
        self._exposure = exposure
        self.hops: list[Hop] = []
        """The releases that were asked, where this request is traced."""
        self._request = request
        self._recorder = recorder
        self._clock = clock
        # What the watch asks is a copy of what is kept elsewhere: kept again, it would outlive its unit's erasure.
        self._keeps_text = exposure.route.retention != "none" and exposure.source != "watch"
        self._reply: list[str] = []
        self._release: Release | None = None
        self._served = ""
        self.error = ""
        self._attempts = 0
        self._first_byte = 0
        self._usage: tuple[int, int] | None = None
        self._earlier: list[Bill] = []
        self._beside = False
        self._pictures = 0
        self._model = ""
        self._done = False
        self.finish_reason = ""
        self._filtering: Found | None = None

    def start(self, chain: list[Release]) -> None:
        """Record that the upstreams of this chain are about to be asked, one after the other if need be."""
        self._recorder.started(started(self._exposure, self._request, chain, self._clock))

    @property
    def exposure(self) -> Exposure:
        return self._exposure

    @property
    def request(self) -> Request:
        return self._request

    @property
    def surface(self) -> str:
        return self._request.surface

    @property
    def streamed(self) -> bool:
        return self._request.stream

    @property
    def reference(self) -> str:
        """Return whose answer went out, or else the assigned release."""
        return self._served or self._exposure.assignment.reference

    @property
    def assigned(self) -> str:
        return self._exposure.assignment.reference

    @property
    def model(self) -> str:
        """Return the model that the provider says has answered."""
        return self._model

    @property
    def reply(self) -> str:
        """Return the answer's text, where texts are kept."""
        return "".join(self._reply)

    @property
    def release(self) -> Release:
        return self._release or self._exposure.assignment.release

    def attempt(self) -> None:
        self._attempts += 1

    def sending(self, release: Release, size: int) -> None:
        """Note that so many bytes go out now; raise UpstreamError where they may cost more than there is."""
        if self._exposure.grant is not None:
            self._exposure.grant.sending(release, size)

    def hedging(self) -> bool:
        """Note that the same goes out once more beside what is under way; return whether there is money for it."""
        self._beside = self._exposure.grant is None or self._exposure.grant.hedging()
        self._attempts += self._beside
        return self._beside

    def unhedged(self, kind: str) -> None:
        """Note that one of the two failed, and that the other is waited for."""
        if not billed(kind):
            self._beside = False
            if self._exposure.grant is not None:
                self._exposure.grant.unhedged()

    def missed(self, kind: str) -> None:
        """Note that an attempt failed, whatever is tried next."""
        self._beside = False
        if self._exposure.grant is not None:
            self._exposure.grant.missed(kind)

    def hop(self, reference: str, release: Release) -> Hop | None:
        """Note that a release is being asked; None where nobody traces."""
        if self._exposure.trace is None:
            return None
        self.hops.append(Hop(reference, release))
        return self.hops[-1]

    def asking(self) -> None:
        """Note that from now on a provider is waited for, until `heard`."""
        self._asked = time.monotonic_ns()

    def heard(self) -> None:
        if self._asked:
            self._waited += time.monotonic_ns() - self._asked
            self._asked = 0

    def repeating(self, reference: str, release: Release, usage: tuple[int | None, int | None] | None) -> None:
        """Note that an answer came that is not to go out, with what was counted of it, and that another is asked for."""
        counted = None if usage is None else (_tokens(usage[0]), _tokens(usage[1]))
        bill = Bill(self._exposure.route.price(reference, release), counted)
        if self._beside:
            self._earlier.append(bill.uncounted())
            self._beside = False
        self._earlier.append(bill)
        if self._exposure.grant is not None:
            self._exposure.grant.repeating(bill)

    def repeated_in_vain(self) -> None:
        """Note that none came: the earlier one is read, and counted, now."""
        bill = self._earlier.pop()
        if self._exposure.grant is not None:
            self._exposure.grant.repeated_in_vain(bill)

    def failed(self, reference: str, kind: str) -> None:
        """Note a fault; only the assigned release's own counts as the request's error."""
        if reference == self._exposure.assignment.reference and not self.error:
            self.error = kind

    def answering(self, reference: str, release: Release) -> None:
        """Note that this release's answer goes out, and when its first byte was there."""
        self._served, self._release = reference, release
        now, exposure = time.monotonic_ns(), self._exposure
        self._first_byte = (now - exposure.received) // 1000
        self.overhead = now - (exposure.arrived or exposure.received) - self._waited

    def read(self, part: Completion) -> None:
        """Take in a chat completion, or the next chunk of one."""
        if part.model:
            self.named(part.model)
        if part.usage is not None:
            self.count(part.usage.prompt_tokens, part.usage.completion_tokens)
        for choice in part.choices or ():
            if choice.finish_reason:
                self.ended(choice.finish_reason)
            if self._keeps_text and choice.index == 0:
                said = choice.delta or choice.message
                if said is not None and isinstance(said.content, str):
                    self._reply.append(said.content)

    def named(self, model: str) -> None:
        """Note which model the provider says has answered."""
        self._model = model[:_LONGEST_NAME]

    def count(self, tokens_in: int | None, tokens_out: int | None) -> None:
        if type(tokens_in) is type(tokens_out) is int and 0 <= tokens_in < _MOST_TOKENS > tokens_out >= 0:
            self._usage = tokens_in, tokens_out
        else:
            self._usage = _tokens(tokens_in), _tokens(tokens_out)

    def pictured(self, number: int) -> None:
        """Note how many pictures there are."""
        self._pictures = number

    def ended(self, reason: str) -> None:
        """Note why the model stopped, in the surface's own word."""
        self.finish_reason = reason[:_LONGEST_NAME]

    def passes(self, filtering: Found) -> None:
        """Note who tells what the filters of the release that is asked now find: its answer's are what counts."""
        self._filtering = filtering

    def say(self, text: str) -> None:
        """Note text of the reply, for where texts are kept."""
        if self._keeps_text:
            self._reply.append(text)

    def finish(self, status: int, *, cancelled: bool = False) -> None:
        """Record how it ended. Called before the last bytes go out; later calls do nothing."""
        if self._done:
            return
        self._done = True
        if cancelled and not self._served and not self.error:
            # Nothing had come when the caller gave up. A release that hangs must not look faultless.
            self.error = "abandoned"
        exposure, served = self._exposure, self._served
        tokens_in, tokens_out = self._usage or (0, 0)
        for earlier in self._earlier:
            tokens_in += (earlier.usage or (0, 0))[0]
            tokens_out += (earlier.usage or (0, 0))[1]
        bill = None
        if self._release is not None:
            price = exposure.route.price(served, self._release)
            bill = Bill(price, self._usage, self._pictures, self._request.characters)
        grant = exposure.grant
        spent = grant.settle(bill) if grant is not None else 0
        finished = Finished(
            id=exposure.id,
            use_case=exposure.route.use_case,
            at=self._clock.now(),
            served=served,
            status=status,
            error=self.error,
            fallback=bool(served) and served != exposure.assignment.reference,
            cancelled=cancelled,
            attempts=self._attempts,
            first_byte=self._first_byte,
            duration=(time.monotonic_ns() - exposure.received) // 1000,
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            counted=self._usage is not None,
            cost=(bill.cost * (1 + self._beside) if bill is not None else 0) + sum(one.cost for one in self._earlier),
            spent=spent,
            finish_reason=self.finish_reason,
            model=self._model,
            hits=self._filtering.hits if self._filtering is not None else (),
        )
        text = kept(exposure, self._request, self.reply, self._clock) if self._keeps_text else None
        self._recorder.finished(finished, text, redact=exposure.route.retention == "redacted")
        for signal in self._signals:
            signal.ended(self, finished)


def _tokens(said: int | None) -> int:
    """Return what a provider says of tokens, as far as it can be true."""
    return min(max(said or 0, 0), _MOST_TOKENS)
