"""Evidence and what evaluations need: the plan, the files, answers that were paid for already."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from pilotage.clock import new_id
from pilotage.errors import Denied, NotFound, Refused, WrongCall
from pilotage.governance import ledger, standing
from pilotage.governance.context import Text
from pilotage.governance.serving_row import compile_route
from pilotage.records import Evidence as Fact
from pilotage.spec.pattern import matching

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.status import UseCaseStatus
    from pilotage.store.base.registered import Registered
    from pilotage.store.base.transaction import Transaction

Words = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]


class RecordEvidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One measured fact; `low` and `high` bound `value`, `data` is the digest of what it was measured on."""

    use_case: Text
    release: Text
    measure: Words
    value: float
    low: float
    high: float
    n: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    method: Words
    data: Text
    baseline: Text = ""
    confidence: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.95
    detail: dict[str, Any] = {}


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text
    release: Text = ""


class EvaluationPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`variant` names one of several candidates; empty: the first of them. `against` names any variant of the file."""

    use_case: Text
    variant: Text = ""
    against: Text = ""


class RouteOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text


class Blob(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    digest: Text


class Results(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`run` is the caller's own name for a set of answers, within the use case."""

    use_case: Text
    run: Words


class RecordResults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text
    run: Words
    results: dict[str, dict[str, Any]]


def record_evidence(context: Context, actor: Actor, arguments: RecordEvidence) -> dict[str, Any]:
    """Put one measured fact on record, under the present charter. All of it stays; the newest counts."""
    if not all(map(math.isfinite, (arguments.value, arguments.low, arguments.high))):
        raise WrongCall("value, low and high must be finite", hint="what could not be measured is not evidence")
    if arguments.low > arguments.high:
        raise WrongCall(f"low ({arguments.low:g}) is above high ({arguments.high:g})")
    now = context.clock.now()
    with context.store.write() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        known = tx.releases.of(arguments.use_case)
        for release in filter(None, (arguments.release, arguments.baseline)):
            if release not in known:
                raise NotFound(
                    f"{arguments.use_case} has no release {release}",
                    hint=f"the candidate is {stands.status.candidate or 'none'}",
                )
        fact = Fact(
            id=new_id(context.clock),
            charter=stands.status.charter,
            at=now,
            actor=actor.id,
            **msgspec.structs.asdict(arguments),
        )
        tx.evidence.put(fact)
        detail = msgspec.to_builtins(fact)
        entry = ledger.append(tx, at=now, actor=actor.id, action="evidence", use_case=arguments.use_case, detail=detail)
        return {"id": fact.id, "use_case": fact.use_case, "release": fact.release, "ledger": entry.seq}


def evidence(context: Context, _: Actor, arguments: Evidence) -> dict[str, Any]:
    """Return all evidence, oldest first; `counts` says whether it is of the present charter."""
    with context.store.read() as tx:
        status = standing.standing(tx, arguments.use_case).status
        facts = tx.evidence.of(arguments.use_case, release=arguments.release)
        return {"evidence": [{**msgspec.structs.asdict(f), "counts": f.charter == status.charter} for f in facts]}


def evaluation_plan(context: Context, _: Actor, arguments: EvaluationPlan) -> dict[str, Any]:
    """Return what an evaluation measures: the candidate, what it is compared with, and the case files."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        registered, spec = stands.registered, stands.spec
        own = spec.evaluation
        candidate = _candidate(stands.status, arguments.variant)
        against = _variant(registered, arguments.against)
        judge = registered.releases.get(own.judge or "", "")
        prompts = {name: _prompt(tx, name) for name in (candidate, against, stands.status.live, judge) if name}
        return {
            "use_case": registered.name,
            "charter": stands.status.charter,
            "candidate": candidate,
            "baseline": stands.status.live,
            "against": against,
            "prompts": prompts,
            "spec": registered.spec,
            "cases": _files(registered, own.cases),
            "probes": _files(registered, own.probes),
            "templates": _files(registered, own.templates),
            "judge": judge,
            "labels": _files(registered, own.labels),
        }


def _files(registered: Registered, patterns: Iterable[str]) -> list[dict[str, str]]:
    paths = {path for pattern in patterns for path in matching(pattern, registered.files)}
    return [{"path": path, "digest": registered.files[path]} for path in sorted(paths)]


def _prompt(tx: Transaction, reference: str) -> str:
    release = tx.releases.get(reference)
    return release.prompt if release else ""


def _variant(registered: Registered, variant: str) -> str:
    """Return the release of any of the file's variants; empty where none is asked for."""
    if variant and variant not in registered.releases:
        raise Refused(
            f"{registered.name} has no variant {variant!r}", hint=f"the file has: {', '.join(registered.releases)}"
        )
    return registered.releases.get(variant, "")


def route(context: Context, _: Actor, arguments: RouteOf) -> dict[str, Any]:
    """Return what the gateway serves of a use case: what a staging copy is made of."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        return {"route": msgspec.json.decode(compile_route(tx, stands.status, stands.registered, stands.spec))}


def _candidate(status: UseCaseStatus, variant: str) -> str:
    for release in status.candidates:
        if not variant or release.startswith(f"{status.use_case}/{variant}@"):
            return release
    if variant:
        known = ", ".join(release.partition("/")[2].partition("@")[0] for release in status.candidates) or "none"
        raise Refused(f"{variant} is no candidate of {status.use_case}", hint=f"on their way: {known}")
    return ""


def blob(context: Context, actor: Actor, arguments: Blob) -> dict[str, Any]:
    """Return a registered file's bytes; a key of some use cases sees only the files of these."""
    with context.store.read() as tx:
        if actor.use_cases:
            mine = (tx.use_cases.get(name) for name in actor.use_cases)
            if not any(registered and arguments.digest in registered.files.values() for registered in mine):
                raise Denied(f"{actor.id} may not see this file", hint="it belongs to none of its use cases")
        data = tx.blobs.get(arguments.digest)
    if data is None:
        raise NotFound(f"there is no file {arguments.digest}", hint="`evaluation_plan` lists a use case's files")
    return {"data": base64.b64encode(data).decode()}


def results(context: Context, _: Actor, arguments: Results) -> dict[str, Any]:
    """Return the answers that were kept under this run of the use case, by case."""
    with context.store.read() as tx:
        standing.standing(tx, arguments.use_case)
        return {"results": tx.results.get(_kept_as(arguments))}


def record_results(context: Context, _: Actor, arguments: RecordResults) -> dict[str, Any]:
    """Keep finished answers, so that nothing is paid for twice; an answer that is there already stays."""
    if not arguments.results:
        raise Refused("no results were given", hint="send {case: result}")
    with context.store.write() as tx:
        standing.standing(tx, arguments.use_case, serving=True)
        for case, result in arguments.results.items():
            tx.results.put(_kept_as(arguments), case, result)
    return {"use_case": arguments.use_case, "run": arguments.run, "recorded": len(arguments.results)}


def _kept_as(arguments: Results | RecordResults) -> str:
    """Return the run's name in the store. No use case's name holds a slash, so no run reaches into another's."""
    return f"{arguments.use_case}/{arguments.run}"
