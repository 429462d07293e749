"""What a release costs, as the workers reckon it. Free of pydantic, for the gateway reads it."""

from __future__ import annotations

import msgspec

MILLION = 1_000_000


class Price(msgspec.Struct, frozen=True, omit_defaults=True):
    """Millionths of the currency: for a million tokens in and out, for one picture, for a million characters read aloud."""

    input: int = 0
    output: int = 0
    image: int = 0
    speech: int = 0

    def cost(self, tokens_in: int, tokens_out: int, pictures: int = 0, characters: int = 0) -> int:
        """Return millionths, rounded up: what is counted is never less than what is owed."""
        counted = tokens_in * self.input + tokens_out * self.output + characters * self.speech
        return pictures * self.image - (-counted // MILLION)


FREE = Price()
