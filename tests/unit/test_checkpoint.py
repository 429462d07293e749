"""A checkpoint is a signed note, of which nothing can be altered."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from pilotage.errors import PilotageError, Tampered, WrongCall
from pilotage.governance.checkpoint import Checkpoint, read, sign, verifier

SEED, NAME = bytes(range(32)), "desk"
DIGEST = hashlib.sha256(b"an entry").hexdigest()


def test_the_form_is_a_signed_note() -> None:
    note = sign(SEED, NAME, 7, DIGEST)
    text, signature = note.split("\n\n")
    assert text == f"pilotage/ledger\n7\n{base64.b64encode(bytes.fromhex(DIGEST)).decode()}"
    dash, name, encoded = signature.removesuffix("\n").split(" ")
    assert (dash, name) == ("\u2014", NAME)
    # Checked by hand, by what the specification says and nothing of ours.
    _, key_id, key = str(verifier(SEED, NAME)).split("+", 2)
    public = base64.b64decode(key)
    assert public[0] == 1
    assert hashlib.sha256(NAME.encode() + b"\n" + public).digest()[:4].hex() == key_id
    raw = base64.b64decode(encoded)
    assert raw[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[4:], f"{text}\n".encode())


def test_another_key_and_an_altered_note_are_refused() -> None:
    note, key = sign(SEED, NAME, 7, DIGEST), str(verifier(SEED, NAME))
    with pytest.raises(Tampered, match="no signature of desk"):
        read(sign(bytes(32), NAME, 7, DIGEST), key)
    with pytest.raises(Tampered, match="not desk's"):
        read(note.replace("\n7\n", "\n6\n"), key)
    with pytest.raises(WrongCall, match="no checkpoint"):
        read("hello", key)
    with pytest.raises(WrongCall, match="verifier key"):
        read(note, key[:-4])
    # Another witness may have added a signature of its own.
    assert read(f"{note}\u2014 witness AAAA\n", key).entries == 7


@given(st.data())
def test_no_alteration_of_a_note_is_accepted(data: st.DataObject) -> None:
    note, key = sign(SEED, NAME, 7, DIGEST), str(verifier(SEED, NAME))
    place = data.draw(st.integers(0, len(note) - 1))
    letter = data.draw(st.characters())
    altered = note[:place] + letter + note[place + 1 :]
    try:
        found = read(altered, key)
    except PilotageError:
        return
    assert found == Checkpoint(7, DIGEST, NAME)
