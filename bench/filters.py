"""What filters cost and what they find: `python bench/filters.py`, with PILOTAGE_TEST_DATA for the latter.

Microseconds of processor time for each KB of text, the least of several turns; and on labelled texts recall and precision
by kind (a find counts where it overlaps a label of its kind).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pilotage.guardrails.folded import Folded
from pilotage.guardrails.injection import Injection
from pilotage.guardrails.links import Links
from pilotage.guardrails.look import Find, Sight, Timer
from pilotage.guardrails.personal_data import PersonalData
from pilotage.guardrails.phrases import Phrases
from pilotage.guardrails.prompt_words import PromptWords
from pilotage.guardrails.window import Window

if TYPE_CHECKING:
    from pilotage.guardrails.look import Finder

CLEAN = ("The parcel arrives tomorrow, please wait for our message about the delivery window. " * 20)[:1024]
ACCENTED = ("Die Größe der Übergänge – „schön“ für alle Fälle, und das Paket kommt morgen an. " * 20)[:1024]  # noqa: RUF001
DENSE = (
    "Mail jane.doe@example.com or call +49 30 1234567; card 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, from"
    " 192.168.1.10. " * 20
)[:1024]
LABELS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_SSN": "national_number",
    "IP_ADDRESS": "ip",
}


def least(work: object, turns: int = 7, times: int = 200) -> float:
    """Return microseconds of processor time a call."""
    found = []
    for _ in range(turns):
        start = time.process_time()
        for _ in range(times):
            work()  # type: ignore[operator]
        found.append((time.process_time() - start) / times * 1e6)
    return min(found)


def whole(finder: Finder, text: str) -> None:
    Window(finder, replaced).feed(text, Timer(60), last=True)


def streamed(finder: Finder, text: str) -> None:
    window = Window(finder, replaced)
    for at in range(0, len(text), 5):
        window.feed(text[at : at + 5], Timer(60))
    window.feed("", Timer(60), last=True)


def replaced(find: Find, _: str) -> str:
    return f"[{find.kind}]"


def cost() -> None:
    finders: dict[str, Finder] = {
        "personal_data": PersonalData(),
        "links": Links(("example.com",)),
        "phrases": Phrases(("money back guarantee", "no questions asked"), "phrase"),
        "leak": PromptWords("You are the assistant of Acme. Be kind, be short, and never promise anything. " * 10, 8),
        "injection": Injection(),
    }
    print("| us a KB | clean | accented | dense | a streamed event of 5 signs |\n|---|---|---|---|---|")
    for name, finder in finders.items():
        cells = [least(lambda f=finder, t=text: whole(f, t)) for text in (CLEAN, ACCENTED, DENSE)]
        event = least(lambda f=finder: streamed(f, CLEAN), times=10) / 205
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} | {event:.1f} |")


def recall(path: Path) -> None:
    finder = PersonalData()
    there: Counter[str] = Counter()
    met: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row in json.loads(path.read_text()):
        folded = Folded(row["full_text"])
        finds, _ = finder.look(Sight(folded.text, folded.data, 0, last=True, timer=Timer(60)))
        spans = [(*folded.stood(find.start, find.end), find.kind) for find in finds]
        labels = [
            (one["start_position"], one["end_position"], LABELS.get(one["entity_type"], "")) for one in row["spans"]
        ]
        for start, end, kind in labels:
            there[kind] += 1
            met[kind] += any(a < end and start < b and found == kind for a, b, found in spans)
        for a, b, found in spans:
            wrong[found] += not any(a < end and start < b and found == kind for start, end, kind in labels)
    for kind in sorted(filter(None, there)):
        precision = met[kind] / ((met[kind] + wrong[kind]) or 1)
        print(f"{kind}: {there[kind]} labelled, recall {met[kind] / there[kind]:.3f}, precision {precision:.3f}")
    print(f"without a form of their own, so not found: {there['']}")


if __name__ == "__main__":
    cost()
    data = os.environ.get("PILOTAGE_TEST_DATA")
    if data:
        recall(Path(data) / "privacy/presidio_generated_large.json")
