"""What a release asks for, and what one reply took by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pilotage.evaluation.client import Reply

MILLION = 1_000_000


class Price(NamedTuple):
    """Money for a million tokens (in, out), for a picture, and for a million characters that are read aloud."""

    input: float
    output: float
    image: float = 0.0
    speech: float = 0.0

    @property
    def free(self) -> bool:
        return not any(self)


def paid(reply: Reply, price: tuple[float, ...]) -> float | None:
    """Return the money that a reply took; None where it does not say how many tokens, and a token costs something.

    Pictures and sound whose reply counts no tokens, for a price by the piece, are paid by the piece alone.
    """
    price = Price(*price)
    pieces = reply.pictures * price.image + reply.characters * price.speech / MILLION
    if reply.input_tokens is None or reply.output_tokens is None:
        by_the_piece = (reply.pictures and price.image) or (reply.characters and price.speech)
        return pieces if by_the_piece or not (price.input or price.output) else None
    return pieces + (reply.input_tokens * price.input + reply.output_tokens * price.output) / MILLION
