"""The cases of a use case, as its registered files hold them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from pilotage.errors import FaultyFile
from pilotage.spec.case import read_cases

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pilotage.spec.case import Case


def asked(case: Case) -> tuple[dict[str, Any], ...]:
    """Return the messages that are sent for a case."""
    return case.messages or ({"role": "user", "content": case.text},)


def answer_key(case: Case) -> str:
    """Return the digest of what is sent: cases that ask the same share an answer, whatever they expect of it."""
    if case.surface != "chat":
        return hashlib.sha256(f"{case.surface}\0{case.text}".encode()).hexdigest()[:32]
    return hashlib.sha256(msgspec.json.encode(asked(case), order="sorted")).hexdigest()[:32]


def load_cases(files: Iterable[tuple[str, bytes]]) -> list[Case]:
    """Return the cases of all files, given as (name, content).

    Raise FaultyFile with every fault of every file, as `file:line: what is wrong, what would be right`. An id names one
    case over all files.
    """
    cases: list[Case] = []
    faults: list[str] = []
    places: dict[str, str] = {}
    for name, data in files:
        found, wrong = read_cases(data, name)
        here = [(fault.number, fault.says) for fault in wrong]
        for line, case in found:
            if case.id in places:
                here.append((line, f"the id {case.id!r} is already used at {places[case.id]}; give every case its own"))
            else:
                places[case.id] = f"{name}:{line}"
                cases.append(case)
        faults += [f"{name}:{line}: {says}" for line, says in sorted(here)]
    if faults:
        raise FaultyFile(faults, outcome="no case was asked")
    return cases


def take_evenly(cases: Sequence[Case], most: int | None) -> list[Case]:
    """Return at most `most` cases, evenly spread over the order of the files."""
    if most is None or most >= len(cases):
        return list(cases)
    return [cases[index * len(cases) // most] for index in range(most)]
