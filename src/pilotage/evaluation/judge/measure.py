"""A judge's verdicts become measures: corrected by people's labels, and worth nothing to a gate without them.

The verdicts part the cases into strata, and each stratum's rate is what people's labels say there. A stratum in which
nobody labelled anything may have any rate, so its interval is the whole scale: without labels all of them have it, and no
gate can open on the judge's word alone. What could not be judged is a stratum of its own, never a pass.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from pilotage.errors import NotMeasured
from pilotage.evaluation.comparison import groups_of
from pilotage.evaluation.judge.verdict import digest_of
from pilotage.evaluation.measures import CONFIDENCE, WORST, Measure
from pilotage.stats.grouped import widening
from pilotage.stats.interval import Interval, paired_difference, wilson
from pilotage.stats.strata import combined

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pilotage.spec.case import Case
    from pilotage.spec.label import Label, Preference

UNREAD = "no verdict"
"""The stratum of cases without a reply, and of answers of the judge that could not be read."""
_CORRECTED = "corrected by people's labels by stratum of verdicts (MOVER of Wilson or Tango intervals)"
_ALONE = "the judge's own word: nobody labelled a reply, so the interval is the whole scale"


class Row(NamedTuple):
    """One case: the replies of both sides (None: none), and the judge's verdicts on them (None: no verdict)."""

    case: Case
    reply: str | None
    right: bool | None
    why: str = ""
    before: str | None = None
    before_right: bool | None = None
    better: str | None = None
    """`first` (the candidate), `second` or `tie`, where both orders were read; `position` where they contradict each other."""

    @property
    def verdict(self) -> str:
        return _word(self.right)

    @property
    def verdicts(self) -> str:
        return f"{_word(self.right)}, {_word(self.before_right)} before"


class People(NamedTuple):
    """People's labels, by case and digests of replies."""

    right: Mapping[tuple[str, str], bool]
    prefers: Mapping[tuple[str, str, str], float]

    def of(self, case: str, reply: str | None) -> bool | None:
        return None if reply is None else self.right.get((case, digest_of(reply)))

    def preference(self, row: Row) -> float | None:
        """Return 1 where people prefer the candidate's reply, 0 where the other's, .5 where neither."""
        if row.reply is None or row.before is None:
            return None
        return self.prefers.get((row.case.id, digest_of(row.reply), digest_of(row.before)))


def people(labels: Sequence[Label], preferences: Sequence[Preference]) -> People:
    """Return the labels by what they are about; where several people labelled one reply, the last one counts."""
    values = {"first": 1.0, "second": 0.0, "tie": 0.5}
    prefers: dict[tuple[str, str, str], float] = {}
    for one in preferences:
        prefers[one.case, one.first, one.second] = values[one.prefers]
        prefers[one.case, one.second, one.first] = 1 - values[one.prefers]
    return People({(one.case, one.reply): one.right for one in labels}, prefers)


def judge_rate(rows: Sequence[Row], said: People, judge: str) -> Measure:
    """Return the share of replies that people would call right."""
    read = [row for row in rows if row.right is not None]
    if not read:
        raise NotMeasured(f"{judge} gave no verdict on any of {len(rows)} replies that could be read")
    labels = {row.case.id: said.of(row.case.id, row.reply) for row in rows}
    labelled = [(row, labels[row.case.id]) for row in rows if labels[row.case.id] is not None]

    def told(row: Row) -> float | None:
        label = labels[row.case.id]
        return None if label is None else float(label)

    found = _by_stratum(rows, lambda row: row.verdict, told, _rate, (0.0, 1.0))
    raw = sum(bool(row.right) for row in read) / len(read)
    agreed = [row.right == label for row, label in labelled if row.right is not None]
    return _measure(
        "judge",
        "share of replies that are right",
        found,
        judge,
        {
            "verdicts": dict(Counter(row.verdict for row in rows)),
            "agreement": sum(agreed) / len(agreed) if agreed else None,
            "worst": [_shown(row) for row in rows if row.right is False][:WORST],
        },
        raw=raw,
        n=len(read),
    )


