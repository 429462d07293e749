"""The chain: every way to tamper with the ledger is found and named by its entry."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pilotage.errors import Tampered
from pilotage.governance import ledger
from pilotage.governance.verification import verify
from pilotage.records import LedgerEntry
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path)) as store:
        with store.write() as tx:
            for number in range(1, COUNT + 1):
                detail = {"number": number, "share": 0.1 * number, "words": "naïve “quoted”", "list": (1, None, True)}
                ledger.append(tx, at=number, actor="key:a", action="advance", use_case="support", detail=detail)
        yield store


def entries(store: SqliteStore) -> list[LedgerEntry]:
    with store.read() as tx:
        return list(tx.ledger.read())


def faults(found: list[LedgerEntry]) -> list[str]:
    return list(ledger.chain_faults(found))


def test_a_whole_ledger_verifies(store: SqliteStore) -> None:
    with store.read() as tx:
        count, head = verify(tx)
    assert (count, head) == (COUNT, entries(store)[-1].digest)


def test_an_empty_ledger_verifies(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "empty.db")) as store, store.read() as tx:
        assert verify(tx) == (0, "0" * 64)


def test_the_digest_is_over_canonical_json() -> None:
    entry = LedgerEntry(
        seq=1, at=2, actor="é", action="x", use_case="u", detail={"b": 1.5, "a": [True, None]}, previous="0", digest=""
    )
    by_hand = (
        '{"action":"x","actor":"é","at":2,"detail":{"a":[true,null],"b":1.5},"previous":"0","seq":1,"use_case":"u"}'
    )
    fields = msgspec.to_builtins(entry)
    del fields["digest"]
    assert ledger.canonical(fields) == by_hand.encode()
    # printf '%s' "$by_hand" | sha256sum
    assert ledger.digest_of(entry) == "48f4e1da63617137d69796255190b422e77635d9eb3d3ef0fab9bfb68c8d384d"


def test_numbers_that_are_none_are_refused(store: SqliteStore) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"), store.write() as tx:
        ledger.append(tx, at=1, actor="a", action="x", detail={"value": float("nan")})
    assert len(entries(store)) == COUNT


@pytest.mark.parametrize("seq", range(1, COUNT + 1))
@pytest.mark.parametrize(
    "change",
    [
        {"at": 99},
        {"actor": "key:b"},
        {"action": "approve"},
        {"use_case": "other"},
        {"detail": {}},
        {"previous": "f" * 64},
        {"digest": "f" * 64},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_alteration_of_any_field_is_named(store: SqliteStore, seq: int, change: dict[str, Any]) -> None:
    found = entries(store)
    found[seq - 1] = msgspec.structs.replace(found[seq - 1], **change)
    assert faults(found)[0] == f"entry {seq} was altered: its digest is not that of its content"


@pytest.mark.parametrize("seq", range(1, COUNT))
def test_an_alteration_with_a_new_digest_breaks_the_next_link(store: SqliteStore, seq: int) -> None:
    found = entries(store)
    forged = msgspec.structs.replace(found[seq - 1], actor="key:b")
    found[seq - 1] = msgspec.structs.replace(forged, digest=ledger.digest_of(forged))
    assert faults(found) == [f"entry {seq + 1} does not follow entry {seq}: one of the two was replaced"]


@pytest.mark.parametrize("seq", range(1, COUNT))
def test_a_removal_is_named(store: SqliteStore, seq: int) -> None:
    found = entries(store)
    del found[seq - 1]
    assert faults(found) == [f"entry {seq} is missing"]


def test_several_removals_are_named(store: SqliteStore) -> None:
    found = entries(store)
    del found[1:4]
    assert faults(found) == ["entries 2 to 4 are missing"]


def test_a_reordering_is_named(store: SqliteStore) -> None:
    found = entries(store)
    found[2], found[3] = found[3], found[2]
    assert faults(found)[:2] == ["entry 3 is missing", "entry 3 stands after entry 4"]


def test_entries_that_change_places_are_named(store: SqliteStore) -> None:
    found = entries(store)
    one, two = found[2], found[3]
    found[2] = msgspec.structs.replace(two, seq=3)
    found[3] = msgspec.structs.replace(one, seq=4)
    assert [fault.partition(":")[0] for fault in faults(found)] == [
        "entry 3 was altered",
        "entry 4 was altered",
        "entry 5 does not follow entry 4",
    ]


def test_tampering_with_the_file_is_found(store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE ledger SET actor = 'key:z' WHERE seq = 4")
    with store.read() as tx, pytest.raises(Tampered, match=r"entry 4 was altered"):
        verify(tx)
