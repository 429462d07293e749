"""Attacks on what is on record: every field of every row, every line of an export, and a death at every step."""

from __future__ import annotations

import json
import runpy
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.unit.test_anchors import rewrite
from tests.unit.test_ledger_facts import ADMIN, AUTHOR, FILE, OTHER, context, do, files, path
from tests.unit.test_policy import RULES

from pilotage.clock import FrozenClock
from pilotage.errors import Tampered
from pilotage.governance.alarms import raise_alarm
from pilotage.governance.commands import Context, run
from pilotage.governance.standing import spec_of
from pilotage.records import Alarm
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["context", "path"]
VERIFIER = Path(__file__).parents[2] / "docs" / "verify_ledger.py"
VOUCHED = {
    "ledger": ("seq", "at", "actor", "action", "use_case", "detail", "previous", "digest"),
    "evidence": ("id", "use_case", "release", "body"),
    "approval": ("id", "use_case", "release", "body"),
    "access_key": ("id", "body"),
    "release": ("reference", "use_case", "author", "body"),
    "use_case": ("name", "body"),
    "status": ("use_case", "body"),
    "serving": ("use_case", "body"),
    "policy": ("body",),
    "blob": ("digest", "data"),
    "words": ("reference", "salt", "text"),
    "alarm": ("id", "use_case", "open", "body"),
    "batch": ("rollout", "seq", "at", "body", "digest"),
}
"""What is vouched for, by table. The rest holds no decision: counters, leases, what can be computed again, what is sealed."""
UNVOUCHED = {
    ("alarm", "body", "count"): "grows whenever it is noticed again",
    ("alarm", "body", "last"): "likewise",
}


@pytest.fixture
def full(context: Context) -> Context:
    """A workspace with something in every table that is vouched for."""
    do(context, "policy_apply", ADMIN, file=files(RULES)["usecase.toml"])
    do(context, "pause", OTHER, use_case="support", reason="a look at the figures")
    now = context.clock.now()
    with context.store.write() as tx:
        registered = tx.use_cases.get("support")
        assert registered is not None
        alarm = Alarm(
            id="0" * 32, use_case="support", release="support/faq@0", kind="drift", what="length", watch="drift/length", at=now,
            since=now, says="has moved", detail={"examples": ["i1"]},
        )  # fmt: skip
        raise_alarm(tx, spec_of(registered), alarm)
    assert do(context, "ledger_verify", ADMIN)["ok"] is True
    return context


