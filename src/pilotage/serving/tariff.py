"""What a request to a use case may cost at worst, whoever answers: prices and lengths of all that may be asked for it.

One figure for all sides of a rollout, though one of them be cheaper: near its end, a budget turns requests of both away
alike, and so does not change who is compared with whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pilotage.serving.request import BOUNDS, Request, wrong

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.spec.release import Release
    from pilotage.spec.route import Route

_MILLION = 1_000_000
_FRAME = 512
"""Bytes that may come to a request's own on its way out, beside a prompt: names of fields, a model, a digest."""
PLAIN = 4_096
"""Bytes of a request as most are: what a share of a budget is made ready for."""


class Tariff(NamedTuple):
    """Prices are millionths of the currency for a million tokens. `fixed` is 0 where not every release fixes a length."""

    dearest_in: int
    dearest_out: int
    prompt: int
    longest: int
    fixed: bool
    choices: int

    def size(self, body: int) -> int:
        """Return the bytes that may go out for a request of so many. No token is shorter than a byte."""
        return body + self.prompt + _FRAME

    def worst(self, size: int, answer: int) -> int:
        """Return the most that so many bytes and so many tokens of answer cost, in millionths, rounded up."""
        return -(-(size * self.dearest_in + answer * self.dearest_out) // _MILLION)

    def cost(self, release: Release, tokens_in: int, tokens_out: int) -> int:
        """Return what an answer cost; one whose release has no price (it is from before there was one) as much as any."""
        if release.input_price is None and release.upstream.kind != "search":
            return self.worst(tokens_in, tokens_out)
        price_in, price_out = release.input_price or 0, release.output_price or 0
        return round((tokens_in * price_in + tokens_out * price_out) / _MILLION)

    def answer(self, request: Request, longest: int) -> int:
        """Return the most tokens that are answered; a request that does not say how many is told `longest` as its limit.

        Raises RequestError where what it says is no number of tokens.
        """
        body = request.body
        said = [_whole(body, name) for name in request.bounds if body.get(name) is not None]
        if not said and request.bounds:
            body[request.bounds[0]] = longest
        most = self.longest if self.fixed and request.chats else max([self.longest, *(said or [longest])])
        choices = _whole(body, "n") if body.get("n") is not None else 1
        return most * max(choices, self.choices) if request.answers_tokens else 0


def tariff(route: Route, references: Iterable[str]) -> Tariff:
    """Return what those releases may cost, with the fallbacks of each."""
    asked = {name: route.releases[name] for name in references if name in route.releases}
    for release in list(asked.values()):
        asked |= {name: route.releases[name] for name in release.fallbacks if name in route.releases}
    priced = [one for one in asked.values() if one.upstream.kind != "search"]
    known = priced if all(one.input_price is not None for one in priced) else list(route.releases.values())
    bounds = [max((_number(one, name) for name in BOUNDS), default=0) for one in priced]
    return Tariff(
        dearest_in=max((one.input_price or 0 for one in known), default=0),
        dearest_out=max((one.output_price or 0 for one in known), default=0),
        prompt=max((len(one.prompt.encode()) for one in priced), default=0),
        longest=max(bounds, default=0),
        fixed=bool(bounds) and all(bounds),
        choices=max((_number(one, "n") for one in priced), default=1),
    )


def assignable(route: Route) -> tuple[str, ...]:
    """Return every release that a request without a pin may get."""
    split = route.allocation
    return (route.live,) if split is None else (route.live, split.baseline, split.candidate, *split.rivals)


def _whole(body: dict[str, object], name: str) -> int:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong(name, value, "a whole number of at least 1")
    return value


def _number(release: Release, name: str) -> int:
    value = release.parameters.get(name)
    return value if isinstance(value, int) and value > 0 else 0
