"""The spool: what is appended comes back once, in order, and only whole."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilotage.errors import WorkspaceUnusable, WrongCall
from pilotage.records import Feedback, Finished, GuardrailHit, SpoolEvent, Started, Text
from pilotage.store.spool import Reader, Writer


def feedback(number: int) -> Feedback:
    return Feedback(
        id=f"f{number}", use_case="support", at=number, metric="resolved", value=1.0, received=number, key="Zoë 7"
    )


EVERY_KIND: list[SpoolEvent] = [
    Started(id="i1", use_case="support", at=1, release="support/a@000000000000", arm="live", deadline=9, share=10_000),
    Text(id="i1", use_case="support", at=1, unit_key="k", segment="2026-01-01/w0", offset=3, length=40),
    Finished(
        id="i1",
        use_case="support",
        at=2,
        served="support/a@000000000000",
        status=200,
        hits=(GuardrailHit("personal_data", "in", "redact", "email", 2),),
    ),
    feedback(1),
]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path, "w0")
    yield made
    made.close()


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def read_all(reader: Reader, segment: str, offset: int = 0) -> tuple[list[SpoolEvent], int, bool]:
    """Read as the control process does: on until nothing moves."""
    found: list[SpoolEvent] = []
    while True:
        events, following, ended = reader.read(segment, offset, limit=1)
        found += [event for _, event in events]
        if ended or following == offset:
            return found, following, ended
        offset = following


def dead_segment(folder: Path, content: bytes | bytearray, name: str = "dead-1") -> str:
    (folder / f"{name}.spool").write_bytes(content)
    return name


def frame(payload: bytes) -> bytes:
    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


def frames_of(folder: Path, events: list[SpoolEvent]) -> bytes:
    """Return what a writer makes of events."""
    writer = Writer(folder, "sample")
    writer.append_durably(events)
    writer.close()
    (path,) = folder.glob("sample-*.spool")
    content = path.read_bytes()
    path.unlink()
    return content


def test_events_come_back_with_their_offsets_and_a_live_segment_goes_on(writer: Writer, reader: Reader) -> None:
    assert reader.segments() == []
    assert all(writer.append(event) for event in EVERY_KIND)
    (segment,) = reader.segments()
    events, end, ended = reader.read(segment, 0)
    assert [event for _, event in events] == EVERY_KIND
    assert not ended, "its writer lives"
    assert reader.read(segment, end) == ([], end, False)
    offsets = [offset for offset, _ in events]
    for number, offset in enumerate(offsets):
        assert [event for _, event in reader.read(segment, offset)[0]] == EVERY_KIND[number:]
    writer.append(feedback(2))
    again, later, _ = reader.read(segment, end)
    assert again == [(end, feedback(2))]
    writer.close()
    assert reader.read(segment, later) == ([], later, True)
    reader.remove(segment)
    reader.remove(segment)
    assert reader.segments() == []


def test_frames_are_as_documented(writer: Writer, tmp_path: Path) -> None:
    writer.append(EVERY_KIND[0])
    (path,) = tmp_path.glob("w0-*.spool")
    content = path.read_bytes()
    payload = content[8:]
    assert content == frame(payload)
    assert json.loads(payload) == {
        "event": "started",
        "id": "i1",
        "use_case": "support",
        "at": 1,
        "release": "support/a@000000000000",
        "arm": "live",
        "deadline": 9,
        "share": 10_000,
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_reader_takes_no_more_than_its_limit_and_misses_nothing(tmp_path: Path, reader: Reader) -> None:
    many: list[SpoolEvent] = [feedback(number) for number in range(30_000)]
    segment = dead_segment(tmp_path, frames_of(tmp_path, many))
    first, end, ended = reader.read(segment, 0, limit=1)
    assert 0 < len(first) < len(many)
    assert not ended
    rest, _, ended = read_all(reader, segment, end)
    assert [event for _, event in first] + rest == many
    assert ended


def test_segments_roll_by_size_and_each_ends_when_the_next_begins(tmp_path: Path, reader: Reader) -> None:
    writer = Writer(tmp_path, "w0", size=300)
    events: list[SpoolEvent] = [feedback(number) for number in range(20)]
    for number, event in enumerate(events):
        if number % 3:
            writer.append(event)
        else:
            writer.append_durably([event])
    segments = reader.segments()
    assert len(segments) > 4
    states = [read_all(reader, segment) for segment in segments]
    assert sum(ended for _, _, ended in states) == len(segments) - 1
    assert sorted((event for found, _, _ in states for event in found), key=lambda event: event.at) == events
    writer.close()
    assert all(read_all(reader, segment)[2] for segment in segments)


def test_two_writers_of_one_name_never_share_a_segment(tmp_path: Path, reader: Reader) -> None:
    one, other = Writer(tmp_path, "w0"), Writer(tmp_path, "w0")
    for number in range(10):
        (one if number % 2 else other).append(feedback(number))
    first, second = reader.segments()
    assert sorted(event.at for name in (first, second) for event in read_all(reader, name)[0]) == list(range(10))
    one.close()
    assert sorted(read_all(reader, name)[2] for name in (first, second)) == [False, True]
    other.close()


def test_a_torn_tail_is_waited_for_while_its_writer_lives_and_cut_when_it_is_dead(
    tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut at every byte of the last frame."""
    events: list[SpoolEvent] = [feedback(1), feedback(2), feedback(3)]
    content = frames_of(tmp_path, events)
    _, end, _ = read_all(reader, dead_segment(tmp_path, frames_of(tmp_path, events[:2]), "whole"))
    for length in range(end + 1, len(content)):
        segment = dead_segment(tmp_path, content[:length], f"torn-{length}")
        with (tmp_path / f"{segment}.spool").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert read_all(reader, segment) == (events[:2], end, False), length
        caplog.clear()
        for _ in range(3):
            assert read_all(reader, segment) == (events[:2], end, True), length
        assert [record.levelno for record in caplog.records] == [logging.WARNING], "said once"
        assert f"{length - end} bytes cut" in caplog.text
    assert reader.cut == len(content) - end - 1
    assert reader.quarantined == 0