def altered(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case 0 | 1:
            return 1 - value
        case int() | float():
            return value + 1_000
        case str():
            return value + "x"
        case bytes():
            return value + b"x"
        case _:
            return "x"


def leaves(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of everything in JSON data that is neither a table nor a list with something in it."""
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    found = list(inside)
    for key, value in found:
        yield from leaves(value, (*place, key))
    if not found and place:
        yield place


def changed(data: Any, place: tuple[Any, ...]) -> Any:
    if not place:
        return altered(data)
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[place[0]] = changed(copy[place[0]], place[1:])
    return copy


def alterations(raw: sqlite3.Connection) -> Iterator[tuple[str, str, object, object, tuple[Any, ...]]]:
    """Yield (table, column, the value that is there, another one, where in its JSON)."""
    for table, columns in VOUCHED.items():
        for column in columns:
            for (value,) in raw.execute(f"SELECT DISTINCT {column} FROM {table}").fetchall():
                data = None
                if isinstance(value, bytes) and value[:1] == b"{":
                    data = msgspec.json.decode(value)
                if data is None:
                    yield table, column, value, altered(value), ()
                    continue
                for place in leaves(data):
                    yield table, column, value, msgspec.json.encode(changed(data, place)), place


def test_every_field_of_every_row_that_is_vouched_for(full: Context, path: Path) -> None:
    missed, tried = [], 0
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for table, column, before, after, place in list(alterations(raw)):
            if (table, column, *place[:1]) in UNVOUCHED:
                continue
            tried += 1
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (after, before))
            try:
                do(full, "ledger_verify", ADMIN)
                missed.append((table, column, place))
            except Tampered:
                pass
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ?", (before, after))
    assert not missed
    assert tried > 300
    assert do(full, "ledger_verify", ADMIN)["ok"] is True


def test_every_row_taken_away(full: Context, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for table in VOUCHED:
            if table == "batch":
                continue
            raw.execute(f"CREATE TEMP TABLE kept AS SELECT * FROM {table}")
            key = VOUCHED[table][0]
            for (value,) in raw.execute(f"SELECT DISTINCT {key} FROM kept").fetchall():
                raw.execute(f"DELETE FROM {table} WHERE {key} = ?", (value,))
                with pytest.raises(Tampered):
                    do(full, "ledger_verify", ADMIN)
                raw.execute(f"INSERT INTO {table} SELECT * FROM kept WHERE {key} = ?", (value,))
            raw.execute("DROP TABLE kept")
    assert do(full, "ledger_verify", ADMIN)["ok"] is True


def independent(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Run the independent verifier; return what it found wrong."""
    monkeypatch.setattr(sys, "argv", ["verify_ledger.py", *arguments])
    try:
        runpy.run_path(str(VERIFIER))
    except SystemExit as refusal:
        return str(refusal)
    return ""


def test_every_field_of_an_exported_ledger(
    full: Context, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = do(full, "ledger", ADMIN)["entries"]
    file = tmp_path / "ledger.jsonl"

    def found(lines: list[dict[str, Any]], *kept: str) -> str:
        file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        return independent(monkeypatch, str(file), *kept)

    assert not found(entries)
    tried = 0
    for index, entry in enumerate(entries):
        for place in leaves(entry):
            tried += 1
            assert found([*entries[:index], changed(entry, place), *entries[index + 1 :]]), place
        assert found([*entries[:index], *entries[index + 1 :]]) or index == len(entries) - 1
        assert found([*entries[:index], entry, *entries[index:]])
    assert tried > 150
    assert found(entries[::-1])
    # A cut end, and a chain that whoever holds the key wrote anew, take an anchor.
    checkpoint = do(full, "ledger_checkpoint", ADMIN)
    anchors = tmp_path / "anchors.jsonl"
    anchors.write_text(json.dumps({"at": 0, "checkpoint": checkpoint["checkpoint"], "key": checkpoint["key"]}) + "\n")
    assert not found(entries, str(anchors))
    assert "gone" in found(entries[:-1], str(anchors))
    rewrite(path)
    anew = do(full, "ledger", ADMIN)["entries"]
    assert not found(anew)
    assert "not the one that was anchored" in found(anew, str(anchors))


DIES = """
import os, signal, sys
from pathlib import Path
from pilotage.clock import FrozenClock
from pilotage.governance.commands import Context, run
from pilotage.store.sqlite import SqliteStore, session, store
from tests.unit.test_ledger_facts import AUTHOR

left, at_commit = int(sys.argv[2]), sys.argv[3]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

writes = session.Session.write
def counted(self, sql, parameters=()):
    global left
    if left == 0:
        die()
    left -= 1
    return writes(self, sql, parameters)

session.Session.write = counted
opened = SqliteStore(Path(sys.argv[1]))
finish = session.Session.finish
def finished(self):
    finish(self)
    if at_commit == "before" and self._writable:
        die()
session.Session.finish = finished
run(Context(opened, FrozenClock()), AUTHOR, "promote", {"use_case": "support", "reason": "go"})
if at_commit == "after":
    die()
print("alive")
"""


def test_a_death_at_every_step_of_a_promotion_leaves_both_or_neither(tmp_path: Path) -> None:
    """The ledger's entry and the state that it tells of, with SIGKILL at each statement that writes, and around the commit."""
    before = tmp_path / "before"
    before.mkdir()
    with closing(SqliteStore(before / "state.db")) as store:
        context = Context(store, FrozenClock())
        applied = do(context, "apply", files=files(FILE))
        fact = {"use_case": "support", "release": applied["candidate"], "baseline": applied["live"], "n": 100}
        do(
            context,
            "record_evidence",
            measure="quality_difference",
            value=0.1,
            low=0.1,
            high=0.1,
            method="t",
            data="d",
            **fact,
        )
        do(context, "promote", use_case="support")
    stages, points = [], [*((number, "") for number in range(9)), (99, "before"), (99, "after")]
    for number, at_commit in points:
        place = tmp_path / f"{number}{at_commit}"
        shutil.copytree(before, place)
        died = subprocess.run(
            [sys.executable, "-c", DIES, str(place / "state.db"), str(number), at_commit],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        with closing(SqliteStore(place / "state.db")) as store:
            again = Context(store, FrozenClock())
            entries = do(again, "ledger", ADMIN)["entries"]
            stage = do(again, "status", use_case="support")["use_cases"][0]["stage"]
            assert do(again, "ledger_verify", ADMIN)["entries"] == len(entries)
            assert (stage == "staging") == (entries[-1]["detail"].get("to") == "staging"), died.stderr
            stages.append((stage, died.returncode, died.stdout))
            if stage == "poc":
                # Nothing was left behind that keeps anybody from trying again.
                assert run(again, AUTHOR, "promote", {"use_case": "support"})["done"] is True
        if died.returncode == 0 and not at_commit:
            break
    killed = [stage for stage, code, _ in stages if code == -9]
    assert len(killed) >= 3, stages
    assert set(killed) == {"poc"}, "before its commit nothing of it is there"
    after = stages[-1]
    assert after == ("staging", 0, "alive\n"), stages
