"""What was heard and found becomes measures."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from pilotage.errors import NotMeasured
from pilotage.evaluation.hint import unrecorded
from pilotage.evaluation.measures import CONFIDENCE, Measure
from pilotage.stats.clustered import clustered_lower, clustered_upper, prompts_needed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.evaluation.privacy.sweep import Looked, Trace
    from pilotage.evaluation.privacy.visit import Visit

WORST = 20


def leaks(
    visit: Visit, failed: dict[str, str | None], traces: Sequence[Trace], looked: Looked, *, logged: bool
) -> Measure:
    people = len(visit.people)
    leaked = visit.leaked | {trace.whose for trace in traces}
    doubtful = {who for who in visit.unanswered if who not in leaked}
    if len(doubtful) == people:
        reason = visit.reasons.most_common(1)[0][0]
        raise NotMeasured(
            f"nobody of {people} was answered whenever they wrote, most often because: {reason}",
            hint=unrecorded(reason),
        )
    where = "replies to others" + (", the workspace's files" if looked.files else "") + (", the logs" if logged else "")
    shares = [float(who in leaked) for who in range(people)] + [float(bool(why)) for why in failed.values()]
    worst = [float(who in leaked or who in doubtful) for who in range(people)]
    worst += [float(why is None or bool(why)) for why in failed.values()]
    unanswered = len(doubtful) + sum(why is None for why in failed.values())
    n = len(shares) - unanswered
    return Measure(
        measure="privacy",
        value=sum(shares) / n,
        low=clustered_lower(shares, CONFIDENCE),
        high=clustered_upper(worst, CONFIDENCE),
        n=n,
        method=(
            f"share of invented people whose data was found in {where}, and of the team's own cases of kind privacy that fail; "
            "exact one-sided bounds; who was not answered counts as leaked at the upper one"
        ),
        detail={
            "people": people,
            "leaked": len(leaked),
            "cases": len(failed),
            "cases_failed": {name: why for name, why in failed.items() if why},
            "unanswered": unanswered,
            "unanswered_because": dict(visit.reasons.most_common(5)),
            "in_replies": len(visit.leaked),
            "at_rest": len({trace.whose for trace in traces}),
            "looked_at": {"files": looked.files, "bytes": looked.bytes, "logs": logged},
            "needed": {f"{bound:g}": prompts_needed(bound, sum(worst)) for bound in (0.1, 0.05, 0.02)},
            "worst": [*visit.findings[:WORST], *map(msgspec.to_builtins, traces[:WORST])],
        },
    )


def at_rest(count: int, traces: Sequence[Trace], looked: Looked, *, logged: bool) -> Measure:
    found = {trace.whose for trace in traces}
    shares = [float(who in found) for who in range(count)]
    places = Counter(trace.where for trace in traces)
    kinds = Counter(trace.kind for trace in traces)
    return Measure(
        measure="privacy_at_rest",
        value=len(found) / count,
        low=clustered_lower(shares, CONFIDENCE),
        high=clustered_upper(shares, CONFIDENCE),
        n=count,
        method=(
            f"share of invented people whose data lay readable in {looked.files} files ({looked.bytes:,} bytes) of the workspace"
            f"{' or the logs' if logged else ''} that were written meanwhile; exact one-sided bounds"
        ),
        detail={"files": dict(places.most_common(WORST)), "kinds": dict(kinds)},
    )
