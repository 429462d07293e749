"""What providers ask in public: a dated table beside this module. What a file says of its own wins over it."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import msgspec

from pilotage.spec.price import MILLION, Price

if TYPE_CHECKING:
    from collections.abc import Mapping

CURRENCY = "USD"
_SNAPSHOT = re.compile(r"(-\d{4}-\d{2}-\d{2}|-\d{8}|-latest)$")


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model's price in US dollars: for a million tokens in and out, a picture, a million characters read aloud."""

    input: float = 0
    output: float = 0
    image: float = 0
    speech: float = 0


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one provider asks, where that stood, and when it was read."""

    source: str
    date: dt.date
    models: dict[str, Listed]


@cache
def sources() -> Mapping[str, tuple[Source, ...]]:
    """Return every provider's prices, by its name in providers.toml."""
    text = resources.files("pilotage.spec").joinpath("prices.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), dict[str, tuple[Source, ...]])


def listed(provider: str, model: str) -> Listed | None:
    """Return a model's public price; a dated snapshot without a line of its own has its model's."""
    lines = {name: line for source in sources().get(provider, ()) for name, line in source.models.items()}
    return lines.get(model) or lines.get(_SNAPSHOT.sub("", model))


def converted(found: Listed, dollar: float) -> Price:
    """Return it in a currency of which one US dollar is `dollar`."""
    return Price(
        *(round(amount * dollar * MILLION) for amount in (found.input, found.output, found.image, found.speech))
    )
