"""What rechecks of a live release's model and quality have shown, and the alarms that come of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import numpy as np

from pilotage import __version__
from pilotage.clock import new_id
from pilotage.decision import rounds
from pilotage.decision.measured import COMPARED, lasts, measured_criteria, measured_line, newest
from pilotage.decision.rounds import Rounds, Said
from pilotage.decision.verdict import Verdict
from pilotage.decision.wording import variant_of
from pilotage.errors import Refused
from pilotage.governance import standing
from pilotage.governance.alarms import raise_alarm
from pilotage.governance.context import Text
from pilotage.governance.organisation import rules_of
from pilotage.records import Alarm
from pilotage.status import ROAD

if TYPE_CHECKING:
    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.store.base.transaction import Transaction

Names = Annotated[tuple[Text, ...], msgspec.Meta(max_length=20)]


class RecheckPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    use_case: Text


class RecordRound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One round of probes: what was said by question, the models and fingerprints that were named, how many were refused and why."""

    use_case: Text
    release: Text
    said: Annotated[dict[str, Said], msgspec.Meta(max_length=200)]
    models: Names = ()
    fingerprints: Names = ()
    refused: Annotated[int, msgspec.Meta(ge=0)] = 0
    why: Text = ""


class RecordRecheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a release's cases were asked again: right now minus right before on the same cases, with its interval."""

    use_case: Text
    release: Text
    value: float
    low: float
    high: float
    n: Annotated[int, msgspec.Meta(ge=1)]


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    rounds: Rounds
    version: str = __version__


_kept = msgspec.msgpack.Decoder(_Kept)


def recheck_plan(context: Context, _: Actor, arguments: RecheckPlan) -> dict[str, Any]:
    """Return which releases are rechecked: the live one first, then those that answer when it fails."""
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        return {"releases": serves_of(tx, stands)}


def record_round(context: Context, actor: Actor, arguments: RecordRound) -> dict[str, Any]:
    """Take in one round of probes; raise an alarm where the model is another one, or is not to be asked."""
    del actor
    now = context.clock.now()
    raised: list[Alarm] = []
    with context.store.write() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        _must_serve(tx, stands, arguments.release)
        if not stands.spec.watch.recheck:
            raise Refused(f"{arguments.use_case} is not rechecked", hint='write recheck = "6h" under [watch]')
        name = _name(arguments.use_case, arguments.release)
        known, about = _known(tx, name), _About(context, stands, arguments.release)
        if arguments.refused >= max(1, len(arguments.said)):
            # Its own alarm, once: a provider that refuses says nothing about its model.
            says = f"is refused by the provider of {variant_of(arguments.release)}: {arguments.why}"
            raised.append(about.alarm("refused", "the probe set", says))
            state = msgspec.structs.replace(known, at=now)
        else:
            rng = np.random.default_rng(known.count)
            outcome = rounds.heard(known, arguments.said, now, rounds.setting(stands.spec.watch), rng)
            raised += _named(about, arguments, known)
            for crossing in outcome.crossings:
                raised.append(
                    about.alarm(
                        crossing.stream,
                        f"the model of {variant_of(arguments.release)}",
                        _says(crossing.stream, crossing.value, crossing.level, outcome.p),
                        since=crossing.since,
                        value=crossing.value,
                        level=crossing.level,
                        n=crossing.n,
                        p=outcome.p,
                    )
                )
            state = msgspec.structs.replace(
                outcome.rounds,
                models=tuple(dict.fromkeys((*known.models, *arguments.models))),
                fingerprints=tuple(dict.fromkeys((*known.fingerprints, *arguments.fingerprints)))[-20:],
            )
        tx.batches.keep(name, state.count, msgspec.msgpack.encode(_Kept(rounds=state)), b"{}")
        alarms = [raise_alarm(tx, stands.spec, alarm) for alarm in raised]
    return {
        "use_case": arguments.use_case,
        "release": arguments.release,
        "rounds": state.count,
        "learned": state.learned,
        "models": list(state.models),
        "alarms": [f"{alarm.what} {alarm.says}" for alarm in alarms],
    }


