"""What a pull request shows: JUnit's XML, GitHub's annotations, GitLab's code quality."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pilotage.cli.files import write_text
from pilotage.report.junit import TestCase, junit

if TYPE_CHECKING:
    from collections.abc import Sequence

Junit = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write what was found as JUnit's XML too.", show_default=False),
]
GitHub = Annotated[bool, typer.Option("--github", help="Print what was found as annotations of GitHub Actions too.")]
CodeQuality = Annotated[
    Path | None,
    typer.Option(
        "--code-quality",
        metavar="FILE",
        help="Write the faults as GitLab's code quality report too.",
        show_default=False,
    ),
]
_PLACE = re.compile(r"([^:\s]+):([0-9]+): (.*)", re.DOTALL)


def tell_faults(
    directory: Path, faults: Sequence[str], *, as_junit: Path | None, github: bool, code_quality: Path | None
) -> None:
    """Say a folder's faults, each `file:line: what is wrong`, where CI shows them."""
    placed = [_placed(directory, fault) for fault in faults]
    if as_junit is not None:
        cases = [TestCase(f"{file}:{line}", str(directory), "failure", says) for file, line, says in placed]
        write_text(as_junit, junit("pilotage check", cases or [TestCase("usecase.toml", str(directory))]))
    if code_quality is not None:
        rows = [
            {
                "description": says,
                "check_name": "pilotage check",
                # The line is left out, so that a fault that only moves stays the same one.
                "fingerprint": hashlib.sha256(f"{file}\0{says}".encode()).hexdigest(),
                "severity": "critical",
                "location": {"path": file, "lines": {"begin": line}},
            }
            for file, line, says in placed
        ]
        write_text(code_quality, json.dumps(rows, indent=1) + "\n")
    if github:
        for file, line, says in placed:
            sys.stdout.write(f"::error file={_property(file)},line={line},title=pilotage check::{_data(says)}\n")


def tell_gate(gate: dict[str, Any], *, as_junit: Path | None, github: bool) -> None:
    """Say what a gate demands, line by line, where CI shows it."""
    group = f"gate into {gate['stage']}"
    if as_junit is not None:
        write_text(
            as_junit, junit(f"pilotage promote --dry-run: {group}", [_case(group, one) for one in gate["criteria"]])
        )
    if github:
        for one in gate["criteria"]:
            if one["verdict"] not in ("pass", "waived"):
                level = "error" if one["verdict"] == "fail" else "warning"
                says = f"{one['says']} {one.get('opens_with', '')}".strip()
                title = _property(f"{group}: {one['name']} ({one['verdict']})")
                sys.stdout.write(f"::{level} title={title}::{_data(says)}\n")


def _case(group: str, one: dict[str, Any]) -> TestCase:
    made = TestCase(str(one["name"]), group)
    if one["verdict"] == "pass":
        return made
    if one["verdict"] == "waived":
        return made._replace(outcome="skipped", message=one["says"])
    return made._replace(
        outcome="failure", message=f"{one['verdict']}: {one['says']}", text=one.get("opens_with") or ""
    )


def _placed(directory: Path, fault: str) -> tuple[str, int, str]:
    found = _PLACE.fullmatch(fault)
    if found is None:
        return str(directory), 1, fault
    return str(directory / found[1]), int(found[2]), found[3]


def _data(text: str) -> str:
    """Escape a message as GitHub's workflow commands want it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
