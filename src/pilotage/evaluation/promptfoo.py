"""Cases out of promptfoo's YAML: what has a counterpart here is taken over, everything else is refused by its name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from pilotage.errors import FaultyFile

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUESTIONS = ("question", "query", "input", "text", "message", "prompt", "user_input")
"""What the variable that is asked is usually called."""
_CODE = ("javascript", "python", "ruby", "webhook")
_LONGEST = 16 << 20


def cases_of(name: str, data: bytes, *, question: str = "") -> list[dict[str, Any]]:
    """Return the tests of a promptfoo file as cases; `question` names the variable that is asked.

    Raise FaultyFile with every fault: a test without a question, an assertion that has no counterpart here.
    """
    if len(data) > _LONGEST:
        raise FaultyFile([f"{name}: is larger than {_LONGEST >> 20} MB; split it"], outcome="nothing was imported")
    try:
        config = yaml.safe_load(data)
    except (yaml.YAMLError, RecursionError, ValueError) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        raise FaultyFile(
            [f"{name}:{line}: is not YAML ({getattr(fault, 'problem', None) or type(fault).__name__})"],
            outcome="nothing was imported",
        ) from None
    tests = config.get("tests") if isinstance(config, dict) else config
    if not isinstance(tests, list) or not tests:
        says = "has no list of tests; tests that lie in a file of their own are imported from there"
        raise FaultyFile([f"{name}: {says}"], outcome="nothing was imported")
    common = config.get("defaultTest") if isinstance(config, dict) else None
    common = common if isinstance(common, dict) else {}
    cases, faults = [], []
    for number, test in enumerate(tests, 1):
        case = _Test(test if isinstance(test, dict) else {}, common, number, question)
        faults += [f"{name}: test {number}: {says}" for says in case.faults]
        cases.append(case.case)
    if faults:
        raise FaultyFile(faults, outcome="nothing was imported")
    return cases


class _Test:
    """One test on its way to being a case."""

    def __init__(self, test: dict[str, Any], common: dict[str, Any], number: int, question: str) -> None:
        self.faults: list[str] = []
        self._required: list[list[str]] = []
        self._forbidden: list[str] = []
        self._contains: list[str] = []
        self._exact: list[str] = []
        for one in (*_list(common.get("assert")), *_list(test.get("assert"))):
            self._take(one if isinstance(one, dict) else {})
        text = self._question({**_dict(common.get("vars")), **_dict(test.get("vars"))}, question)
        case: dict[str, Any] = {"id": f"promptfoo-{number}", "text": text}
        if isinstance(test.get("description"), str):
            case["scenario"] = test["description"][:200]
        given = {"required": self._required, "forbidden": self._forbidden, "contains": self._contains}
        case |= {key: value for key, value in given.items() if value}
        if self._exact:
            case["exact"] = self._exact[-1]
        self.case = case

    def _question(self, variables: dict[str, Any], wanted: str) -> str:
        texts = {key: value for key, value in variables.items() if isinstance(value, str) and value.strip()}
        if wanted:
            if wanted not in texts:
                self.faults.append(f"has no text in its variable {wanted!r}")
            return texts.get(wanted, "")
        named = [key for key in _QUESTIONS if key in texts] or (list(texts) if len(texts) == 1 else [])
        if not named:
            has = ", ".join(variables) or "none"
            self.faults.append(f"which variable is asked? It has: {has}; name it with --question")
            return ""
        return texts[named[0]]

    def _take(self, given: dict[str, Any]) -> None:
        kind, value = str(given.get("type", "")), given.get("value")
        texts = [one for one in _list(value) if isinstance(one, str) and one]
        if not texts and kind.removeprefix("not-").startswith(("equals", "contains", "icontains")):
            self.faults.append(f"its assertion {kind!r} has no text")
            return
        match kind:
            case "equals":
                self._exact.append(texts[0])
            case "contains" | "contains-all":
                self._contains += texts
            case "icontains":
                self._required.append(texts[:1])
            case "contains-any" | "icontains-any":
                self._required.append(texts)
            case "icontains-all":
                self._required += [[text] for text in texts]
            case "not-contains" | "not-icontains" | "not-contains-any" | "not-icontains-any":
                self._forbidden += texts
            case _:
                self.faults.append(_refusal(kind))


def _refusal(kind: str) -> str:
    if kind.removeprefix("not-") in _CODE:
        return f"its assertion {kind!r} is code, which is not run here; write what a right reply holds, or a scorer of your own"
    return f"its assertion {kind or 'without a type'!r} has no counterpart here; take it out, or say the same with contains or equals"


def written(cases: list[dict[str, Any]]) -> str:
    """Return the cases as JSON lines."""
    return "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in cases)


def _list(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else [] if value is None else [value]


def _dict(value: Any) -> dict[str, Any]:
    return {str(key): one for key, one in value.items()} if isinstance(value, dict) else {}