@pytest.mark.parametrize("zeros", [1, 8, 100, 5000])
def test_zeros_that_a_power_loss_left_at_the_end_are_cut(tmp_path: Path, reader: Reader, zeros: int) -> None:
    segment = dead_segment(tmp_path, frames_of(tmp_path, [feedback(1)]) + bytes(zeros))
    assert read_all(reader, segment)[0] == [feedback(1)]
    assert read_all(reader, segment)[2]
    assert (reader.cut, reader.quarantined) == (1, 0)


def test_damage_at_any_byte_of_a_frame_costs_that_frame_alone(
    tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[SpoolEvent] = [feedback(number) for number in range(1, 5)]
    content = frames_of(tmp_path, events)
    size = len(content) // 4
    for at in range(size, 2 * size):
        for flip in (0x01, 0xFF):
            damaged = bytearray(content)
            damaged[at] ^= flip
            segment = dead_segment(tmp_path, damaged, f"damaged-{at}-{flip}")
            caplog.clear()
            assert read_all(reader, segment) == ([events[0], *events[2:]], len(content), True), at
            assert read_all(reader, segment)[0] == [events[0], *events[2:]]
            assert len(caplog.records) == 1
            kept = tmp_path / "quarantine" / f"{segment}-{size}.bytes"
            assert kept.read_bytes() == damaged[size : 2 * size]
    assert (reader.cut, reader.quarantined) == (0, 2 * size)


def test_damage_before_a_live_writers_frames_does_not_stop_them(writer: Writer, tmp_path: Path, reader: Reader) -> None:
    writer.append(feedback(1))
    (path,) = tmp_path.glob("w0-*.spool")
    with path.open("r+b") as file:
        file.seek(20)
        file.write(b"\0\0\0")
    assert read_all(reader, path.stem) == ([], 0, False), "it could still be on its way"
    writer.append(feedback(2))
    assert read_all(reader, path.stem)[0] == [feedback(2)]


def test_a_damaged_last_frame_of_the_dead_is_put_aside(tmp_path: Path, reader: Reader) -> None:
    content = bytearray(frames_of(tmp_path, [feedback(1), feedback(2)]))
    content[-2] ^= 1
    segment = dead_segment(tmp_path, content)
    found, end, ended = read_all(reader, segment)
    assert (found, ended) == ([feedback(1)], True)
    assert (tmp_path / "quarantine" / f"{segment}-{end}.bytes").read_bytes() == content[end:]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"event":"applauded","id":"x","use_case":"support","at":1}',
        b'{"event":"feedback","id":"x","use_case":"support","at":"noon","metric":"m","value":1,"received":1}',
        b'{"event":"feedback","id":"x","use_case":"support"}',
        b"[]",
        b"not JSON",
    ],
)
def test_an_event_of_a_version_to_come_is_put_aside_and_the_rest_is_read(
    tmp_path: Path, reader: Reader, caplog: pytest.LogCaptureFixture, payload: bytes
) -> None:
    before, after = frames_of(tmp_path, [feedback(1)]), frames_of(tmp_path, [feedback(2)])
    segment = dead_segment(tmp_path, before + frame(payload) + after)
    assert read_all(reader, segment) == ([feedback(1), feedback(2)], len(before + frame(payload) + after), True)
    assert "this version cannot read" in caplog.text
    assert (tmp_path / "quarantine" / f"{segment}-{len(before)}.bytes").read_bytes() == payload


def test_fields_of_a_version_to_come_are_passed_over(tmp_path: Path, reader: Reader) -> None:
    payload = b'{"event":"feedback","id":"f1","use_case":"s","at":1,"metric":"m","value":2,"received":1,"mood":["new"]}'
    found, _, _ = read_all(reader, dead_segment(tmp_path, frame(payload)))
    assert found == [Feedback(id="f1", use_case="s", at=1, metric="m", value=2.0, received=1)]


