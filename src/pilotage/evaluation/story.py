"""The data story, looked at: personal data and secrets in what is written down, and cases whose answers are given away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.guardrails.personal_data import redact
from pilotage.spec.case import read_cases
from pilotage.spec.measures import ours
from pilotage.spec.pattern import matching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pilotage.spec.case import Case
    from pilotage.spec.use_case import UseCase

_SHORTEST = 40
"""Characters from which a question that stands in a prompt or an article, word for word, is no chance."""
_WORDS = re.compile(r"\W+")


class Note(msgspec.Struct, frozen=True):
    """Something that somebody should look at; `kind` is rights, personal_data, secret, leak or measure."""

    file: str
    line: int
    kind: str
    says: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.says}"


def notes(spec: UseCase, files: Mapping[str, bytes]) -> list[Note]:
    """Return what is to be looked at in a use case's folder. The texts themselves are never repeated."""
    knowledge = sorted({path for variant in spec.variants.values() for path in _matched(variant.knowledge, files)})
    prompts = sorted({variant.prompt for variant in spec.variants.values() if variant.prompt in files})
    asked = sorted(_matched(spec.evaluation.cases, files))
    found: list[Note] = []
    if (knowledge or asked) and not spec.data.rights:
        found.append(Note("usecase.toml", 1, "rights", "[data] rights does not say why these texts may be used"))
    found += _measures(spec)
    for path in (*knowledge, *asked):
        found += _personal(path, files[path])
    known = [(path, _flat(files[path].decode(errors="replace"))) for path in (*knowledge, *prompts)]
    for path in asked:
        cases, _ = read_cases(files[path], path)
        found += [note for line, case in cases for note in _leaks(path, line, case, known)]
    return found


def _measures(spec: UseCase) -> Iterator[Note]:
    """Yield the bounds on measures that only evidence of the team's own can meet."""
    for stage, bounds in spec.gates:
        for name in bounds:
            if not ours(name):
                says = (
                    f"no command of Pilotage records '{name}' (gates.{stage}): the gate waits for evidence of your own"
                )
                yield Note("usecase.toml", 1, "measure", says)


def _matched(patterns: Any, files: Mapping[str, bytes]) -> list[str]:
    return [path for pattern in patterns for path in matching(pattern, files)]


def _personal(path: str, data: bytes) -> Iterator[Note]:
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        for hit in redact(line)[1]:
            secret = hit.kind == "secret"
            what = "what looks like a secret" if secret else f"personal data ({hit.kind})"
            yield Note(path, number, "secret" if secret else "personal_data", f"holds {what}")


def _leaks(path: str, line: int, case: Case, known: list[tuple[str, str]]) -> Iterator[Note]:
    question = _flat(case.text)
    if len(question) < _SHORTEST:
        return
    for name, text in known:
        if question in text:
            says = f"the question of {case.id!r} stands word for word in {name}: being right in it shows nothing"
            yield Note(path, line, "leak", says)


def _flat(text: str) -> str:
    return _WORDS.sub(" ", text.lower()).strip()
