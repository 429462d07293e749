"""Tells whether what people ask, or what they are answered, has moved away from what it was in the release's first days.

Every trait (`decision.traits`) becomes slices, each of which a request is in or not: longer than nine in ten were, in German,
of the seventh topic, unlike any before. What was learned gives the part of requests in each slice; from then on a slice is
one rate, held against the upper limit of that by the detectors of `decision.watch`, with its hour of the week and its
date of change. A slice that shrinks is another one that grows, so only growth is looked for.

All slices share `DRIFT_PART` of the file's one promise about false alarms.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.decision.batch import Batch, Cell
from pilotage.decision.method import Rate
from pilotage.decision.stratum import Arm
from pilotage.decision.stream import LIMIT, Question, Stream
from pilotage.decision.traits import FACTS, KINDS, NUMBERS, Traits, of_texts
from pilotage.decision.watch import DRIFT_PART, Setting, Watching
from pilotage.stats.topics import KEPT, Counted, Topics, Vocabulary, counted, learn, vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from pilotage.spec.watch import Watch

    Matrix = NDArray[np.float32]

FEWEST = 200
"""Requests that a slice must have been looked for in, to be watched."""
ANOTHER = "another"
MOST_KINDS = 24
EXAMPLES = 10
_MADE_OF = 1_000
"""Texts that topics are made of; of the others, how common they are is known the better the more there are."""
_TAIL = 0.1
_SHARE = 0.02
_FALLS_FROM = 0.05
_LEAST_SCALE = 0.01
_PART_OF_LEVEL = 0.25


class Asked(msgspec.Struct, frozen=True):
    """One request: its id, its traits, its text's pieces where texts are kept, and its text's vector where somebody embeds it."""

    id: str
    traits: Traits
    text: Counted | None = None
    vector: Matrix | None = None


class Reference(msgspec.Struct, frozen=True):
    """What was learned: from where on a number is small or large, the kinds there are, and (requests in it, of) by slice.

    `embedding` is the release in whose vectors the topics lie; empty where they are of hashed pieces.
    """

    cuts: dict[str, tuple[float, float]]
    kinds: dict[str, tuple[str, ...]]
    slices: dict[str, tuple[int, int]]
    topics: Topics | None = None
    vocabulary: Vocabulary | None = None
    embedding: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """How far it was looked, what that has shown, the newest requests in each slice that has grown, and the models heard of."""

    until: int
    watching: Watching
    examples: dict[str, tuple[str, ...]] = {}
    models: tuple[str, ...] = ()


def read(id_: str, figures: Traits, texts: tuple[str, str] | None, finish_reason: str, seed: int) -> Asked:
    """Return one request as it is looked at. `texts` are the question and the reply, None where they are not kept."""
    if texts is None:
        return Asked(id_, figures)
    told = of_texts(*texts, finish_reason)
    both = Traits(figures.numbers | told.numbers, figures.facts | told.facts, figures.kinds | told.kinds)
    return Asked(id_, both, counted(texts[0], seed))


def learned(asked: Sequence[Asked], rng: np.random.Generator, embedding: str = "") -> Reference:
    """Return what these requests show. Topics are made of some of them, and the others say how common they are.

    With `embedding`, the release that has embedded them, the topics are of vectors.
    """
    order = [asked[int(at)] for at in rng.permutation(len(asked))]
    reference = Reference({}, {}, {}, embedding=embedding)
    with_text = [one for one in order if _is_told(one, reference)]
    if len(with_text) > 2 * FEWEST:
        made = min(_MADE_OF, len(with_text) // 2)
        words = vocabulary([one.text for one in with_text[:made] if one.text])
        reference = msgspec.structs.replace(reference, vocabulary=words)
        rows = _rows(with_text, reference)
        topics = learn(rows[:made], rows[made:], rng, rows.shape[1] if embedding else KEPT)
        reference = msgspec.structs.replace(reference, topics=topics)
        made_of = {one.id for one in with_text[:made]}
        order = [one for one in order if one.id in made_of] + told(
            [one for one in order if one.id not in made_of], reference
        )
    numbers: dict[str, list[float]] = {}
    kinds: dict[str, Counter[str]] = {}
    for one in order:
        for name, value in one.traits.numbers.items():
            numbers.setdefault(name, []).append(value)
        for name, kind in one.traits.kinds.items():
            kinds.setdefault(name, Counter())[kind] += 1
    cuts = {
        name: (float(np.quantile(values, _TAIL)), float(np.quantile(values, 1 - _TAIL)))
        for name, values in sorted(numbers.items())
        if len(values) >= FEWEST
    }
    common = {
        name: tuple(sorted(kind for kind, n in found.most_common(MOST_KINDS) if n >= _SHARE * found.total()))
        for name, found in sorted(kinds.items())
        if found.total() >= FEWEST
    }
    reference = msgspec.structs.replace(reference, cuts=cuts, kinds=common)
    counts: dict[str, tuple[int, int]] = {}
    for one in order:
        for name, inside in _slices(reference, one.traits):
            yes, n = counts.get(name, (0, 0))
            counts[name] = (yes + inside, n + 1)
    kept = {
        name: (yes, n)
        for name, (yes, n) in sorted(counts.items())
        if n >= FEWEST and (not name.endswith("-") or yes >= _FALLS_FROM * n)
    }
    return msgspec.structs.replace(reference, slices=kept)


def setting(reference: Reference, watch: Watch) -> Setting:
    """Return what is asked of each slice, and the lines that it crosses."""
    # The limits of all slices hold at once (Bonferroni): with fifty of them, one of each would be wrong in one use case of four.
    limit = 1 - (1 - LIMIT) / max(1, len(reference.slices))
    asked = {
        name: Question(name, Rate(), falls=False, scale=scale_of_slice(yes / n), limit=limit)
        for name, (yes, n) in reference.slices.items()
    }
    many = max(1, len(asked)) / DRIFT_PART / watch.tick
    return Setting(asked, watch, 1.0, math.log(watch.false_alarms * many), math.log(watch.false_actions * many))


def begin(reference: Reference) -> Watching:
    streams = {}
    for name, (yes, n) in reference.slices.items():
        streams[name] = Stream(learned=Arm(n, yes, yes / n, yes * (n - yes) / n), ready=True)
    return Watching(streams=streams)


def gathered(reference: Reference, asked: Sequence[Asked], at: int) -> tuple[Batch, dict[str, list[str]]]:
    """Return how many of these requests are in each slice, and which ones, as a tick that ends at a time."""
    inside: dict[str, list[str]] = {}
    counts: dict[str, int] = {}
    for one in told(asked, reference):
        for name, is_in in _slices(reference, one.traits):
            if name in reference.slices:
                counts[name] = counts.get(name, 0) + 1
                if is_in:
                    inside.setdefault(name, []).append(one.id)
    cells: dict[str, tuple[Cell, ...]] = {}
    for name, n in counts.items():
        yes = len(inside.get(name, ()))
        cells[name] = (Cell(1, 1, 1, (yes, n - yes)),)
    return Batch(at=at, metrics=cells), inside


def examples(before: Drift, watching: Watching, inside: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the newest requests in each slice that has been growing, as far back as it has."""
    found = {}
    for name, stream in watching.streams.items():
        if stream.cusum > 0:
            kept = [*before.examples.get(name, ()), *inside.get(name, ())][-EXAMPLES:]
            if kept:
                found[name] = tuple(kept)
    return found


