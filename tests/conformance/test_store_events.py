"""Sealing events into tables and reading them back."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pilotage.errors import Conflict, WorkspaceUnusable
from pilotage.records import Feedback, Finished, GuardrailHit, SpoolEvent, Started, Text
from pilotage.store.base.recorded import Events
from pilotage.store.base.transaction import Store
from pilotage.store.events import EventsReader, Sealer, ingest
from pilotage.store.spool import Reader, Writer
from pilotage.store.tables import TABLES, columns
from pilotage.store.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "it's a workspace").prepare()


@pytest.fixture
def sealer(workspace: Workspace, store: Store) -> Iterator[Sealer]:
    made = Sealer(workspace.events, store)
    yield made
    made.close()


@pytest.fixture
def events(workspace: Workspace, store: Store) -> Iterator[Events]:
    made = EventsReader(workspace.events, store)
    yield made
    made.close()


def started(number: int, **changes: object) -> Started:
    fields: dict[str, object] = {
        "release": "support/a@000000000000",
        "arm": "live",
        "deadline": number + 60,
        "unit": "u",
    }
    return Started(id=f"i{number}", use_case="support", at=number, **{**fields, **changes})  # type: ignore[arg-type]


def finished(number: int, **changes: object) -> Finished:
    fields: dict[str, object] = {"served": "support/a@000000000000", "status": 200, "cost": 7}
    return Finished(id=f"i{number}", use_case="support", at=number + 5, **{**fields, **changes})  # type: ignore[arg-type]


def feedback(number: int, value: float = 1.0, received: int = 0, use_case: str = "support") -> Feedback:
    return Feedback(
        id=f"f{number}", use_case=use_case, at=number, metric="resolved", value=value, received=received, inference="i1"
    )


def placed(*events: SpoolEvent) -> list[tuple[int, SpoolEvent]]:
    return [(10 * number, event) for number, event in enumerate(events)]


def test_without_events_every_table_is_there_and_empty(events: Events) -> None:
    for table in (*TABLES, "inferences"):
        assert events.query(f"SELECT * FROM {table}") == []
    assert events.query("SELECT count(*) AS n, sum(cost) AS spent FROM inferences") == [{"n": 0, "spent": None}]


def test_every_field_comes_back_with_its_type_and_default(sealer: Sealer, events: Events) -> None:
    hits = (GuardrailHit("personal_data", "in", "redact", "email", 2), GuardrailHit("rules", "out", "block"))
    full: list[SpoolEvent] = [
        started(1, rollout="r", step=2, share=50_000, generation=9, streamed=True, key='Zoë\'s "7"\n\\', caller="k"),
        finished(1, error="timeout", fallback=True, cancelled=True, counted=True, hits=hits, finish_reason="stop"),
        Text(id="i1", use_case="support", at=1, unit_key="k", segment="2026-01-01/w0", offset=3, length=40),
        Feedback(id="f", use_case="support", at=-5, metric="m", value=0.1 + 0.2, received=2**62, unit="u"),
    ]
    sealer.seal("w0-1", 0, 99, placed(*full), finished=False)
    sealer.seal("w0-1", 99, 200, placed(started(2), finished(2)), finished=True)
    for event, (table, struct) in zip(full, TABLES.items(), strict=True):
        row = events.query(f'SELECT * FROM {table} ORDER BY "at" LIMIT 1')[0]
        assert row.pop("spool_segment") == "w0-1"
        assert row.pop("spool_offset") == 10 * full.index(event)
        if table == "finished":
            assert json.loads(row.pop("hits")) == [
                {"guardrail": "personal_data", "side": "in", "action": "redact", "kind": "email", "count": 2},
                {"guardrail": "rules", "side": "out", "action": "block"},
            ]
            row["hits"] = hits
        assert struct(**row) == event
        assert [column.name for column in columns(table)][2:] == list(struct.__struct_fields__)
    (plain,) = events.query("SELECT * FROM started WHERE id = ?", ["i2"])
    assert (plain["rollout"], plain["step"], plain["streamed"], plain["source"]) == ("", -1, False, "live")
    (bare,) = events.query("SELECT hits, error, fallback FROM finished WHERE id = $1", ["i2"])
    assert bare == {"hits": "[]", "error": "", "fallback": False}


def test_inferences_are_one_row_each_finished_or_not(sealer: Sealer, events: Events) -> None:
    sealer.seal(
        "w0-1", 0, 9, placed(started(1), started(2), finished(1), started(1), finished(1, status=500)), finished=True
    )
    sealer.seal("w1-1", 0, 9, placed(started(3), finished(9)), finished=True)
    sealer.seal("w0-2", 0, 9, placed(finished(3)), finished=True)
    rows = events.query('SELECT id, "at", finished, finished_at, status, cost, unit FROM inferences ORDER BY id')
    assert rows == [
        {"id": "i1", "at": 1, "finished": True, "finished_at": 6, "status": 200, "cost": 7, "unit": "u"},
        {"id": "i2", "at": 2, "finished": False, "finished_at": None, "status": None, "cost": None, "unit": "u"},
        {"id": "i3", "at": 3, "finished": True, "finished_at": 8, "status": 200, "cost": 7, "unit": "u"},
    ]


def test_feedback_sent_again_counts_once_as_first_received(sealer: Sealer, events: Events) -> None:
    sealer.seal("w0-1", 0, 9, placed(feedback(1, 0.0, received=20), feedback(2, 1.0, received=5)), finished=True)
    sealer.seal(
        "w1-1", 0, 9, placed(feedback(1, 1.0, received=10), feedback(1, 0.5, use_case="adverts")), finished=True
    )
    rows = events.query("SELECT use_case, id, value FROM feedback ORDER BY use_case, id")
    assert [tuple(row.values()) for row in rows] == [
        ("adverts", "f1", 0.5),
        ("support", "f1", 1.0),
        ("support", "f2", 1.0),
    ]


def test_a_range_is_sealed_once(sealer: Sealer, events: Events, store: Store) -> None:
    sealer.seal("w0-1", 0, 50, placed(started(1)), finished=False)
    for start, end in ((0, 50), (0, 80), (20, 80), (60, 80)):
        with pytest.raises(Conflict):
            sealer.seal("w0-1", start, end, placed(started(1), started(2)), finished=False)
    sealer.seal("w0-1", 50, 80, placed(started(2)), finished=True)
    assert [row["id"] for row in events.query("SELECT id FROM started ORDER BY id")] == ["i1", "i2"]
    with store.read() as tx:
        assert tx.progress.sealed("w0-1") == 80


def test_only_one_process_seals(workspace: Workspace, store: Store, sealer: Sealer) -> None:
    with pytest.raises(WorkspaceUnusable, match="another process is sealing"):
        Sealer(workspace.events, store)
    sealer.seal("w0-1", 0, 50, placed(started(1)), finished=False)


def test_what_a_crash_left_unlisted_is_swept_and_what_is_listed_stays(workspace: Workspace, store: Store) -> None:
    first = Sealer(workspace.events, store)
    first.seal("w0-1", 0, 50, placed(started(1)), finished=False)
    first.close()
    folder = workspace.events / "started"
    (kept,) = folder.iterdir()
    for left in ("w0-1-50-90.parquet", "w0-1-50-90.parquet.new", "w0-1-50-90.parquet.rows"):
        (folder / left).write_bytes(b"half")
    Sealer(workspace.events, store).close()
    assert list(folder.iterdir()) == [kept]


def test_small_files_are_merged_and_no_row_is_lost(
    workspace: Workspace, store: Store, sealer: Sealer, events: Events
) -> None:
    for turn in range(150):
        sealer.seal("w0-1", turn, turn + 1, placed(started(turn), finished(turn)), finished=False)
        if turn % 20 == 0:
            assert events.query("SELECT count(*) AS n FROM inferences WHERE finished") == [{"n": turn + 1}]
    assert events.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM started") == [{"n": 150, "ids": 150}]
    for table in ("started", "finished"):
        with store.read() as tx:
            listed = tx.progress.listed(table)
        assert len(listed) < 32
        assert sum(count for _, count in listed) == 150
        assert {path.name for path in (workspace.events / table).iterdir()} == {name for name, _ in listed}


def test_what_cannot_be_merged_is_sealed_all_the_same(
    sealer: Sealer, events: Events, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name.startswith("merged-"):
            raise OSError(28, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        for turn in range(20):
            sealer.seal("w0-1", turn, turn + 1, placed(started(turn)), finished=False)
    assert "stay unmerged" in caplog.text
    sealer.seal("w0-1", 20, 21, placed(started(20)), finished=False)
    assert events.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM started") == [{"n": 21, "ids": 21}]


def test_readers_in_other_threads_go_on_through_sealing_and_merging(sealer: Sealer, events: Events) -> None:
    faults: list[object] = []
    done = threading.Event()

    def look() -> None:
        last = 0
        while not done.is_set():
            try:
                (row,) = events.query("SELECT count(*) AS n, count(DISTINCT id) AS ids FROM started")
            except Exception as fault:  # noqa: BLE001 (handed to the test's own thread)
                faults.append(fault)
                return
            if row["n"] != row["ids"] or row["n"] < last:
                faults.append((last, row))
            last = row["n"]

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(100):
        sealer.seal("w0-1", turn, turn + 1, placed(started(turn)), finished=False)
    done.set()
    for thread in threads:
        thread.join()
    assert faults == []


def _count(folder: str, database: str, out: multiprocessing.SimpleQueue[int]) -> None:
    from pilotage.store.sqlite import SqliteStore

    store = SqliteStore(Path(database))
    reader = EventsReader(Path(folder), store)
    out.put(reader.query("SELECT count(*) AS n FROM inferences")[0]["n"])
    reader.close()
    store.close()


def test_another_process_reads_while_this_one_seals(workspace: Workspace, sealer: Sealer, tmp_path: Path) -> None:
    sealer.seal("w0-1", 0, 9, placed(started(1), started(2)), finished=False)
    spawn = multiprocessing.get_context("spawn")
    out: multiprocessing.SimpleQueue[int] = spawn.SimpleQueue()
    other = spawn.Process(target=_count, args=(str(workspace.events), str(tmp_path / "state.db"), out))
    other.start()
    other.join(timeout=60)
    assert other.exitcode == 0
    assert out.get() == 2


def test_a_field_that_the_file_does_not_know_is_null(
    workspace: Workspace, store: Store, sealer: Sealer, events: Events
) -> None:
    """As after an upgrade: files of the version before lack its new column."""
    sealer.seal("w0-1", 0, 9, placed(started(1, caller="k")), finished=False)
    old = workspace.events / "started" / "old.parquet"
    duckdb.execute(
        f"COPY (SELECT * EXCLUDE (caller) REPLACE ('i0' AS id) FROM read_parquet({_quoted(old.parent / '*.parquet')}))"
        f" TO {_quoted(old)} (FORMAT parquet)"
    )
    with store.write() as tx:
        tx.progress.seal("old-1", 0, 9, [("started", "old.parquet", 1)], finished=True)
    rows = events.query("SELECT id, caller FROM started ORDER BY id")
    assert rows == [{"id": "i0", "caller": None}, {"id": "i1", "caller": "k"}]
    for turn in range(40):
        sealer.seal("w0-1", 9 + turn, 10 + turn, placed(started(2 + turn)), finished=False)
    assert events.query("SELECT id FROM started WHERE caller IS NULL") == [{"id": "i0"}], "also after a merge"


def test_a_listed_file_that_is_gone_is_said_and_nothing_is_left_out(
    workspace: Workspace, sealer: Sealer, events: Events
) -> None:
    sealer.seal("w0-1", 0, 9, placed(started(1)), finished=False)
    (path,) = (workspace.events / "started").iterdir()
    path.unlink()
    with pytest.raises(WorkspaceUnusable, match="cannot be read"):
        events.query("SELECT * FROM started")


def test_queries_reach_no_file_outside_no_network_and_no_extension(workspace: Workspace, events: Events) -> None:
    secret = workspace.path / "state.txt"
    secret.write_text("x")
    for sql in (
        f"SELECT * FROM read_text({_quoted(secret)})",
        "SELECT * FROM read_parquet('https://example.invalid/x.parquet')",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
    ):
        with pytest.raises(duckdb.Error):
            events.query(sql)


def test_a_full_disk_keeps_events_in_the_spool(
    workspace: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(workspace.spool, "w0")
    writer.append(started(1))
    writer.close()
    spool, sealer = Reader(workspace.spool), Sealer(workspace.events, store)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(WorkspaceUnusable, match="cannot be sealed") as refused:
            ingest(spool, sealer, store)
    assert "stay in the spool" in refused.value.hint
    assert ingest(spool, sealer, store) == 1
    assert ingest(spool, sealer, store) == 0
    assert spool.segments() == []
    sealer.close()


def test_a_live_writer_is_followed_and_its_segment_dropped_when_it_ends(
    workspace: Workspace, store: Store, sealer: Sealer, events: Events
) -> None:
    writer, spool = Writer(workspace.spool, "w0"), Reader(workspace.spool)
    for turn in range(5):
        writer.append(started(turn))
        assert ingest(spool, sealer, store) == 1
        assert len(spool.segments()) == 1
    writer.append(started(5))
    writer.close()
    assert ingest(spool, sealer, store) == 1
    assert spool.segments() == []
    with store.read() as tx:
        assert tx.progress.finished() == []
    assert events.query("SELECT count(*) AS n FROM started") == [{"n": 6}]


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def test_a_value_that_no_column_holds_is_put_aside_and_the_rest_is_sealed(
    workspace: Workspace, store: Store, sealer: Sealer, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    good: list[SpoolEvent] = [*(started(n) for n in range(9)), *(finished(n) for n in range(9))]
    huge: list[SpoolEvent] = [
        finished(20, input_tokens=10**30),
        finished(21, cost=2**63),
        started(22, deadline=-(10**40)),
    ]
    with closing(Writer(workspace.spool, "w0")) as writer:
        for event in (*good[:3], huge[0], *good[3:14], huge[1], huge[2], *good[14:]):
            writer.append(event)
    assert ingest(Reader(workspace.spool), sealer, store) == len(good) + len(huge)
    ids = {f"i{number}" for number in range(9)}
    for table in ("started", "finished"):
        assert {row["id"] for row in events.query(f"SELECT id FROM {table}")} == ids
    assert sealer.quarantined == len(huge)
    aside = [path.read_bytes() for path in (workspace.spool / "quarantine").iterdir()]
    assert {json.loads(data)["id"] for data in aside} == {"i20", "i21", "i22"}
    assert str(10**30) not in caplog.text
    assert list(workspace.spool.glob("*.spool")) == []


def test_a_table_of_which_no_row_fits_gets_no_file(
    workspace: Workspace, store: Store, sealer: Sealer, events: Events
) -> None:
    sealer.seal("w0-1", 0, 50, placed(finished(1, output_tokens=10**30), started(1)), finished=False)
    assert events.query("SELECT count(*) AS n FROM finished") == [{"n": 0}]
    assert [row["finished"] for row in events.query("SELECT finished FROM inferences")] == [False]
    assert list((workspace.events / "finished").iterdir()) == []
    sealer.seal("w0-1", 50, 60, [(50, finished(1))], finished=True)
    assert [row["finished"] for row in events.query("SELECT finished FROM inferences")] == [True]
