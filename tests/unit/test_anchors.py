"""Anchors that went out find what a chain cannot: a cut tail, an older copy put back, and a ledger written anew."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pilotage import settings
from pilotage.access import Actor, Role
from pilotage.app.anchorage import places
from pilotage.clock import FrozenClock
from pilotage.errors import Refused, Tampered, WorkspaceUnusable, WrongCall
from pilotage.governance import anchors, checkpoint, ledger
from pilotage.governance.anchors import Anchor
from pilotage.governance.commands import Context, run
from pilotage.store.sqlite import SqliteStore

ROOT = Actor(id="local:root", roles=(Role.ADMIN,))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "workspace").mkdir()
    return tmp_path / "workspace" / "state.db"


def grow(context: Context, count: int, by: str = "a") -> None:
    with context.store.write() as tx:
        for number in range(count):
            ledger.append(tx, at=context.clock.now(), actor=by, action="noted", detail={"n": number})


def opened(path: Path, *where: str) -> Context:
    return Context(SqliteStore(path), FrozenClock(), anchors=places(where))


def verify(context: Context, **arguments: Any) -> dict[str, Any]:
    return run(context, ROOT, "ledger_verify", arguments)


def anchored(context: Context) -> int:
    return int(run(context, ROOT, "ledger_anchor", {})["entries"])


@pytest.fixture(params=["file", "git"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "anchors.jsonl")
    for name, kind in (("far", ["--bare"]), ("audit", [])):
        subprocess.run(["git", "init", "-q", *kind, str(tmp_path / name)], check=True)
    subprocess.run(["git", "-C", tmp_path / "audit", "remote", "add", "origin", str(tmp_path / "far")], check=True)
    return f"git:{tmp_path / 'audit'}"


def test_a_ledger_that_goes_on_is_anchored_again_and_again(path: Path, where: str, tmp_path: Path) -> None:
    context = opened(path, where)
    with closing(context.store):
        assert anchored(context) == 0
        for count in (3, 0, 2):
            grow(context, count)
            anchored(context)
        # What has not grown is not anchored again.
        assert [found.entries for found in anchors.read(context.anchors[0].lines() or [])] == [3, 5]
        assert verify(context)["anchors"] == 2
    if where.startswith("git:"):
        pushed = subprocess.run(
            ["git", "-C", tmp_path / "far", "tag", "--list"], capture_output=True, text=True, check=True
        )
        assert len(pushed.stdout.split()) == 2


def test_an_older_copy_put_back_is_found_and_not_anchored(path: Path, where: str, tmp_path: Path) -> None:
    context = opened(path, where)
    with closing(context.store):
        grow(context, 3)
        anchored(context)
    shutil.copytree(path.parent, tmp_path / "older")
    context = opened(path, where)
    with closing(context.store):
        grow(context, 4)
        anchored(context)
    for more in (0, 9):  # As it was, and after it has grown beyond what it was.
        context = opened(tmp_path / "older" / "state.db", where)
        with closing(context.store):
            grow(context, more, by="b")
            for asked in (verify, anchored):
                with pytest.raises(Tampered, match="older copy was put back"):
                    asked(context)
            assert len(context.anchors[0].lines() or []) == 2


def test_a_rewrite_by_who_holds_the_key_is_found_for_good(path: Path, where: str) -> None:
    context = opened(path, where)
    with closing(context.store):
        grow(context, 5)
        anchored(context)
        rewrite(path)
        with context.store.read() as tx:
            assert not list(ledger.chain_faults(tx.ledger.read())), "the new chain is whole"
        with pytest.raises(Tampered, match="written anew"):
            verify(context)
        # Nor does it help to put a signed anchor of the new chain beside the old one.
        seed = context.store.secret("checkpoint")
        with context.store.read() as tx:
            entries, digest = tx.ledger.head()
        note = checkpoint.sign(seed, anchors.SIGNER, entries, digest)
        key = str(checkpoint.verifier(seed, anchors.SIGNER))
        context.anchors[0].put(entries + 1, json.dumps({"at": 0, "checkpoint": note, "key": key}))
        with pytest.raises(Tampered, match="written anew"):
            verify(context)


def rewrite(path: Path) -> None:
    """Write all of the chain anew, every digest right, with another reason in its second entry."""
    with closing(SqliteStore(path)) as store, store.read() as tx:
        entries = list(tx.ledger.read())
    with closing(sqlite3.connect(path)) as raw, raw:
        previous = ledger.GENESIS
        for entry in entries:
            detail = {"n": "another"} if entry.seq == 2 else entry.detail
            new = msgspec.structs.replace(entry, detail=detail, previous=previous)
            previous = ledger.digest_of(new)
            raw.execute(
                "UPDATE ledger SET detail = ?, previous = ?, digest = ? WHERE seq = ?",
                (msgspec.json.encode(detail), new.previous, previous, entry.seq),
            )


def test_a_new_key_is_found(path: Path, where: str) -> None:
    context = opened(path, where)
    with closing(context.store):
        grow(context, 2)
        anchored(context)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE secret SET value = ? WHERE name = 'checkpoint'", (bytes(32),))
    context = opened(path, where)
    with closing(context.store), pytest.raises(Tampered, match="another key"):
        verify(context)


def test_an_address_takes_anchors_which_are_looked_at_when_they_are_given(path: Path, tmp_path: Path) -> None:
    taken: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        context = opened(path, f"http://127.0.0.1:{receiver.server_port}/")
        with closing(context.store):
            for count in (2, 0, 3):
                grow(context, count)
                anchored(context)
            receiver.shutdown()
            kept = anchors.read(line.decode() for line in taken)
            assert [found.entries for found in kept] == [2, 5]
            assert verify(context, anchors=kept) | {"head": ""} == {
                "entries": 5,
                "head": "",
                "ok": True,
                "anchors": 2,
                "unread": ["the address in PILOTAGE_ANCHORS"],
            }
            with pytest.raises(Tampered, match="cut off"):
                verify(context, anchors=[*kept, (9, "a" * 64)])
            # The independent verifier says the same of what the address has kept.
            entries = run(context, ROOT, "ledger", {})["entries"]
    export, anchor_file = tmp_path / "ledger.jsonl", tmp_path / "kept.jsonl"
    anchor_file.write_bytes(b"".join(taken))
    for lines, code in ((entries, 0), (entries[:4], 1), (entries[:1], 1)):
        export.write_text("".join(f"{json.dumps(entry)}\n" for entry in lines))
        done = independent(export, anchor_file)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    export.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    anchor_file.write_text(
        taken[1].decode().replace('checkpoint": "pilotage/ledger\\n5', 'checkpoint": "pilotage/ledger\\n4')
    )
    assert "no signature" in independent(export, anchor_file).stderr


def independent(*files: Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).parents[2] / "docs" / "verify_ledger.py"
    assert len(script.read_text().splitlines()) <= 60
    return subprocess.run([sys.executable, script, *files], capture_output=True, text=True, check=False)


def test_one_place_that_is_out_of_reach_keeps_no_other_from_its_anchor(path: Path, tmp_path: Path) -> None:
    good = tmp_path / "anchors.jsonl"
    context = opened(path, "/nowhere/anchors.jsonl", "git:/nowhere", "http://127.0.0.1:1/", str(good))
    with closing(context.store):
        grow(context, 1)
        with pytest.raises(WorkspaceUnusable, match=r"/nowhere/anchors\.jsonl: it cannot be used"):
            anchored(context)
        assert len(good.read_text().splitlines()) == 1


def test_what_is_no_anchor_is_named(path: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongCall, match="line 1 is no anchor"):
        anchors.read(["hello"])
    for damaged in ("[]", "null", "{}", '{"checkpoint": 1}', '{"checkpoint": "x", "key": "y"}'):
        with pytest.raises(WrongCall):
            anchors.read([damaged])
    good = tmp_path / "anchors.jsonl"
    context = opened(path, str(good))
    with closing(context.store):
        grow(context, 1)
        anchored(context)
        good.write_text(good.read_text() + "torn {")
        with pytest.raises(Tampered, match="line 2 is no anchor"):
            verify(context)
        with pytest.raises(Refused, match="no place"):
            anchored(Context(context.store, context.clock))


def test_the_order_of_anchors_does_not_matter() -> None:
    digests = {2: "b", 5: "e"}
    anchors.check([Anchor(5, "e"), Anchor(0, "0"), Anchor(2, "b")], digests, 5)
    with pytest.raises(Tampered, match="entry 2"):
        anchors.check([Anchor(9, "e"), Anchor(2, "x")], digests, 5)


def test_places_are_read_from_the_settings() -> None:
    assert settings.anchors({"PILOTAGE_ANCHORS": " /a/b.jsonl , git:/c,https://d.example/x "}) == (
        "/a/b.jsonl",
        "git:/c",
        "https://d.example/x",
    )
    for wrong in ("anchors.jsonl", "git:there", "htps://secret.example"):
        with pytest.raises(WrongCall) as caught:
            settings.anchors({"PILOTAGE_ANCHORS": wrong})
        assert wrong not in caught.value.message