def test_a_segment_that_lost_its_end_with_the_power_is_over(tmp_path: Path, reader: Reader) -> None:
    segment = dead_segment(tmp_path, frames_of(tmp_path, [feedback(1)]))
    assert reader.read(segment, 10_000) == ([], 10_000, True)


def test_an_unborn_segment_is_not_seen(tmp_path: Path, reader: Reader) -> None:
    (tmp_path / "w0-1.new").write_bytes(b"")
    assert reader.segments() == []


def test_threads_keep_their_frames_whole(tmp_path: Path, reader: Reader) -> None:
    writer = Writer(tmp_path, "w0", size=20_000)

    def append(first: int) -> None:
        for number in range(first, first + 300):
            writer.append(feedback(number))

    def append_durably(first: int) -> None:
        for number in range(first, first + 40, 4):
            writer.append_durably([feedback(number + more) for more in range(4)])

    threads = [threading.Thread(target=append, args=(10_000 * number,)) for number in range(1, 4)]
    threads += [threading.Thread(target=append_durably, args=(100_000 * number,)) for number in range(1, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    found = [event.at for segment in reader.segments() for event in read_all(reader, segment)[0]]
    assert len(found) == len(set(found)) == 3 * 300 + 3 * 40
    assert (writer.lost, reader.cut, reader.quarantined) == (0, 0, 0)


def test_what_cannot_be_made_durable_is_refused_and_its_segment_left(
    writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system forgets pages that it failed to write, so a second sync of the same file would lie."""
    writer.append_durably([feedback(1)])
    (first,) = reader.segments()

    def fails(_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fails)
        with pytest.raises(WorkspaceUnusable, match="Input/output error") as refused:
            writer.append_durably([feedback(2)])
        assert "again with the same id" in refused.value.hint
        with pytest.raises(WorkspaceUnusable):
            writer.sync()
    writer.append_durably([feedback(3)])
    assert read_all(reader, first)[2], "nothing more goes where a write may have been forgotten"
    (second,) = set(reader.segments()) - {first}
    assert read_all(reader, second)[0] == [feedback(3)]


def test_a_failed_sync_refuses_everybody_who_waited_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread's sync takes the other's rolled segment and fails: neither may be told that its events are safe."""
    writer = Writer(tmp_path, "w0", size=1)
    inside, go = threading.Event(), threading.Event()
    real = os.fdatasync
    calls = 0

    def fails_once(file: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            inside.set()
            go.wait(10)
            raise OSError(5, "Input/output error")
        real(file)

    monkeypatch.setattr(os, "fdatasync", fails_once)
    outcomes: dict[int, str] = {}

    def send(number: int) -> None:
        try:
            writer.append_durably([feedback(number)])
            outcomes[number] = "stored"
        except WorkspaceUnusable:
            outcomes[number] = "refused"

    first = threading.Thread(target=send, args=(1,))
    first.start()
    inside.wait(10)
    second = threading.Thread(target=send, args=(2,))
    second.start()
    while len(list(tmp_path.glob("*.spool"))) < 2:
        assert second.is_alive()
    go.set()
    first.join()
    second.join()
    assert outcomes == {1: "refused", 2: "refused"}
    writer.append_durably([feedback(3)])
    writer.close()


def test_an_event_too_large_for_a_frame_is_refused_and_counted(writer: Writer, reader: Reader) -> None:
    huge = Feedback(id="x" * (1 << 20), use_case="s", at=1, metric="m", value=1.0, received=1)
    assert not writer.append(huge)
    assert writer.lost == 1
    with pytest.raises(WrongCall, match="at most 1048576"):
        writer.append_durably([huge])
    assert writer.append(feedback(1))
    (segment,) = reader.segments()
    assert read_all(reader, segment)[0] == [feedback(1)]


def test_a_spool_that_is_gone_is_counted_and_never_raised(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(tmp_path / "nowhere", "w0")
    assert [writer.append(feedback(number)) for number in range(3)] == [False] * 3
    assert writer.lost == 3
    assert len(caplog.records) == 1, "said once, not once a request"
    with pytest.raises(WorkspaceUnusable, match="nowhere"):
        writer.append_durably([feedback(4)])
    (tmp_path / "nowhere").mkdir()
    assert writer.append(feedback(5))
    writer.close()


def test_a_workers_name_must_fit_a_file_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="letters, digits and _"):
        Writer(tmp_path, "../w0")


def test_a_segment_ends_when_it_is_old_however_little_it_holds(tmp_path: Path) -> None:
    writer = Writer(tmp_path, "w0", seconds=0.0)
    writer.append(feedback(1))
    writer.sync()
    reader = Reader(tmp_path)
    (segment,) = reader.segments()
    assert reader.read(segment, 0)[2], "it has ended, so it goes once it is sealed"
    writer.append(feedback(2))
    assert len(reader.segments()) == 2
    writer.close()
