"""A check of what goes to a provider and of what comes back, as people write it."""

from __future__ import annotations

import importlib.util
import re
from typing import Annotated, Any, Literal, NamedTuple, Self

import pydantic
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pilotage.spec.filter_rule import FilterRule
from pilotage.spec.metric import Incoherent, Lines, Strict
from pilotage.spec.quantity import Duration

Kind = Literal["personal_data", "leak", "links", "tools", "injection", "topics", "length", "phrases", "schema", "names"]
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
    "leak": _Way(("out",), ("block", "redact", "flag"), ("canaries", "words")),
    "links": _Way(("out", "in", "both"), _ALL, ("hosts",)),
    "tools": _Way(("out", "in", "both"), ("block", "flag"), ("tools", "arguments"), ("tools",)),
    "injection": _Way(("in",), ("flag", "block")),
    "topics": _Way(("in",), ("block", "flag"), ("topics",), ("topics",)),
    "length": _Way(("in", "out", "both"), ("block", "flag"), ("most",), ("most",)),
    "phrases": _Way(("out", "in", "both"), ("block", "redact", "flag"), ("phrases",), ("phrases",)),
    "names": _Way(("in", "out", "both"), _ALL, ("model", "restore"), ("model",)),
    "schema": _Way(("out",), ("block", "flag"), ("file", "repair")),
}
_HOST = re.compile(r"(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*", re.ASCII)
_MODEL = re.compile(r"[a-z]{2}_[a-z0-9_]{2,80}", re.ASCII)
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
    """For 'personal_data' and 'names' that are redacted on their way in: the answer gets back what its placeholders stand for."""
    regions: Lines = ()
    """For 'personal_data': countries, such as ["DE", "US"], by whose numbering plans phone numbers are checked; needs the
    extra 'phone'."""

    canaries: Lines = ()
    """For 'leak': texts that stand in the prompt for no other reason than to be recognised in an answer."""
    words: Annotated[int, Field(ge=4, le=100)] = 8
    """For 'leak': so many words in a row, as they stand in the variant's prompt, are a leak."""
    hosts: Lines = ()
    """For 'links': hosts that may be linked to, such as ["example.com", "*.example.com"]; none unless listed."""
    tools: Lines = ()
    """For 'tools': the names that may be called, or offered by the caller."""
    arguments: dict[str, Lines] = Field(default_factory=dict)
    """For 'tools': what an argument may be, as patterns, such as "send_mail.to" = ["*@example.com"]."""
    topics: Lines = ()
    """For 'topics': words of which a question holds one at least; "refund*" is every word that begins so."""
    most: Annotated[int, Field(ge=0, le=100_000_000)] = 0
    """For 'length': the most signs of a request, or of a text of an answer."""
    phrases: Lines = ()
    """For 'phrases': what is not said, whole words in any case."""
    model: str = ""
    """For 'names': spaCy's model that Presidio finds them by, a package such as "en_core_web_lg"; needs the extra 'presidio'."""
    file: str = ""
    """For 'schema': a JSON schema's file, relative to this one; without it, what the request itself or the variant's
    parameters ask for."""
    repair: bool = True
    """For 'schema': whether the provider is asked once more, told what is wrong, before an answer is blocked or flagged."""

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what the file says: what is registered is read again, and a key of another kind would be a fault there."""
        return {name: value for name, value in handler(self).items() if name in self.model_fields_set}

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
        if self.kind == "names" and importlib.util.find_spec("presidio_analyzer") is None:
            says = "kind 'names' needs the package presidio-analyzer, which is not installed here"
            faults.append(("kind", f"{says}; install 'pilotage[presidio]' and the model, or remove the filter"))
        if self.model and not _MODEL.fullmatch(self.model):
            says = f"model = '{self.model[:60]}' is no model of spaCy's; write its package, such as en_core_web_lg"
            faults.append(("model", says))
        faults += [
            (name, f"{name} holds a text without a letter or digit, or one above 500 characters")
            for name in ("canaries", "hosts", "tools", "topics", "phrases")
            if any(not any(sign.isalnum() for sign in one) or len(one) > 500 for one in getattr(self, name))
        ]
        faults += [
            ("hosts", f"hosts names '{host[:60]}'; write a host alone, such as example.com or *.example.com")
            for host in self.hosts
            if not _HOST.fullmatch(host)
        ]
        faults += [
            ("arguments", f"arguments names '{path[:60]}'; write one of tools, a dot and the argument, such as mail.to")
            for path in self.arguments
            if path.partition(".")[0] not in self.tools or not path.partition(".")[2]
        ]
        faults += [
            ("regions", f"regions names '{region[:20]}'; write two capital letters (ISO 3166), such as DE")
            for region in self.regions
            if not (len(region) == 2 and region.isalpha() and region.isupper() and region.isascii())
        ]
        return faults

    def rule(self, name: str, schema: str = "") -> FilterRule:
        """Return it as a release carries it; `schema` is what stands in its file."""
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
            phrases=self.phrases,
            hosts=self.hosts,
            canaries=self.canaries,
            words=self.words if self.kind == "leak" else 0,
            topics=self.topics,
            most=self.most,
            tools=self.tools,
            arguments=tuple(sorted((path, values) for path, values in self.arguments.items())),
            schema=schema,
            repair=self.repair,
            model=self.model,
        )
