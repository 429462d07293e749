"""The parsers of the path on bytes near to what they are made for; `make fuzz` gives them more, guided by what is reached."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import SEEDS, TARGETS

WORDS = st.sampled_from([
    b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\u0040", b"\r\n", b"\n\n", b"data: ", b"0", b"4111 1111 1111 1111",
    b"@example.org", b"\xe2\x80\x8b", b"\xef\xbc\x91", b"null", b"1e9", b'"$ref":"#"', b"\0", b"-", b"content-length: 1\r\n",
])  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
def test_what_they_are_made_for(target: str) -> None:
    for seed in SEEDS[target]:
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_comes(target: str, data: st.DataObject) -> None:
    made = data.draw(st.sampled_from(SEEDS[target]) | st.binary(max_size=60))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(made)))
        left = data.draw(st.integers(0, 5))
        made = made[:at] + data.draw(WORDS | st.binary(max_size=3)) + made[at + left :]
    TARGETS[target](made)
