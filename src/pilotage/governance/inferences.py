"""What was asked of a use case and what came of it, one inference at a time. Whoever reads texts is on record for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from pilotage.access import Role
from pilotage.decision.traits import turns_of
from pilotage.decision.wording import currency_of
from pilotage.errors import NotFound, WrongCall
from pilotage.governance import ledger, standing, words
from pilotage.governance.context import Text, moment, require
from pilotage.governance.data import held_in, hidden
from pilotage.store.base.holdings import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotage.access import Actor
    from pilotage.governance.context import Context
    from pilotage.governance.standing import Standing
    from pilotage.store.base.holdings import Found, Holdings
    from pilotage.store.base.transaction import Transaction

MOST = 2_000
"""Inferences in one answer, and texts that one search decrypts."""
_AT_ONCE = 200
_Name = Annotated[str, msgspec.Meta(max_length=200)]
_Id = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{0,64}$")]
_Whole = Annotated[int, msgspec.Meta(ge=0, le=(1 << 62))]


class Inferences(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ones: all that is given must hold. `hit` is a filter's name or `*`, `metric` what was said of it, with `value_least` to
    `value_most`. Durations and times are in microseconds, money in millionths. `before` is an id: only older ones.

    `words` is looked for in texts, and `texts` gives them out, both with personal data redacted. It takes the role admin, and the ledger tells.
    """

    use_case: Text
    release: _Name = ""
    arm: _Name = ""
    source: _Name = ""
    unit: _Id = ""
    outcome: Literal["", "answered", "error", "fallback", "cancelled", "unfinished"] = ""
    error: _Name = ""
    hit: _Name = ""
    metric: _Name = ""
    value_least: float | None = None
    value_most: float | None = None
    duration_least: _Whole | None = None
    duration_most: _Whole | None = None
    cost_least: _Whole | None = None
    cost_most: _Whole | None = None
    since: _Whole = 0
    until: _Whole = 0
    words: Annotated[str, msgspec.Meta(max_length=200)] = ""
    texts: bool = False
    before: _Id = ""
    most: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 50