def record_recheck(context: Context, actor: Actor, arguments: RecordRecheck) -> dict[str, Any]:
    """Judge a release's cases, asked again: a gate that it passed and would not pass now, or a loss on the same cases, is an alarm."""
    del actor
    with context.store.write() as tx:
        stands = standing.standing(tx, arguments.use_case, serving=True)
        _must_serve(tx, stands, arguments.release)
        now = context.clock.now()
        rules = rules_of(tx, stands.registered, stands.spec)
        evidence = tx.evidence.of(arguments.use_case, release=arguments.release)
        since = now - lasts(stands.spec, rules)
        lost = []
        for stage in ROAD:
            for measure, criterion in measured_criteria(stands.spec, stands.status, stage, rules).items():
                fact = newest(evidence, stands.status, measure, arguments.release, since=since)
                if measure == COMPARED or fact[0] is None:
                    continue
                line = measured_line(stands.spec, stage, measure, criterion, fact, variant="")
                if line.verdict is Verdict.FAIL:
                    lost.append(f"the gate into {stage}: {line.says}")
        if arguments.high < 0:
            lost.append(
                f"on {arguments.n} cases asked again it is right {-arguments.value:.1%} less often than before"
                f" ({-arguments.high:.1%} to {-arguments.low:.1%})"
            )
        if lost:
            what = f"what {variant_of(arguments.release)} had shown"
            says = f"is lost: {'; '.join(lost)}"
            told = _About(context, stands, arguments.release).alarm("cases", what, says, kind="evaluation")
            raise_alarm(tx, stands.spec, told)
        tx.batches.keep(f"watch-{arguments.use_case}-rechecked", 0, b"", msgspec.json.encode({"at": now}))
    return {"use_case": arguments.use_case, "release": arguments.release, "lost": lost}


def rechecked(tx: Transaction, use_case: str) -> int:
    """Return when the cases of a use case's live release were last asked again; 0 for never."""
    kept = tx.batches.kept(f"watch-{use_case}-rechecked")
    return int(msgspec.json.decode(kept[2])["at"]) if kept else 0


def probed(tx: Transaction, use_case: str, release: str) -> int:
    """Return when a release's model was last probed; 0 for never."""
    return _known(tx, _name(use_case, release)).at


def _named(about: _About, told: RecordRound, known: Rounds) -> list[Alarm]:
    """Return alarms about what the provider itself says: another model, or another fingerprint where there was only one."""
    found = []
    for what, before, now in (
        ("model", known.models, told.models),
        ("fingerprint", known.fingerprints, told.fingerprints),
    ):
        fresh = [one for one in now if one not in before]
        steady = what == "model" or (len(before) == 1 and known.learned)
        if before and fresh and steady:
            says = f"is {', '.join(fresh)} now; it was {', '.join(before)}"
            name = f"the provider's {what} of {variant_of(told.release)}"
            found.append(about.alarm(f"{what}/{','.join(fresh)}", name, says, before=list(before)))
    return found


class _About(NamedTuple):
    """What alarms are about."""

    context: Context
    stands: Standing
    release: str

    def alarm(self, watch: str, what: str, says: str, *, kind: str = "model", since: int = 0, **detail: Any) -> Alarm:
        now = self.context.clock.now()
        return Alarm(
            id=new_id(self.context.clock),
            use_case=self.stands.status.use_case,
            release=self.release,
            kind=kind,
            what=what,
            watch=f"{kind}/{watch}",
            at=now,
            since=since or now,
            says=says,
            last=now,
            detail=detail,
        )


def _says(stream: str, value: float, level: float, p: float | None) -> str:
    test = f"; permutation test p = {p:.3g}" if p is not None else ""
    if stream == "answers":
        return f"answers {value:.1%} of the probe set otherwise than in the first rounds, and at most {level:.1%} did by chance{test}"
    return f"gives other log-probabilities: {value:.3f} nats from the first rounds, and at most {level:.3f} by chance{test}"


def serves_of(tx: Transaction, stands: Standing) -> list[str]:
    live = stands.status.live
    release = tx.releases.get(live) if live else None
    return [live, *release.fallbacks] if release else []


def _must_serve(tx: Transaction, stands: Standing, release: str) -> None:
    serves = serves_of(tx, stands)
    if release not in serves:
        raise Refused(
            f"{release} does not serve, so it is not rechecked", hint=f"these do: {', '.join(serves) or 'none'}"
        )


def _name(use_case: str, release: str) -> str:
    return f"watch-{use_case}-rounds-{release}"


def _known(tx: Transaction, name: str) -> Rounds:
    """Return what was kept; nothing where another version kept it, for it learns anew."""
    row = tx.batches.kept(name)
    try:
        kept = _kept.decode(row[1]) if row else None
    except msgspec.MsgspecError:
        kept = None
    return kept.rounds if kept is not None and kept.version == __version__ else Rounds()
