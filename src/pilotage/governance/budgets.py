"""Budgets as people see them: what of each cap is spent, what is given out, and what it comes to at this pace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pilotage.governance import ledger
from pilotage.spec.period import KINDS, Kind, period
from pilotage.spec.price import MILLION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.access import Key
    from pilotage.governance.context import Context
    from pilotage.spec.use_case import UseCase
    from pilotage.store.base.transaction import Transaction

NEAR = 80
"""The part of a cap, in percent, from which on it is said that it is near."""
_ACTOR = "controller"


def of_use_case(spec: UseCase) -> dict[Kind, int]:
    """Return the caps that a file sets, in millionths."""
    budget = spec.budget
    caps: dict[Kind, float | None] = {"day": budget.a_day, "month": budget.a_month} if budget else {}
    return {kind: round(cap * MILLION) for kind, cap in caps.items() if cap}


def of_key(key: Key) -> dict[Kind, int]:
    """Return the caps that a key has, in millionths."""
    caps: dict[Kind, int] = {"day": key.a_day, "month": key.a_month}
    return {kind: cap for kind, cap in caps.items() if cap}


def account_of_key(key_id: str) -> str:
    return f"key:{key_id}"


def stand(tx: Transaction, account: str, caps: Mapping[Kind, int], now: int) -> list[dict[str, Any]]:
    """Return how each cap stands, in units of its currency.

    `given_out` is what workers have, spent or not: none of it is there for others. `forecast` is what the period comes to
    at the pace so far, None within its first hundredth.
    """
    found = []
    for kind in KINDS:
        if kind not in caps:
            continue
        within = period(kind, now)
        taken, spent = tx.allowances.total(f"{account}/{kind}", within.name)
        gone = (now - within.begin) / (within.end - within.begin)
        found.append(
            {
                "per": kind,
                "period": within.name,
                "cap": caps[kind] / MILLION,
                "spent": spent / MILLION,
                "given_out": taken / MILLION,
                "forecast": round(spent / gone / MILLION, 6) if gone >= 0.01 else None,
            }
        )
    return found


def tell(context: Context) -> list[str]:
    """Write into the ledger, once a period, that a cap is near, and that it is reached; return what was said."""
    now = context.clock.now()
    said = []
    with context.store.read() as tx:
        near = _near(tx, now)
    if not near:
        return []
    with context.store.write() as tx:
        for account, use_case, one in near:
            part = 100 if one["given_out"] >= one["cap"] else NEAR
            if not tx.allowances.tell(f"{account}/{one['per']}", one["period"], part):
                continue
            detail = {
                "account": account,
                **{name: one[name] for name in ("per", "period", "cap", "spent", "given_out")},
            }
            ledger.append(tx, at=now, actor=_ACTOR, action="budget", use_case=use_case, detail={**detail, "part": part})
            what = "all" if part == 100 else f"{part} %"
            said.append(f"{account}: {what} of the {one['cap']:g} for {one['period']} is given out")
    return said


def _near(tx: Transaction, now: int) -> list[tuple[str, str, dict[str, Any]]]:
    """Return (account, use case, how it stands) of caps that are near."""
    accounts = {(share.account.rpartition("/")[0]) for share in tx.allowances.shares()}
    found = []
    for account in sorted(accounts):
        use_case, caps = _caps(tx, account)
        found += [
            (account, use_case, one)
            for one in stand(tx, account, caps, now)
            if one["given_out"] * 100 >= one["cap"] * NEAR
        ]
    return found


def _caps(tx: Transaction, account: str) -> tuple[str, Mapping[Kind, int]]:
    kind, colon, name = account.partition(":")
    if colon:
        key = tx.keys.get(name)
        return "", {} if key is None else of_key(key)
    registered = tx.use_cases.get(kind)
    return kind, {} if registered is None else _written(registered.spec)


def _written(spec: Mapping[str, Any]) -> Mapping[Kind, int]:
    budget = spec.get("budget") or {}
    caps: dict[Kind, Any] = {"day": budget.get("a_day"), "month": budget.get("a_month")}
    return {kind: round(cap * MILLION) for kind, cap in caps.items() if cap}