def slice_text(name: str) -> str:
    """Say what is in a slice: `longer replies (in tokens)`."""
    if name[-1] in "<>":
        more = name[-1] == ">"
        return NUMBERS[name[:-1]].format("longer" if more else "shorter", "more" if more else "less")
    if name[-1] in "+-":
        return FACTS[name[:-1]] if name[-1] == "+" else f"what is not {FACTS[name[:-1]]}"
    kind, _, value = name.partition("=")
    if kind == "topic":
        return "questions of a rarer topic" if value == ANOTHER else f"questions of topic {value}"
    return f"{KINDS[kind]} {'another language' if value == ANOTHER else value}"


def told(asked: Sequence[Asked], reference: Reference) -> list[Asked]:
    """Return requests with what their texts are beside what was learned."""
    topics, words = reference.topics, reference.vocabulary
    with_text = [one for one in asked if _is_told(one, reference)]
    if topics is None or words is None or not with_text:
        return list(asked)
    near, far = topics.look(_rows(with_text, reference))
    found = {}
    for one, topic, distance in zip(with_text, near.tolist(), far.tolist(), strict=True):
        assert one.text is not None, "it was chosen for having one"
        traits = Traits(
            one.traits.numbers | {"unfamiliar": words.unfamiliar(one.text)},
            one.traits.facts | {"novel": distance > topics.strange},
            one.traits.kinds | {"topic": str(topic + 1)},
        )
        found[one.id] = msgspec.structs.replace(one, traits=traits)
    return [found.get(one.id, one) for one in asked]


def _is_told(one: Asked, reference: Reference) -> bool:
    """Return whether a request can be held against topics: it has words, and a vector where topics are of those."""
    if one.text is None or not one.text.pieces:
        return False
    if not reference.embedding:
        return True
    return one.vector is not None and (reference.topics is None or len(one.vector) == reference.topics.width)


def _rows(with_text: Sequence[Asked], reference: Reference) -> Matrix:
    if reference.embedding:
        return np.stack([one.vector for one in with_text if one.vector is not None])
    assert reference.vocabulary is not None, "it is learned before any topic"
    return reference.vocabulary.rows([one.text for one in with_text if one.text])


def _slices(reference: Reference, traits: Traits) -> Iterator[tuple[str, bool]]:
    """Yield every slice that a request could be in, and whether it is."""
    for name, value in traits.numbers.items():
        if name in reference.cuts:
            low, high = reference.cuts[name]
            yield f"{name}<", value < low
            yield f"{name}>", value > high
    for name, so in traits.facts.items():
        yield f"{name}+", so
        yield f"{name}-", not so
    for name, kind in traits.kinds.items():
        if name in reference.kinds:
            for one in reference.kinds[name]:
                yield f"{name}={one}", kind == one
            yield f"{name}={ANOTHER}", kind not in reference.kinds[name]


def scale_of_slice(rate: float) -> float:
    """Return the growth that bets lie around: a quarter of the slice, or of what lies outside it."""
    return max(_LEAST_SCALE, _PART_OF_LEVEL * min(rate, 1 - rate))
