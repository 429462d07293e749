"""The judge: a process of its own that sees a question and a reply, and nothing else.

`python -m pilotage.demo.judge FILE.jsonl ...` reads the facts of every question (`text`, `required`, `forbidden`), then
JSON lines `{"id", "question", "reply"}` on its standard input, and answers each with `{"id", "resolved"}`: 1 where the
reply holds all required facts of that question and none of the forbidden ones, else 0, and null where it does not know
the question. It is never told which release answered.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pilotage.evaluation.scorer import normal
from pilotage.evaluation.scorers import fact_faults

if TYPE_CHECKING:
    from collections.abc import Iterable


class Facts(msgspec.Struct, frozen=True):
    """What a right reply to one question holds (one of each group), and what it must not hold."""

    text: str
    required: tuple[tuple[str, ...], ...] = ()
    forbidden: tuple[str, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    id: int
    question: str
    reply: str


class Judged(msgspec.Struct, frozen=True):
    id: int
    resolved: int | None


class Judge:
    """Facts by question."""

    def __init__(self, facts: Iterable[Facts]) -> None:
        """Raise ValueError where one question is given twice with other facts: it could not be judged by its text."""
        self._facts: dict[str, Facts] = {}
        for item in facts:
            known = self._facts.setdefault(normal(item.text), item)
            if (known.required, known.forbidden) != (item.required, item.forbidden):
                msg = f"two sets of facts for one question: {item.text!r}"
                raise ValueError(msg)

    def resolved(self, question: str, reply: str) -> int | None:
        facts = self._facts.get(normal(question))
        if facts is None or not (facts.required or facts.forbidden):
            return None
        return int(not fact_faults(reply, facts.required, facts.forbidden))


def read_facts(path: Path) -> list[Facts]:
    """Read a file of questions; raise ValueError naming the line that is not one."""
    facts = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if line.strip():
            try:
                facts.append(msgspec.json.decode(line, type=Facts))
            except msgspec.MsgspecError as fault:
                msg = f"{path}:{number}: {fault}"
                raise ValueError(msg) from None
    return facts


def main(files: list[str]) -> int:
    judge = Judge(item for name in files for item in read_facts(Path(name)))
    decoder = msgspec.json.Decoder(Asked)
    for line in sys.stdin.buffer:
        asked = decoder.decode(line)
        answer = Judged(asked.id, judge.resolved(asked.question, asked.reply))
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
