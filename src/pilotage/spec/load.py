"""From a folder to a use case, or to every fault at once as `file:line: what is wrong, what would be right`."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pilotage.errors import FaultyFile
from pilotage.spec import answer_schema, prompt
from pilotage.spec.case import Case, read_cases, shortened
from pilotage.spec.case import Line as CaseFault
from pilotage.spec.coherence import incoherences
from pilotage.spec.fault import Fault, shown
from pilotage.spec.folder import FILE, ONE_FILE, Folder, crowded, named, parse
from pilotage.spec.label import read_labels
from pilotage.spec.pattern import is_pattern, normal, path_fault
from pilotage.spec.position import Positions
from pilotage.spec.use_case import UseCase
from pilotage.spec.wording import dotted, explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KeyPath = tuple[str | int, ...]

_SHOWN = 200
_AT_LINE = re.compile(r" ?\(at line (\d+)(?:, column (\d+))?\)")
_TOML_HINTS = (
    ("Invalid value", 'text stands in quotes, such as owner = "Jane Doe"'),
    ("Expected '=' after a key", "every line is a [table] or key = value"),
    ("Invalid statement", "every line is a [table] or key = value"),
    ("Cannot declare", "each table is written once"),
    ("Cannot overwrite", "each key is written once"),
    ("Illegal character", "text in single-line quotes ends on its line"),
    ("Unterminated string", "close the quotes"),
    ("Unclosed array", "close the list with ]"),
    ("Unclosed inline table", "write { key = value } on one line, without a comma at its end"),
)


def load(folder: Folder) -> UseCase:
    """Return the use case of a folder; raise FaultyFile with every fault of the file and of the files it names."""
    data = folder.files.get(FILE)
    if data is None:
        raise FaultyFile([f"{FILE}:1: is not there; `pilotage init DIR` writes one"])
    try:
        tables = parse(data)
    except ValueError as error:
        raise FaultyFile([str(unparsable(data, error))]) from None
    where = Positions(data.decode("utf-8-sig"))
    faults = set(_file_faults(folder, tables, where))
    for path, says in incoherences(tables):
        faults.add(Fault(0, FILE, where.line(path), says))
    use_case = None
    try:
        use_case = UseCase.model_validate(tables)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            for path, says in explain(detail):
                faults.add(Fault(0, FILE, where.line(path), says))
    if use_case is None or faults:
        texts = [str(fault) for fault in sorted(faults)]
        more = len(texts) - _SHOWN
        raise FaultyFile(texts if more <= 0 else [*texts[:_SHOWN], f"{FILE}:1: and {more} more faults"])
    return use_case


def unparsable(data: bytes, error: ValueError, file: str = FILE) -> Fault:
    """Return the fault of a file that is not TOML."""
    if isinstance(error, UnicodeDecodeError):
        line = data.count(b"\n", 0, error.start) + 1
        return Fault(0, file, line, "is not UTF-8 text; save the file as UTF-8")
    message = str(error)
    if "at end of document" in message:
        line, column = data.count(b"\n") + 1, ""
        message = message.replace(" (at end of document)", "")
    else:
        found = _AT_LINE.search(message)
        line = int(found[1]) if found else 1
        column = f" at column {found[2]}" if found and found[2] else ""
        message = _AT_LINE.sub("", message)
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Fault(0, file, line, message)
    hint = next((f"; {hint}" for words, hint in _TOML_HINTS if words in message), "")
    # Names that the message repeats may be long.
    return Fault(0, file, line, f"is not TOML{column}: {message[:1].lower()}{message[1:200]}{hint}")


def _file_faults(folder: Folder, tables: dict[str, Any], where: Positions) -> Iterator[Fault]:
    """Yield what is wrong with the files that the tables name, each file looked at once."""
    seen: dict[str, str] = {}
    cases: dict[str, tuple[str, int]] = {}
    for path, says in crowded(tables):
        yield Fault(0, FILE, where.line(path), f"{dotted(path)} {says}")
    for path, name in named(tables):
        line = where.line(path)
        wrong = path_fault(name)
        if wrong:
            yield Fault(0, FILE, line, f"{dotted(path)}: the path {shown(name)} {wrong}")
            continue
        one = path[-1] in ONE_FILE
        if one and is_pattern(name):
            yield Fault(0, FILE, line, f"{dotted(path)} names one file; wildcards have no meaning here")
            continue
        found = [normal(name)] if one else folder.match(name)
        if not found:
            what = "no file there" if is_pattern(name) else "there is no such file"
            yield Fault(
                0,
                FILE,
                line,
                f"{dotted(path)}: {shown(name)} matches nothing; {what}: check the path, relative to {FILE}",
            )
        use = str(path[-1]) if one else str(path[1 if path[0] == "evaluation" else 0])
        for file in found:
            if seen.get(file) == use:
                continue
            seen[file] = use
            if file not in folder.files:
                yield Fault(
                    0,
                    FILE,
                    line,
                    f"{dotted(path)}: the file {shown(file)} {folder.unreadable.get(file, 'is not there')}",
                )
                continue
            yield from _content_faults(use, file, folder.files[file], cases)


def _content_faults(use: str, file: str, data: bytes, cases: dict[str, tuple[str, int]]) -> Iterator[Fault]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield Fault(1, file, line, "is not UTF-8 text; save the file as UTF-8")
        return
    check = _CHECKS[use]
    for line, says in check(file, text, cases):
        yield Fault(1, file, line, says)


def _prompt(_: str, text: str, __: object) -> list[tuple[int, str]]:
    return prompt.faults(text)


def _knowledge(_: str, text: str, __: object) -> list[tuple[int, str]]:
    return [] if text.strip() else [(1, "is empty; write an article into it, or remove it")]


def _schema(_: str, text: str, __: object) -> list[tuple[int, str]]:
    try:
        answer_schema.usable(answer_schema.read(text))
    except answer_schema.Unusable as fault:
        return [(1, str(fault))]
    return []


def _filled(_: str, text: str, __: object) -> list[tuple[int, str]]:
    return [] if text.strip() else [(1, "is empty; write something into it, or remove it")]


def _cases(file: str, text: str, cases: dict[str, tuple[str, int]]) -> list[tuple[int, str]]:
    found, faults = read_cases(text.encode(), file)
    faults += [fault for line, case in found if (fault := _twice(file, line, case, cases))]
    return [(fault.number, fault.says) for fault in shortened(sorted(faults, key=lambda fault: fault.number))]


def _labels(_: str, text: str, __: object) -> list[tuple[int, str]]:
    return [(fault.number, fault.says) for fault in shortened(read_labels(text.encode())[1])]


def _twice(file: str, line: int, case: Case, cases: dict[str, tuple[str, int]]) -> CaseFault | None:
    first = cases.setdefault(case.id, (file, line))
    if first == (file, line):
        return None
    return CaseFault(line, f"the id {shown(case.id)} is already used at {first[0]}:{first[1]}; give every case its own")


_CHECKS: dict[str, Callable[[str, str, dict[str, tuple[str, int]]], list[tuple[int, str]]]] = {
    "prompt": _prompt,
    "file": _schema,
    "variants": _knowledge,
    "cases": _cases,
    # Their suites say what is wrong within, before anything is sent.
    "probes": _filled,
    "templates": _filled,
    "labels": _labels,
}
