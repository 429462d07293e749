"""What is to be evaluated: asked of governance by commands, wherever they run."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pilotage.errors import Conflict, NotMeasured
from pilotage.evaluation.dataset import load_cases, take_evenly
from pilotage.evaluation.price import Price
from pilotage.spec.case import Case
from pilotage.spec.money import provider_of
from pilotage.spec.pricelist import listed

Command = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Runs one command by name and arguments: on the workspace itself or through the control API. It may block."""


class CaseFile(msgspec.Struct, frozen=True):
    path: str
    digest: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`candidate` and `baseline` are references of releases, empty where there is none; `spec` is the registered file.

    `judge` is the release that judges. `against` is the release to compare with, where one was asked for; `prompts` are the texts of all their templates.
    """

    use_case: str
    charter: str
    candidate: str = ""
    baseline: str = ""
    against: str = ""
    prompts: dict[str, str] = {}
    spec: dict[str, Any] = {}
    cases: tuple[CaseFile, ...] = ()
    probes: tuple[CaseFile, ...] = ()
    templates: tuple[CaseFile, ...] = ()
    judge: str = ""
    labels: tuple[CaseFile, ...] = ()

    def price(self, release: str) -> Price | None:
        """Return what this release's variant asks: the file's price, else the public one."""
        variant = self.variant(release)
        price = variant.get("price")
        if price:
            return Price(*(float(price.get(name) or 0.0) for name in Price._fields))
        rate = 1.0 if self.currency == "USD" else (self.spec.get("budget") or {}).get("dollar")
        found = listed(provider_of(self.spec, variant), str(variant.get("model", "")))
        return Price(*(getattr(found, name) * rate for name in Price._fields)) if found and rate else None

    def variant(self, release: str) -> dict[str, Any]:
        """Return what the file says of a release's variant."""
        found: dict[str, Any] = self.spec.get("variants", {}).get(release.partition("/")[2].partition("@")[0], {})
        return found

    @property
    def currency(self) -> str:
        return str((self.spec.get("budget") or {}).get("currency", "EUR"))


class Cases(msgspec.Struct, frozen=True, kw_only=True):
    """The cases taken, out of how many, and the digest of the data they are from (64 hex digits)."""

    taken: tuple[Case, ...]
    of: int
    digest: str

    @property
    def chats(self) -> tuple[Case, ...]:
        """Return those that ask in words and are answered in words: what suites and rehearsals send."""
        return tuple(case for case in self.taken if case.surface == "chat")


async def call(command: Command, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a command without holding the event loop."""
    return await asyncio.to_thread(command, name, arguments)


async def fetch_plan(command: Command, use_case: str, variant: str = "", against: str = "", *, live: str = "") -> Plan:
    """Return the plan for one of the candidates, the first unless a variant is named; or for what is `live`.

    Raise NotMeasured where there is no candidate to measure.
    """
    named = {"variant": variant, "against": against}
    wanted = {"use_case": use_case, **{name: value for name, value in named.items() if value}}
    plan = msgspec.convert(await call(command, "evaluation_plan", wanted), Plan)
    if live:
        return msgspec.structs.replace(plan, candidate=live, baseline="")
    if not plan.candidate:
        raise NotMeasured(
            f"{use_case} has no candidate to measure",
            hint='name one in usecase.toml (candidate = "...") and `pilotage apply` the folder',
        )
    return plan


async def fetch_files(command: Command, files: Sequence[CaseFile]) -> list[tuple[str, bytes]]:
    """Return (path, content) of registered files, by path."""
    found = []
    for file in sorted(files, key=lambda file: file.path):
        data = base64.b64decode((await call(command, "blob", {"digest": file.digest}))["data"])
        if hashlib.sha256(data).hexdigest() != file.digest:
            raise Conflict(f"{file.path} is not what was registered: its digest differs", hint="apply the folder again")
        found.append((file.path, data))
    return found


async def fetch_cases(command: Command, plan: Plan, most: int | None = None) -> Cases:
    """Return the cases, at most as many as the file and the caller allow; raise NotMeasured where there are none."""
    cases = load_cases(await fetch_files(command, plan.cases))
    if not cases:
        raise NotMeasured(
            f"{plan.use_case} has no cases",
            hint='write some in cases/*.jsonl and name them in usecase.toml: [evaluation] cases = ["cases/*.jsonl"]',
        )
    limits = [limit for limit in (most, (plan.spec.get("evaluation") or {}).get("max_cases")) if limit is not None]
    taken = take_evenly(cases, min(limits, default=None))
    digest = hashlib.sha256("\n".join(file.digest for file in sorted(plan.cases, key=lambda file: file.path)).encode())
    if len(taken) < len(cases):
        digest.update(f"\n{len(taken)} of {len(cases)}".encode())
    return Cases(taken=tuple(taken), of=len(cases), digest=digest.hexdigest())
