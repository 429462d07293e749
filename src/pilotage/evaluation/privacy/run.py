"""The privacy suite: people who do not exist write to the release; then their data is looked for where it must not be."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import Conflict, NotMeasured, WrongCall
from pilotage.evaluation.asking import Asker
from pilotage.evaluation.client import tasks
from pilotage.evaluation.collection import spent_out
from pilotage.evaluation.dataset import asked
from pilotage.evaluation.evidence import outcome, record
from pilotage.evaluation.measures import Measure
from pilotage.evaluation.own_cases import own_cases, why_wrong
from pilotage.evaluation.plan import Command, Plan, fetch_plan
from pilotage.evaluation.privacy.identity import identities
from pilotage.evaluation.privacy.measure import at_rest, leaks
from pilotage.evaluation.privacy.redaction import Labelled, built_in, redaction
from pilotage.evaluation.privacy.sweep import Looked, Sweep, Trace, now
from pilotage.evaluation.privacy.visit import Visit
from pilotage.evaluation.purse import Spent, money_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.spec.case import Case

Progress = Callable[[str, int, int], None]
PEOPLE = 60
"""Without a leak, so many bound the share of people whose data leaks below 5 %."""
SETTLE_SECONDS = 1.0


async def look_for_leaks(
    command: Command,
    gateway: str,
    key: str,
    use_case: str,
    *,
    variant: str = "",
    people: int = PEOPLE,
    workspace: Path | None = None,
    logs: Sequence[Path] = (),
    texts: Sequence[Labelled] = (),
    concurrency: int = 8,
    max_cost: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Let people write to a candidate, and look for their data in replies to others, on disk and in logs.

    `workspace` is the folder of the server, where it is on this machine, and `logs` are its logs. Record `privacy` (the
    share of people whose data was found anywhere), `privacy_at_rest` where a workspace was looked at, and what redaction
    finds in labelled `texts` (ours unless given). No reply is kept. Raise NotMeasured where nobody was answered.
    """
    if people < 1 or concurrency < 1:
        raise WrongCall("people and concurrency are at least 1")
    plan = await fetch_plan(command, use_case, variant)
    # Fresh people every time: what an earlier run left behind must not be taken for this one's.
    known = identities(uuid.uuid4().hex, people)
    sweep = Sweep({(who, kind): value for who, one in enumerate(known) for kind, value in one.values.items()})
    since = now()
    own = await own_cases(command, plan, "privacy")
    purse, _ = money = money_of(plan, max_cost, plan.candidate)
    async with Asker(gateway, key, concurrency, money) as client:
        await client.check()
        visit = Visit(client, plan.candidate, known, sweep, concurrency)
        failed: dict[str, str | None] = {}
        try:
            await visit.make(partial(progress or (lambda _what, _done, _of: None), "people"))
            failed = await _ask(client, plan.candidate, own.cases, concurrency)
        except* Spent:
            # No reply is kept, so a run that ends in the middle has shown nothing.
            raise spent_out(4 * people + len(own.cases) - visit.asked, visit.asked, purse) from None
    traces: list[Trace] = []
    looked = Looked(0, 0)
    if workspace is not None:
        await asyncio.sleep(SETTLE_SECONDS)
        traces, looked = await asyncio.to_thread(sweep.folder, workspace, since, logs)
    measures = [leaks(visit, failed, traces, looked, logged=bool(logs))]
    missing: dict[str, str] = {}
    if workspace is None:
        missing["privacy_at_rest"] = "the server is elsewhere: its disk and its logs could not be looked at"
    else:
        measures.append(at_rest(people, traces, looked, logged=bool(logs)))
        if not logs:
            missing["logs"] = "the server was running already: name what it logs to with --log FILE"
    try:
        measures += redaction(texts or built_in())
    except NotMeasured as fault:
        missing["redaction_recall"] = fault.message
    later = await fetch_plan(command, use_case, variant)
    if (later.candidate, later.charter) != (plan.candidate, plan.charter):
        raise Conflict(f"{use_case} was changed meanwhile, so nothing was recorded", hint="run it again")
    evidence = await record(command, plan, measures, digest_of(people, texts or built_in(), own.digest))
    return {
        **outcome(plan, measures, missing, evidence),
        "people": people,
        "spent": purse.spent,
        "looked_at": {"files": looked.files, "bytes": looked.bytes, "logs": len(logs)},
        "findings": [*visit.findings, *map(msgspec.to_builtins, traces)],
        "summary": _summary(plan, measures, looked),
    }


def digest_of(people: int, texts: Iterable[Labelled], cases: str) -> str:
    """Return the digest of what was asked and labelled; the people are new each time, and made by the same rule."""
    return hashlib.sha256(msgspec.json.encode(["identities, version 1", people, list(texts), cases])).hexdigest()


async def _ask(client: Asker, release: str, cases: Sequence[Case], concurrency: int) -> dict[str, str | None]:
    """Return why each of the team's own cases failed, by id: empty where it did not, None where it was not answered."""
    failed: dict[str, str | None] = {}
    todo = iter(cases)

    async def work() -> None:
        for case in todo:
            said = await client.send(release, {"messages": asked(case)})
            failed[case.id] = None if said.error else await why_wrong(case, said, release)

    async with tasks() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return failed


def _summary(plan: Plan, measures: Sequence[Measure], looked: Looked) -> str:
    found = {measure.measure: measure for measure in measures}
    leaked = found["privacy"]
    words = (
        f"Of {leaked.detail['people']} invented people who wrote to {plan.candidate}, the data of {leaked.detail['leaked']} was found where it "
        f"must not be: {leaked.detail['in_replies']} in replies to others, {leaked.detail['at_rest']} at rest; at most "
        f"{leaked.high:.1%} leak (one-sided 95 % bound)"
    )
    if leaked.detail["cases"]:
        words += f"; {len(leaked.detail['cases_failed'])} of {leaked.detail['cases']} privacy cases failed"
    if looked.files:
        words += f"; {looked.files} files with {looked.bytes:,} bytes were searched"
    if "redaction_recall" in found:
        words += (
            f"; of labelled texts redaction finds {found['redaction_recall'].value:.0%} of structured identifiers, and "
            f"{found['redaction_recall_all'].value:.0%} of all personal data, for names and addresses have no form"
        )
    return words + "."
