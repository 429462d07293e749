"""People's own words are apart from the ledger: shown where they may be, erased for good, and never altered unseen."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.test_ledger_facts import ADMIN, AUTHOR, FILE, OTHER, context, do, files, path

from pilotage.access import Actor, Role
from pilotage.errors import Denied, GateClosed, NotFound, Tampered
from pilotage.governance import ledger, words
from pilotage.governance.commands import Context
from pilotage.report.page import card_page, card_text

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["context", "path"]
WHY = "Jane Fawkes of Sales has read the evidence"
APPROVED = 11


@pytest.fixture
def said(context: Context) -> Context:
    """A use case whose second candidate was approved, and paused, for a reason that names somebody."""
    do(context, "pause", OTHER, use_case="support", reason=WHY)
    return context


def entry(context: Context, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = do(context, "ledger", ADMIN, newest=1, **more)["entries"][0]
    return found


def held(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob("state.db*"))


def test_an_entry_refers_to_words_and_people_read_them(said: Context) -> None:
    assert WHY not in str(entry(said))
    assert entry(said, spoken=True)["detail"]["reason"] == WHY
    assert WHY in str(do(said, "status", use_case="support")), "what is shown to people has the words in it"
    assert do(said, "ledger_verify", ADMIN)["entries"] == APPROVED


def test_an_entry_as_it_is_has_the_digest_that_it_tells(said: Context) -> None:
    with said.store.read() as tx:
        for one in tx.ledger.read():
            assert ledger.is_whole(one)
            assert ledger.digest_of(one) == one.digest


def test_erased_words_are_in_no_file_and_the_ledger_verifies(said: Context, path: Path) -> None:
    assert WHY.encode() in held(path)
    told = do(said, "ledger_forget", ADMIN, seq=APPROVED, reason="it named a person")
    assert (told["erased"], told["ledger"]) == (1, APPROVED + 1)
    assert WHY.encode() not in held(path)
    assert b"Fawkes" not in held(path)
    assert do(said, "ledger_verify", ADMIN)["entries"] == APPROVED + 1
    shown = do(said, "ledger", ADMIN, after=APPROVED - 1, spoken=True)["entries"]
    assert [one["detail"]["reason"] for one in shown] == ["(erased)", "it named a person"]
    with pytest.raises(NotFound, match="no words are kept for entry 11"):
        do(said, "ledger_forget", ADMIN, seq=APPROVED)
    with pytest.raises(NotFound, match="no entry 99"):
        do(said, "ledger_forget", ADMIN, seq=99)


def test_it_takes_an_administrator_of_the_use_case(said: Context) -> None:
    other = Actor(id="key:x", roles=(Role.ADMIN,), use_cases=("billing",))
    for actor in (AUTHOR, other):
        with pytest.raises(Denied):
            do(said, "ledger_forget", actor, seq=APPROVED)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("UPDATE words SET text = 'somebody else said so'", "words that entry 11 refers to were altered"),
        ("UPDATE words SET salt = zeroblob(32)", "words that entry 11 refers to were altered"),
        (
            "UPDATE words SET reference = 'words:' || lower(hex(randomblob(32)))",
            "words that entry 11 refers to are gone",
        ),
        ("DELETE FROM words", "words that entry 11 refers to are gone, and no entry says that they were erased"),
    ],
)
def test_words_that_were_altered_or_taken_away_are_named(said: Context, path: Path, sql: str, says: str) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute(sql)
        raw.execute("UPDATE words SET use_case = ''")  # Whoever may read them says nothing of the entry.
    with pytest.raises(Tampered, match=says):
        do(said, "ledger_verify", ADMIN)


def test_words_of_one_use_case_are_not_read_through_another(said: Context) -> None:
    """A reference is no secret, so a file that repeats one must not show what stands behind it."""
    reference = entry(said)["detail"]["reason"]
    theirs = FILE.replace('"support"', '"theirs"').replace('owner = "Ada"', f'owner = "{reference}"')
    do(said, "apply", files=files(theirs))
    stranger = Actor(id="key:x", roles=(Role.OPERATE, Role.APPROVE), use_cases=("theirs",))
    shown = do(said, "portfolio", stranger)
    assert reference in str(shown)
    assert WHY not in str(shown)
    # What looks like a reference is said like anything else.
    do(said, "resume", OTHER, use_case="support", reason=reference)
    assert entry(said)["detail"]["reason"] != reference
    assert entry(said, spoken=True)["detail"]["reason"] == reference


def test_a_closed_gate_has_the_words_in_it(said: Context) -> None:
    reference = entry(said)["detail"]["reason"]
    line = {"says": f"Waived by grace: {reference}"}
    with said.store.read() as tx:
        fault = words.said(tx, GateClosed("closed", gate={"criteria": [line]}, hint="wait"), OTHER)
    assert fault.gate == {"criteria": [{"says": f"Waived by grace: {WHY}"}]}
    assert fault.hint == "wait"


def test_entries_that_hold_their_words_themselves_still_verify(context: Context) -> None:
    with context.store.write() as tx:
        ledger.append(
            tx, at=context.clock.now(), actor="key:old", action="resend", detail={"reason": "of an old version"}
        )
    assert do(context, "ledger_verify", ADMIN)["ok"] is True
    assert entry(context, spoken=True)["detail"]["reason"] == "of an old version"


def test_a_digest_holds_over_facts_that_refer_to_words(said: Context) -> None:
    facts = do(said, "report", use_case="support")
    assert WHY in facts["words"].values() or "go" in facts["words"].values() or facts["words"] == {}
    told = {name: value for name, value in facts.items() if name not in ("digest", "words")}
    assert hashlib.sha256(ledger.canonical(told)).hexdigest() == facts["digest"]
    card = do(said, "card", use_case="support")
    assert WHY in card["words"].values()
    told = {name: value for name, value in card.items() if name not in ("digest", "words")}
    assert hashlib.sha256(ledger.canonical(told)).hexdigest() == card["digest"]
    assert WHY not in str(told)
    assert WHY in card_text(card)
    assert WHY in card_page(card)
