"""What a replay asks: the use case's cases, by the trace's users and sessions, in the trace's sizes where nobody pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.clock import SECOND
from pilotage.staging.replay import Ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pilotage.staging.trace import Arrival

WANTED = " [{} tokens]"
"""How a question says how long its answer is to be."""
_CHARACTERS_A_TOKEN = 4
_MOST_CHARACTERS = 400_000


def asks(
    burst: Sequence[Arrival],
    questions: Sequence[Sequence[dict[str, Any]]],
    factor: float,
    *,
    sized: bool = False,
    overhead: int = 0,
    prompts: Mapping[str, Sequence[dict[str, Any]]] | None = None,
) -> list[Ask]:
    """Return a request for each arrival, `factor` times as fast.

    The requests of one session go on from one question to the next, and all of one user bear the same unit. `sized` makes
    each question as long as the trace says (less `overhead` characters that the prompt adds), and says at its end how long
    its answer is to be, which the stand-in heeds: a variant's own `max_tokens` would win over the request's. `prompts` are
    what was recorded, by inference: it is asked again where it is there.
    """
    begun: dict[str, int] = {}
    found = []
    for index, arrival in enumerate(burst):
        if arrival.session:
            # Sessions begin at different questions, in order of their coming.
            number = begun.setdefault(arrival.session, len(begun))
            begun[arrival.session] = number + 1
        else:
            number = index
        messages = (prompts or {}).get(arrival.inference) or questions[number % len(questions)]
        if sized and arrival.input_tokens is not None and arrival.output_tokens is not None:
            wanted = WANTED.format(max(1, arrival.output_tokens))
            messages = _sized(messages, arrival.input_tokens * _CHARACTERS_A_TOKEN - overhead, wanted)
        unit = f"replay-{arrival.user}"[:128] if arrival.user.isascii() and arrival.user.isprintable() else ""
        found.append(
            Ask(
                at=arrival.at / SECOND / factor,
                messages=messages,
                unit=unit if arrival.user else "",
            )
        )
    return found


def _sized(messages: Sequence[dict[str, Any]], characters: int, wanted: str) -> list[dict[str, Any]]:
    """Return the messages with the last one's text repeated or cut so that all have so many characters, as far as it goes."""
    *before, last = messages
    text = last.get("content")
    if not isinstance(text, str) or not text:
        return list(messages)
    # Quotes, names and brackets around each message count where tokens are counted by bytes.
    around = sum(len(str(one.get("content", ""))) + 28 for one in before) + 28
    size = min(max(1, characters - around - len(wanted)), _MOST_CHARACTERS)
    whole = (text + " ") * (size // (len(text) + 1) + 1)
    return [*before, {**last, "content": (whole[:size].strip() or text[:1]) + wanted}]
