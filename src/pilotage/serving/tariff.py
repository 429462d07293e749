"""What a request to a use case may cost at worst, whoever answers: prices and lengths of all that may be asked for it.

One figure for all sides of a rollout, though one of them be cheaper: near its end, a budget turns requests of both away
alike, and so does not change who is compared with whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pilotage.serving.request import BOUNDS, Request, wrong
from pilotage.spec.price import FREE, Price

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.spec.release import Release
    from pilotage.spec.route import Route

_FRAME = 512
"""Bytes that may come to a request's own on its way out, beside a prompt: names of fields, a model, a digest."""
PLAIN = 4_096
"""Bytes of a request as most are: what a share of a budget is made ready for."""
_UNSEEN = 50_000
"""Tokens that a picture or a file may be: of one that stands elsewhere, the request's bytes tell nothing. The dearest that
a provider documents (a large picture in high detail) is some 48,000."""
_TEXTS = frozenset({"text", "input_text", "output_text", "refusal"})
_MOST = 1 << 40


class Worst(NamedTuple):
    """What an answer may be at most: tokens of it, tokens of what its request only points to, pictures, characters read."""

    tokens: int = 0
    unseen: int = 0
    pictures: int = 0
    characters: int = 0


class Tariff(NamedTuple):
    """`dearest` has, of each price, the highest of any release. `fixed` is 0 where not every release fixes a length."""

    dearest: Price
    prompt: int = 0
    longest: int = 0
    fixed: bool = False
    choices: int = 1
    unpriced: bool = False

    @property
    def free(self) -> bool:
        return self.dearest == FREE

    def size(self, body: int) -> int:
        """Return the bytes that may go out for a request of so many. No token is shorter than a byte."""
        return body + self.prompt + _FRAME

    def worst(self, size: int, answer: Worst) -> int:
        """Return the most that so many bytes and such an answer cost, in millionths."""
        return self.dearest.cost(size + answer.unseen, answer.tokens, answer.pictures, answer.characters)

    def answer(self, request: Request, longest: int) -> Worst:
        """Return the most that is answered; a request that does not say how many tokens is told `longest` as its limit.

        Raises RequestError where what it says is no number of tokens.
        """
        body = request.body
        choices = max(self.choices, 1)
        if body.get("n") is not None:
            choices = min(max(_whole(body, "n"), choices), _MOST)
        unseen = 0
        for message in request.messages:
            if isinstance(content := message.get("content"), list):
                unseen += _UNSEEN * _pointers(content)
        if not request.bounds:
            most = (request.answer_most or longest) * choices if request.answers_tokens else 0
            return Worst(most, unseen, choices if request.pictures else 0, request.characters)
        said = [_whole(body, name) for name in request.bounds if body.get(name) is not None]
        if not said:
            body[request.bounds[0]] = longest
            said = [longest]
        most = self.longest if self.fixed and request.chats else max(self.longest, *said)
        return Worst(min(most * choices, _MOST), unseen)


def tariff(route: Route, references: Iterable[str]) -> Tariff:
    """Return what those releases may cost, with the fallbacks of each.

    One without a price (it is from before there was one) counts at the dearest of its use case.
    """
    asked = {name: route.releases[name] for name in references if name in route.releases}
    for release in list(asked.values()):
        asked |= {name: route.releases[name] for name in release.fallbacks if name in route.releases}
    prices = [route.price(name, release) for name, release in asked.items()]
    unpriced = None in prices
    if unpriced:
        prices += [route.price(name, release) for name, release in route.releases.items()]
    models = [one for one in asked.values() if one.upstream.kind != "search"]
    bounds = [max((_number(one, name) for name in BOUNDS), default=0) for one in models]
    known = [price for price in prices if price is not None]
    return Tariff(
        dearest=Price(*(max((getattr(one, name) for one in known), default=0) for name in Price.__struct_fields__)),
        prompt=max((len(one.prompt.encode()) for one in models), default=0),
        longest=max(bounds, default=0),
        fixed=bool(bounds) and all(bounds),
        choices=max((_number(one, "n") for one in models), default=1),
        unpriced=unpriced,
    )


def assignable(route: Route) -> tuple[str, ...]:
    """Return every release that a request without a pin may get."""
    split = route.allocation
    return (route.live,) if split is None else (route.live, split.baseline, split.candidate, *split.rivals)


def _pointers(content: list[Any]) -> int:
    """Return how many parts of a message are no text."""
    return sum(isinstance(part, dict) and part.get("type") not in _TEXTS for part in content)


def _whole(body: dict[str, object], name: str) -> int:
    value = body[name]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong(name, value, "a whole number of at least 1")
    return value


def _number(release: Release, name: str) -> int:
    value = release.parameters.get(name)
    return value if isinstance(value, int) and value > 0 else 0
