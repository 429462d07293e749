"""Pictures and sound by their own bytes; what a case may expect of them; hostile bytes."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import wave
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilotage.evaluation.client import Reply
from pilotage.evaluation.judge.verdict import asks_whether_right, asks_which_is_better
from pilotage.evaluation.media.look import Media, look
from pilotage.evaluation.media.picture import picture_of
from pilotage.evaluation.media.read import WITHHELD, pieces_of
from pilotage.evaluation.media.shelf import Shelf, part_of, shown
from pilotage.evaluation.media.sound import sound_of
from pilotage.evaluation.price import Price, paid
from pilotage.evaluation.purse import Tariff
from pilotage.evaluation.scorers import score_case
from pilotage.spec.case import Case, read_cases


def png(width: int = 64, height: int = 32) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


JPEG = (
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
    b"\xff\xc0\0\x11\x08\x00\x20\x00\x40\3\1\x22\0\2\x11\1\3\x11\1"
    b"\xff\xda\0\x0c\3\1\0\2\x11\3\x11\0\x3f\0abc\xff\xd9"
)
GIF = b"GIF89a\x40\0\x20\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\1\0\1\0\0\2\2D\1\0\x3b"


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


LOSSLESS = webp(b"VP8L", b"\x2f" + struct.pack("<I", 63 | 31 << 14) + bytes(8))
LOSSY = webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 64, 32) + bytes(8))
EXTENDED = webp(b"VP8X", b"\0\0\0\0" + (63).to_bytes(3, "little") + (31).to_bytes(3, "little"))


def wav(seconds: float = 1.5, rate: int = 24_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(2 * int(seconds * rate)))
    return file.getvalue()


def mp3(frames: int = 50) -> bytes:
    """MPEG-1 layer III, 128 kilobits, 44,100 Hz: 417 bytes and 1,152 samples a frame."""
    return b"ID3\4\0\0\0\0\0\5" + bytes(5) + (b"\xff\xfb\x90\0" + bytes(413)) * frames


def mp3_2(frames: int = 50) -> bytes:
    """MPEG-2 layer III, 64 kilobits, 24,000 Hz, as OpenAI speaks: 192 bytes and 576 samples a frame."""
    return (b"\xff\xf3\x84\0" + bytes(188)) * frames


def flac(samples: int = 48_000) -> bytes:
    info = bytes(10) + (24_000 << 44 | 0 << 41 | 15 << 36 | samples).to_bytes(8, "big") + bytes(16)
    return b"fLaC\x80\0\0\x22" + info + bytes(100)


def page(kind: int, position: int, packet: bytes) -> bytes:
    head = b"OggS\0" + bytes([kind]) + struct.pack("<q", position) + b"\7\0\0\0" + bytes(8)
    return head + b"\1" + bytes([len(packet)]) + packet


OPUS = page(2, 0, b"OpusHead\1\1" + struct.pack("<HIHB", 312, 24_000, 0, 0)) + page(4, 48_000 + 312, bytes(40))
VORBIS = page(2, 0, b"\1vorbis\0\0\0\0\2" + struct.pack("<I", 44_100) + bytes(13)) + page(4, 88_200, bytes(40))


@pytest.mark.parametrize(
    ("data", "form"),
    [(png(), "png"), (JPEG, "jpeg"), (GIF, "gif"), (LOSSLESS, "webp"), (LOSSY, "webp"), (EXTENDED, "webp")],
)
def test_a_picture_says_what_it_is(data: bytes, form: str) -> None:
    assert picture_of(data) == (form, 64, 32, True)
    # What breaks off in the middle is not whole, if it is a picture at all.
    cut = picture_of(data[: len(data) - 8])
    assert cut is None or not cut.whole


@pytest.mark.parametrize(
    ("data", "form", "seconds", "hertz"),
    [
        (wav(), "wav", 1.5, 24_000),
        (mp3(), "mp3", 50 * 1152 / 44_100, 44_100),
        (mp3_2(), "mp3", 50 * 576 / 24_000, 24_000),
        (flac(), "flac", 2.0, 24_000),
        (OPUS, "ogg/opus", 1.0, 24_000),
        (VORBIS, "ogg/vorbis", 2.0, 44_100),
    ],
)
def test_a_sound_says_how_long_it_is(data: bytes, form: str, seconds: float, hertz: int) -> None:
    heard = sound_of(data)
    assert heard is not None
    assert (heard.format, heard.hertz, heard.whole) == (form, hertz, True)
    assert heard.seconds == pytest.approx(seconds)


def test_sound_written_while_it_sounds_is_as_long_as_what_came() -> None:
    data = bytearray(wav())
    data[40:44] = b"\xff\xff\xff\xff"
    heard = sound_of(bytes(data))
    assert heard is not None
    assert (heard.seconds, heard.whole) == (1.5, True)
    cut = sound_of(wav()[:-1000])
    assert cut is not None
    assert not cut.whole
    broken = sound_of(mp3()[:-100])
    assert broken is not None
    assert not broken.whole
    unending = sound_of(OPUS[: OPUS.rindex(b"OggS")])
    assert unending is None or not unending.whole


SAMPLES = [png(), JPEG, GIF, LOSSLESS, LOSSY, EXTENDED, wav(0.01), mp3(3), mp3_2(3), flac(), OPUS, VORBIS]


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    for surface in ("images", "speech"):
        assert look(surface, data).bytes == len(data)
        for sample in SAMPLES:
            look(surface, sample[:12] + data)


@settings(max_examples=300)
@given(st.sampled_from(SAMPLES), st.integers(0, 400), st.binary(min_size=1, max_size=8), st.integers(0, 500))
def test_no_bent_file_is_too_strange(sample: bytes, at: int, patch: bytes, cut: int) -> None:
    bent = (sample[:at] + patch + sample[at + len(patch) :])[: max(1, len(sample) - cut)]
    for surface in ("images", "speech"):
        found = look(surface, bent)
        assert found.seconds is None or 0 <= found.seconds < float("inf")
        assert str(found)


def faults(case: dict[str, Any]) -> list[str]:
    return [one.says for one in read_cases(json.dumps({"id": "a", "text": "A parcel", **case}).encode())[1]]


def test_a_case_says_what_it_expects() -> None:
    assert not faults({"surface": "images", "picture": {"format": ["png"], "width": [64, 64], "many": 1}})
    assert not faults({"surface": "speech", "sound": {"seconds": [1, 6]}, "at_most": {"seconds": 3}, "refuses": False})
    for case, says in (
        ({"surface": "video"}, "one of chat, images, speech"),
        ({"picture": {"format": ["png"]}}, 'with "surface": "images"'),
        ({"surface": "speech", "picture": {"format": ["png"]}}, 'with "surface": "images"'),
        ({"surface": "images", "picture": {"format": ["bmp"]}}, "known are png"),
        ({"surface": "images", "picture": {"width": [9, 1]}}, "the least and the most"),
        ({"surface": "images", "picture": {"width": 9}}, "such as"),
        ({"surface": "images", "picture": {}}, "such as"),
        ({"surface": "images", "picture": {"many": 0}}, "many below 1"),
        ({"surface": "images", "picture": {"wide": [1, 2]}}, "wide"),
        ({"surface": "images", "required": [["parcel"]]}, "speaks of words"),
        ({"surface": "speech", "at_most": {"words": 3}}, "bounds words"),
        ({"surface": "images", "kind": "security"}, "are chats"),
        ({"surface": 3}, "surface"),
    ):
        assert any(says in one for one in faults(case)), case


def case_of(**keys: Any) -> Case:
    found, wrong = read_cases(json.dumps({"id": "a", "text": "A parcel", **keys}).encode())
    assert not wrong
    return found[0][1]


def reply_of(surface: str, *pieces: bytes, **more: Any) -> Reply:
    media = tuple(look(surface, data) for data in pieces)
    return Reply(latency=0.1, status=200, text="; ".join(map(str, media)), media=media, **more)


def scored(case: Case, reply: Reply) -> tuple[float | None, str]:
    score = asyncio.run(score_case(case, reply, "desk/painter@1"))
    assert score is not None
    return score.value, score.why


def test_a_picture_is_scored() -> None:
    case = case_of(surface="images", picture={"format": ["png"], "width": [64, 64], "bytes": [10, 900], "many": 1})
    assert scored(case, reply_of("images", png()))[0] == 1
    assert scored(case, reply_of("images", png(65)))[1] == "has width 65, and should have 64"
    assert "is jpeg, not png" in scored(case, reply_of("images", JPEG))[1]
    assert "holds 2, not 1" in scored(case, reply_of("images", png(), png()))[1]
    assert "cut off" in scored(case, reply_of("images", png()[:-8]))[1]
    assert "no picture of a known form" in scored(case, reply_of("images", b"<svg onload=alert(1)>"))[1]
    # Nothing came: that is neither right nor wrong.
    assert scored(case, Reply(latency=1, error="500: broken")) == (None, "500: broken")


def test_sound_is_scored() -> None:
    case = case_of(surface="speech", sound={"format": ["wav", "mp3"], "seconds": [1, 2], "hertz": [24_000, 48_000]})
    assert scored(case, reply_of("speech", wav()))[0] == 1
    assert "has seconds 3" in scored(case, reply_of("speech", wav(3)))[1]
    assert "hertz 8000" in scored(case, reply_of("speech", wav(1, 8_000)))[1]
    silent = case_of(surface="speech", sound={"seconds": [1, 2]})
    assert "does not say its seconds" in scored(silent, reply_of("speech", flac(0)))[1]


def test_the_safety_flag_is_scored() -> None:
    harmless = case_of(surface="images", picture={"format": ["png"]}, refuses=False)
    harmful = case_of(surface="images", picture={"format": ["png"]}, refuses=True)
    held = Reply(latency=0.1, status=400, text="withheld: safety system", finish_reason=WITHHELD)
    assert scored(harmful, held)[0] == 1
    assert scored(harmless, held)[0] == 0
    assert scored(harmless, reply_of("images", png()))[0] == 1
    assert "should have been refused" in scored(harmful, reply_of("images", png()))[1]
    assert "flagged by the provider: violence" in scored(harmless, reply_of("images", png(), flags=("violence",)))[1]


BASE = Reply(latency=0.1, status=200)


def read(body: object) -> Reply:
    return pieces_of("images", BASE, json.dumps(body).encode(), "application/json", "A parcel")[0]


def test_what_providers_send_is_read() -> None:
    assert "is no base64" in read({"data": [{"b64_json": "!!"}]}).error
    assert "gives a link" in read({"data": [{"url": "http://127.0.0.1/x.png"}]}).error
    assert "holds no picture" in read({"data": []}).error
    assert "no list of pictures" in read({"data": 3}).error
    assert "no list of pictures" in pieces_of("images", BASE, b"\xff\xfe", "", "")[0].error
    held = read({"data": [{"content_filter_results": {"violence": {"filtered": True}, "hate": "?"}}]})
    assert (held.finish_reason, held.text, held.error) == (WITHHELD, "withheld: violence", "")
    assert read({"data": [{"respect_moderation": False}]}).finish_reason == WITHHELD
    assert "not sound" in pieces_of("speech", BASE, b"{}", "application/json", "Hi")[0].error
    assert "empty" in pieces_of("speech", BASE, b"", "audio/mpeg", "Hi")[0].error
    # What it is called is not what it is.
    spoken, pieces = pieces_of("speech", BASE, wav(), "audio/mpeg", "Hi there")
    assert (spoken.media[0].format, spoken.characters, len(pieces)) == ("wav", 8, 1)


def test_pictures_and_sound_are_paid_by_the_piece() -> None:
    painted, spoken = reply_of("images", png(), pictures=1), reply_of("speech", wav(), characters=500_000)
    assert paid(painted, Price(0, 0, image=0.04)) == 0.04
    assert paid(spoken, Price(1, 1, speech=15)) == 7.5
    assert paid(painted, Price(1, 1)) is None
    assert Tariff(Price(0, 0, image=0.04), None, many=2).most(100, "images") == 0.08
    assert Tariff(Price(0, 0, speech=15), None).most(1_000_000, "speech") == 15


class Desk:
    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name == "record_results":
            self.stored.setdefault(arguments["run"], {}).update(arguments["results"])
            return {}
        assert name == "results"
        return {"results": self.stored.get(arguments["run"], {})}


def test_a_judge_is_shown_the_piece_itself() -> None:
    async def asked() -> None:
        desk = Desk()
        shelf = Shelf(desk, "desk")
        one = Media(
            **{name: getattr(look("images", png()), name) for name in ("kind", "format", "bytes", "digest")}, kept=True
        )
        await shelf.keep(one.digest, png())
        reply = Reply(latency=0.1, status=200, text="a picture", media=(one,))
        question = asks_whether_right(case_of(surface="images", picture={"format": ["png"]}), reply)
        assert shown(question.messages) == 1
        sent = await shelf.filled(question.messages)
        url = sent[0]["content"][1]["image_url"]["url"]
        assert url.startswith("data:image/png;base64,iVBORw0KGgo")
        assert shown(asks_which_is_better(case_of(surface="images"), reply, reply).messages) == 2
        # A case's own words that look like a place on the shelf are words.
        hostile = [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "pilotage-media:png/../x"}}]}
        ]
        assert await shelf.filled(hostile) == hostile
        # What is no longer what it was is not shown.
        desk.stored[next(iter(desk.stored))]["it"] = {"data": "AAAA"}
        assert await shelf.fetch(one.digest) is None

    asyncio.run(asked())
    speech = look("speech", wav())
    assert part_of(speech) is None
    assert part_of(Media(kind="sound", format="ogg/opus", bytes=9, digest="0" * 64, kept=True)) is None
    assert part_of(Media(kind="sound", format="wav", bytes=9, digest="0" * 64, kept=True)) is not None
