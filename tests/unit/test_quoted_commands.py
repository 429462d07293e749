"""Every `pilotage ...` that a document quotes is a command that there is, with options that it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from pilotage.cli.root import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*pilotage [^`\n]+)`")
BLOCK = re.compile(r"```(?:sh|console)?\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"(?:\$ )?(?:[A-Z_]+=\S+ )*pilotage ")


def quoted(text: str) -> list[str]:
    lines = [line for block in BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    return [*INLINE.findall(text), *(line for line in lines if COMMAND.match(line))]


def faults(line: str) -> list[str]:
    words = re.split(r" #|[|&;>]", line[line.index("pilotage ") :])[0].split()[1:]
    command = typer.main.get_command(app)
    while (known := getattr(command, "commands", None)) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name not in known:
            return [f"no command {name}: {line}"]
        command = known[name]
    options = {"--help", *(name for one in command.params for name in (*one.opts, *one.secondary_opts))}
    said = [word.split("=")[0].rstrip(".,)]") for word in words if word.startswith("--")]
    return [f"no option {name}: {line}" for name in said if name not in options]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_quoted_exists(document: Path) -> None:
    assert [fault for line in quoted(document.read_text()) for fault in faults(line)] == []


def test_what_does_not_exist_is_found() -> None:
    assert faults("pilotage statsu help") == ["no command statsu: pilotage statsu help"]
    assert faults("pilotage ledger verify --chekpoint f") != []
    assert quoted("so `pilotage ledger verify` says\n```sh\npilotage check x  # y\n```") == [
        "pilotage ledger verify",
        "pilotage check x  # y",
    ]
