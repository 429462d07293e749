from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import UpstreamError
from pilotage.upstream.sse import Splitter, data_of, event

line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20).map(str.encode)
end = st.sampled_from([b"\n", b"\r\n"])


@st.composite
def an_event(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """One event and its data."""
    newline = draw(end)
    lines = draw(st.lists(line, min_size=1, max_size=4))
    comment = b": a comment" + newline if draw(st.booleans()) else b""
    raw = comment + b"".join(b"data: " + text + newline for text in lines) + newline
    return raw, b"\n".join(lines)


@given(st.lists(an_event(), max_size=5), st.data())
def test_events_come_out_whole_over_any_chunk_borders(events: list[tuple[bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(raw for raw, _ in events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    splitter = Splitter()
    found: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += splitter.feed(stream[start:stop])
    assert found == [raw for raw, _ in events]
    assert [data_of(raw) for raw in found] == [text for _, text in events]
    assert splitter.rest == b""


@given(an_event())
def test_an_event_is_given_with_its_last_byte_and_not_before(one: tuple[bytes, bytes]) -> None:
    raw, _ = one
    splitter = Splitter()
    assert [splitter.feed(raw[at : at + 1]) for at in range(len(raw))] == [[]] * (len(raw) - 1) + [[raw]]


def test_lone_carriage_returns_end_lines_too() -> None:
    splitter = Splitter()
    assert splitter.feed(b"data: a\r\rdata: b\r\rd") == [b"data: a\r\r", b"data: b\r\r"]


def test_a_comment_has_no_data() -> None:
    assert data_of(b": ping\n\n") is None
    assert data_of(b"event: ping\nid: 3\n\n") is None
    assert data_of(b"data:{}\n\n") == b"{}"
    assert data_of(event(b"[DONE]")) == b"[DONE]"


def test_what_is_left_of_half_an_event_is_seen() -> None:
    splitter = Splitter()
    assert splitter.feed(b'data: {}\n\ndata: {"ha') == [b"data: {}\n\n"]
    assert splitter.rest == b'data: {"ha'


def test_an_event_that_never_ends_is_refused() -> None:
    splitter = Splitter(limit=1 << 20)
    for _ in range(52):
        assert splitter.feed(b"x" * 20_000) == []
    with pytest.raises(UpstreamError, match="larger than 1 MB") as raised:
        splitter.feed(b"x" * 20_000)
    assert raised.value.kind == "protocol"