class Inference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One inference by its id. `texts` gives out what was said, with personal data redacted; with `reveal` as it is kept, and `note` says why."""

    use_case: Text
    inference: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    texts: bool = False
    reveal: bool = False
    note: Text = ""


def inferences(context: Context, actor: Actor, arguments: Inferences) -> dict[str, Any]:
    """Return inferences, newest first. `older` is where to go on; `cut` that the search ended before it had seen all.

    With `words`, `read` texts of those that are as wanted otherwise were decrypted, at most MOST.
    """
    spoken = " ".join(arguments.words.split()).casefold()
    reads = bool(spoken or arguments.texts)
    if reads:
        require(actor, (Role.ADMIN,), arguments.use_case)
    with context.store.read() as tx:
        known = _known(tx, standing.standing(tx, arguments.use_case))
    wanted = _wanted(arguments, texts=bool(spoken))
    with held_in(context) as holdings:
        if not spoken:
            found = holdings.search(arguments.use_case, wanted, before=arguments.before, most=arguments.most)
            if reads:
                _told(context, actor, "inferences_read", arguments.use_case, {"rows": len(found.ids)})
            texts = _texts(holdings, arguments.use_case, found.ids) if reads else {}
            read = len(texts)
        else:
            found = holdings.search(arguments.use_case, wanted, before=arguments.before, most=MOST)
            # On record before anything is looked at; the words that were looked for may be a person's own.
            _told(context, actor, "inferences_search", arguments.use_case, {"rows": len(found.ids)})
            found, texts, read = _speaking(holdings, arguments, found, spoken)
        rows = holdings.inferences(arguments.use_case, found.ids)
    if reads:
        rows = [{**row, **texts.get(row["id"], {})} for row in rows]
    return {
        "use_case": arguments.use_case,
        "inferences": rows,
        "older": found.older,
        "looked": found.looked,
        "cut": found.cut,
        "read": read,
        "known": known,
    }


def inference(context: Context, actor: Actor, arguments: Inference) -> dict[str, Any]:
    """Return one inference with all that came of it; with `texts` what was said, turn by turn. On record before it is shown."""
    reads = arguments.texts or arguments.reveal
    if reads:
        require(actor, (Role.ADMIN,), arguments.use_case)
    if arguments.reveal and not arguments.note.strip():
        raise WrongCall("people's texts in the clear are given out for a reason", hint="say why in `note`")
    with context.store.read() as tx:
        stands = standing.standing(tx, arguments.use_case)
    with held_in(context) as holdings:
        rows = holdings.inferences(arguments.use_case, [arguments.inference])
        if not rows:
            raise NotFound(
                f"{arguments.use_case} has no inference {arguments.inference}",
                hint="what was just served is sealed within seconds; ids are those of `pilotage events`",
            )
        row = rows[0]
        if reads and row["text"]:
            revealed = {"revealed": True} if arguments.reveal else {}
            revealed = {"revealed": True} if arguments.reveal else {}
            detail = {"inference": arguments.inference, **revealed, "reason": arguments.note}
            _told(context, actor, "inference_read", arguments.use_case, detail)
            text = holdings.texts(arguments.use_case, [arguments.inference])[0]
            row = {**row, **(text if arguments.reveal else hidden(text))}
    turns = [{"role": role, "text": text} for role, text in turns_of(row["request"])] if "request" in row else []
    return {
        "use_case": arguments.use_case,
        "retention": stands.spec.data.retention,
        "currency": currency_of(stands.spec),
        "turns": turns,
        **row,
    }


def _known(tx: Transaction, stands: Standing) -> dict[str, Any]:
    """Return what one may ask for by name."""
    spec = stands.spec
    return {
        "releases": tx.releases.of(spec.name),
        "metrics": sorted(spec.metrics),
        "filters": sorted(spec.filters),
        "currency": currency_of(spec),
        "retention": spec.data.retention,
    }


def _speaking(
    holdings: Holdings, arguments: Inferences, found: Found, spoken: str
) -> tuple[Found, dict[str, dict[str, Any]], int]:
    """Return those of the found whose texts hold the words, as far as is asked for, and how many texts were read."""
    ids: list[str] = []
    texts: dict[str, dict[str, Any]] = {}
    read = 0
    # The first ones often hold enough; the rest is read together.
    for part in filter(None, (found.ids[:_AT_ONCE], found.ids[_AT_ONCE:])):
        of = {one["inference"]: one for one in holdings.texts(arguments.use_case, part)}
        for one in part:
            read += 1
            if not _holds(of[one], spoken):
                continue
            # As it is shown: nobody learns by searching what redaction hides.
            shown = hidden(of[one])
            if not _holds(shown, spoken):
                continue
            ids.append(one)
            texts[one] = shown
            if len(ids) == arguments.most:
                last = one == found.ids[-1] and not found.older
                return found._replace(ids=ids, older="" if last else one, cut=False), texts, read
    return found._replace(ids=ids, cut=bool(found.older)), texts, read


def _holds(text: dict[str, Any], spoken: str) -> bool:
    return any(spoken in " ".join(text.get(side, "").split()).casefold() for side in ("request", "reply"))


def _texts(holdings: Holdings, use_case: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {one["inference"]: hidden(one) for one in holdings.texts(use_case, ids)}


def _wanted(arguments: Inferences, *, texts: bool) -> Wanted:
    return Wanted(
        release=arguments.release,
        arm=arguments.arm,
        source=arguments.source,
        unit=arguments.unit,
        outcome=arguments.outcome,
        error=arguments.error,
        hit=arguments.hit,
        metric=arguments.metric,
        value=(arguments.value_least, arguments.value_most),
        duration=(arguments.duration_least, arguments.duration_most),
        cost=(arguments.cost_least, arguments.cost_most),
        since=arguments.since,
        until=arguments.until,
        texts=texts,
    )


def _told(context: Context, actor: Actor, action: str, use_case: str, detail: dict[str, Any]) -> None:
    with context.store.write() as tx:
        if note := detail.get("reason"):
            detail = {**detail, "reason": words.apart(tx, note, use_case)}
        ledger.append(tx, at=moment(context, tx), actor=actor.id, action=action, use_case=use_case, detail=detail)
