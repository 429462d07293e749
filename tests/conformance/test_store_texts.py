"""Retained texts: readable with the unit's key alone, gone with it, gone after their day."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pilotage.clock import DAY, FrozenClock
from pilotage.errors import NotFound
from pilotage.records import SpoolEvent, Text
from pilotage.store.base.recorded import PlainText
from pilotage.store.base.transaction import Store
from pilotage.store.texts import Texts, TextWriter, read_text

MIDNIGHT = 20_000 * DAY  # 2024-10-04


def plain(number: int, *, unit: str = "u1", at: int = MIDNIGHT, use_case: str = "support") -> PlainText:
    return PlainText(
        inference=f"i{number}",
        use_case=use_case,
        unit=unit,
        at=at,
        request=f"Where is order {number}? ☂",
        reply="Here.",
    )


def only_texts(events: list[SpoolEvent]) -> list[Text]:
    texts = [event for event in events if isinstance(event, Text)]
    assert len(texts) == len(events)
    return texts


@pytest.fixture
def writer(tmp_path: Path, store: Store) -> TextWriter:
    return TextWriter(tmp_path / "texts", "w0", store, FrozenClock())


@pytest.fixture
def texts(tmp_path: Path) -> Texts:
    return Texts(tmp_path / "texts")


def test_texts_come_back_and_lie_encrypted_under_use_case_and_day(
    writer: TextWriter, texts: Texts, store: Store, tmp_path: Path
) -> None:
    written = [
        plain(1),
        plain(2, unit="u2"),
        plain(3, at=MIDNIGHT + DAY),
        plain(4, use_case="adverts"),
        plain(5, unit=""),
    ]
    events = only_texts(writer.write(written)) + only_texts(writer.write([plain(6)]))
    assert writer.lost == 0
    with store.read() as tx:
        for event, text in zip(events, [*written, plain(6)], strict=True):
            assert (event.id, event.use_case, event.at) == (text.inference, text.use_case, text.at)
            assert read_text(tx, texts, event) == (text.request, text.reply)
    assert events[0].unit_key == events[5].unit_key != events[1].unit_key
    files = {str(path.relative_to(tmp_path)) for path in (tmp_path / "texts").rglob("*.text")}
    assert files == {
        "texts/support/2024-10-04/w0.text",
        "texts/support/2024-10-05/w0.text",
        "texts/adverts/2024-10-04/w0.text",
    }
    assert not any(b"order" in path.read_bytes() for path in (tmp_path / "texts").rglob("*.text"))


def test_a_unit_whose_key_is_destroyed_cannot_be_read_and_others_can(
    writer: TextWriter, texts: Texts, store: Store
) -> None:
    erased, kept = only_texts(writer.write([plain(1), plain(2, unit="u2")]))
    with store.write() as tx:
        assert tx.unit_keys.destroy("support", "u1")
    with store.read() as tx:
        with pytest.raises(NotFound, match="was erased"):
            read_text(tx, texts, erased)
        assert read_text(tx, texts, kept) == (plain(2).request, plain(2).reply)
    (later,) = only_texts(writer.write([plain(3)]))
    with store.read() as tx:
        assert read_text(tx, texts, later)[0] == plain(3).request
        with pytest.raises(NotFound, match="does not decrypt"):
            texts.read(erased, tx.unit_keys.by_id([later.unit_key])[later.unit_key])


def test_a_text_passes_for_no_other(writer: TextWriter, texts: Texts, store: Store, tmp_path: Path) -> None:
    one, other = only_texts(writer.write([plain(1), plain(2)]))
    with store.read() as tx:
        key = tx.unit_keys.by_id([one.unit_key])[one.unit_key]
    replace = msgspec.structs.replace
    for forged in (
        replace(one, id="i2"),
        replace(one, offset=other.offset),
        replace(one, length=one.length - 1),
        replace(one, length=3),
        replace(one, offset=10**9),
    ):
        with pytest.raises(NotFound, match="does not decrypt"):
            texts.read(forged, key)
    path = tmp_path / "texts/support/2024-10-04/w0.text"
    content = bytearray(path.read_bytes())
    content[one.offset + 20] ^= 1
    path.write_bytes(content)
    with pytest.raises(NotFound):
        texts.read(one, key)
    assert texts.read(other, key)[1] == "Here."


def test_days_expire_whole(writer: TextWriter, texts: Texts, store: Store, tmp_path: Path) -> None:
    first, last, second, elsewhere = only_texts(
        writer.write(
            [
                plain(1),
                plain(2, at=MIDNIGHT + DAY - 1),
                plain(3, at=MIDNIGHT + DAY),
                plain(4, use_case="adverts"),
            ]
        )
    )
    assert texts.expire("support", MIDNIGHT + DAY - 1) == 0
    assert texts.expire("support", MIDNIGHT + DAY) == 1
    assert texts.expire("support", MIDNIGHT + DAY) == 0
    assert texts.expire("unknown", MIDNIGHT) == 0
    with store.read() as tx:
        for gone in (first, last):
            with pytest.raises(NotFound, match="has expired"):
                read_text(tx, texts, gone)
        assert read_text(tx, texts, second)
        assert read_text(tx, texts, elsewhere)
    assert not (tmp_path / "texts/support/2024-10-04").exists()


@pytest.mark.parametrize("name", ["../support", "a/b", "", "a\0b", ".."])
def test_no_name_leaves_the_folder(texts: Texts, name: str) -> None:
    outside = Text(id="i", use_case=name, at=1, unit_key="k", segment="2024-10-04/w0", offset=0, length=40)
    with pytest.raises(ValueError, match="cannot name"):
        texts.read(outside, bytes(32))
    with pytest.raises(ValueError, match="cannot name"):
        texts.expire(name, 1)


def test_a_full_disk_costs_texts_and_they_are_counted(tmp_path: Path, store: Store, texts: Texts) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from pilotage.clock import FrozenClock
from pilotage.store.base.recorded import PlainText
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import TextWriter
import msgspec
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = SqliteStore(Path(sys.argv[1]) / "state.db")
with store.write() as tx:
    tx.unit_keys.get_or_create([("support", "u")], at=1)
writer = TextWriter(Path(sys.argv[1]) / "texts", "w0", store, FrozenClock())
def batch(first):
    return [PlainText(inference=f"i{n}", use_case="support", unit="u", at=1, request="q" * 100, reply="r")
            for n in range(first, first + 5)]
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
events = writer.write(batch(0)) + writer.write(batch(5))
lost = writer.lost
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
events += writer.write(batch(10))
print(msgspec.json.encode([lost, writer.lost, events]).decode())
store.close()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    before, lost, events = msgspec.json.decode(ran.stdout, type=tuple[int, int, list[Text]])
    assert before == lost == 15 - len(events) > 0
    assert "texts are being lost" in ran.stderr
    with store.read() as tx:
        assert [read_text(tx, texts, event) for event in events] == [("q" * 100, "r")] * len(events)