def judge_difference(rows: Sequence[Row], said: People, judge: str, baseline: str) -> Measure:
    """Return the difference of these shares, candidate minus baseline, on the same cases."""
    read = [row for row in rows if row.right is not None and row.before_right is not None]
    if not read:
        raise NotMeasured(f"{judge} gave no verdict on both sides of any of {len(rows)} cases that could be read")

    def told(row: Row) -> float | None:
        now, before = said.of(row.case.id, row.reply), said.of(row.case.id, row.before)
        return None if now is None or before is None else float(now) - float(before)

    found = _by_stratum(rows, lambda row: row.verdicts, told, _mean_difference, (-1.0, 1.0))
    raw = sum(float(bool(row.right)) - float(bool(row.before_right)) for row in read) / len(read)
    detail = {"verdicts": dict(Counter(row.verdicts for row in rows))}
    what = "difference in the share of right replies"
    return _measure("judge_difference", what, found, judge, detail, raw=raw, n=len(read), baseline=baseline)


def preference(rows: Sequence[Row], said: People, judge: str, baseline: str) -> Measure:
    """Return how often the candidate's reply is preferred, a tie counting half. Orders that contradict each other are a tie."""
    values = {"first": 1.0, "second": 0.0, "tie": 0.5, "position": 0.5}
    read = [row for row in rows if row.better is not None]
    if not read:
        raise NotMeasured(f"{judge} compared no two replies in a way that could be read")

    found = _by_stratum(rows, lambda row: row.better or UNREAD, said.preference, _mean_preference, (0.0, 1.0))
    raw = sum(values[row.better or "tie"] for row in read) / len(read)
    choices = Counter(row.better or UNREAD for row in rows)
    detail = {"choices": dict(choices), "minds_the_order": choices["position"] / len(read)}
    what = "share of cases in which the candidate's reply is preferred, asked in both orders"
    return _measure("preference", what, found, judge, detail, raw=raw, n=len(read), baseline=baseline)


def _by_stratum(
    rows: Sequence[Row],
    stratum: Callable[[Row], str],
    told: Callable[[Row], float | None],
    interval: Callable[[Sequence[float]], Interval],
    scale: tuple[float, float],
) -> Interval:
    """Return the mean of what people told, by stratum; wider where labelled cases come in groups, for groups cross strata."""
    low, high = scale
    strata: dict[str, list[Row]] = {}
    for row in rows:
        strata.setdefault(stratum(row), []).append(row)
    parts: list[tuple[int, Interval]] = []
    labelled: list[tuple[Case, float]] = []
    for here in strata.values():
        known = [(row.case, value) for row in here if (value := told(row)) is not None]
        if not known:
            parts.append((len(here), Interval((low + high) / 2, low, high, 0)))
            continue
        found = interval([value for _, value in known])
        parts.append((len(here), found))
        labelled += [(case, value - found.value) for case, value in known]
    whole = combined(parts, CONFIDENCE)
    groups = groups_of([case for case, _ in labelled])
    if not groups:
        return whole
    factor = widening([residual for _, residual in labelled], groups, CONFIDENCE)
    return Interval(
        whole.value,
        max(low, whole.value - factor * (whole.value - whole.low)),
        min(high, whole.value + factor * (whole.high - whole.value)),
        whole.n,
    )


def _rate(labels: Sequence[float]) -> Interval:
    return wilson(int(sum(labels)), len(labels), CONFIDENCE)


def _mean_difference(differences: Sequence[float]) -> Interval:
    return paired_difference(differences, [0.0] * len(differences), confidence=CONFIDENCE)


def _mean_preference(values: Sequence[float]) -> Interval:
    # A preference from 0 to 1 is half of what a difference from -1 to 1 is, and a half.
    found = _mean_difference([2 * value - 1 for value in values])
    return Interval((found.value + 1) / 2, (found.low + 1) / 2, (found.high + 1) / 2, found.n)


def _measure(
    name: str,
    what: str,
    found: Interval,
    judge: str,
    detail: dict[str, Any],
    *,
    raw: float,
    n: int,
    baseline: str = "",
) -> Measure:
    calibrated = found.n > 0
    value = found.value if calibrated else raw
    return Measure(
        measure=name,
        value=value,
        low=min(found.low, value),
        high=max(found.high, value),
        n=n,
        method=f"{what}, judged by {judge}; {_CORRECTED if calibrated else _ALONE}",
        baseline=baseline,
        detail={"judge": judge, "calibrated": calibrated, "labels": found.n, "uncorrected": raw, **detail},
    )


def _shown(row: Row) -> dict[str, Any]:
    return {
        "case": row.case.id,
        "question": row.case.text[:300],
        "reply": (row.reply or "")[:300],
        "why": f"the judge: {row.why or row.verdict}"[:300],
    }


def _word(right: bool | None) -> str:
    return UNREAD if right is None else "right" if right else "wrong"
