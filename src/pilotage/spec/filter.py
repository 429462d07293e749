"""A check of what goes to a provider and of what comes back, as people write it."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Literal, NamedTuple, Self

import pydantic
from pydantic import Field, model_validator

from pilotage.spec.filter_rule import FilterRule
from pilotage.spec.metric import Incoherent, Lines, Strict
from pilotage.spec.quantity import Duration

Kind = Literal["personal_data"]
Personal = Literal["secret", "email", "iban", "card", "national_number", "ip", "phone"]


class _Way(NamedTuple):
    """What a kind of filter can do: the first of each is what it does unless the file says otherwise."""

    sides: tuple[str, ...]
    actions: tuple[str, ...]
    fields: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


_ALL = ("redact", "block", "flag")
_WAYS = {
    "personal_data": _Way(("both", "in", "out"), _ALL, ("find", "restore", "regions")),
}
_SHARED = ("kind", "side", "action", "deadline", "on_error")


class Filter(Strict):
    """One check of content on the path; a variant names those that it passes through, in order (docs/filters.md)."""

    kind: Kind
    """What is looked for."""
    side: Literal["in", "out", "both"] | None = None
    """Where: in what the caller sends, in what the provider answers, or both. Each kind has its own default."""
    action: Literal["block", "redact", "flag"] | None = None
    """What happens to a find: the request or answer is blocked, the find is replaced, or it is only counted."""
    deadline: Annotated[Duration, Field(gt=0, le=60_000_000)] = 100_000
    """The longest that one look may take: at a request, at a whole answer, or at one event of a stream."""
    on_error: Literal["block", "pass"] = "block"
    """What happens where that is passed or the filter errs: the text is blocked, or passes unseen."""
    find: Annotated[tuple[Personal, ...], pydantic.Strict(False)] = ()
    """For 'personal_data': only these."""
    restore: bool = True
    """For 'personal_data' that is redacted on its way in: the answer gets back what its placeholders stand for."""
    regions: Lines = ()
    """For 'personal_data': countries, such as ["DE", "US"], by whose numbering plans phone numbers are checked; needs the
    extra 'phone'."""

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        way = _WAYS[self.kind]
        faults = []
        for name, given, known in (("side", self.side, way.sides), ("action", self.action, way.actions)):
            if given is not None and given not in known:
                can = " or ".join(f"'{one}'" for one in known)
                faults.append((name, f"{name} = '{given}' is nothing that kind '{self.kind}' can do; write {can}"))
        for name in sorted(self.model_fields_set - {*_SHARED, *way.fields}):
            has = ", ".join(way.fields) or "no keys of its own"
            faults.append((name, f"{name} has no meaning for kind '{self.kind}', which has {has}; remove it"))
        faults += [
            (name if name in self.model_fields_set else "", f"kind '{self.kind}' needs {name}, and it is empty")
            for name in way.needs
            if not getattr(self, name)
        ]
        faults += self._own_faults()
        if faults:
            raise Incoherent(faults)
        return self

    def _own_faults(self) -> list[tuple[str, str]]:
        faults = []
        if "find" in self.model_fields_set and not self.find:
            faults.append(("find", "find is empty, so nothing would be looked for; name some, or remove it for all"))
        if self.regions and importlib.util.find_spec("phonenumbers") is None:
            says = "regions needs the package phonenumbers, which is not installed here"
            faults.append(("regions", f"{says}; install 'pilotage[phone]', or remove it"))
        faults += [
            ("regions", f"regions names '{region[:20]}'; write two capital letters (ISO 3166), such as DE")
            for region in self.regions
            if not (len(region) == 2 and region.isalpha() and region.isupper() and region.isascii())
        ]
        return faults

    def rule(self, name: str) -> FilterRule:
        way = _WAYS[self.kind]
        return FilterRule(
            name=name,
            kind=self.kind,
            side=self.side or way.sides[0],
            action=self.action or way.actions[0],
            deadline=self.deadline,
            on_error=self.on_error,
            find=self.find,
            restore=self.restore,
            regions=self.regions,
        )
