"""Invented people, the search for what was theirs, and what redaction finds in labelled texts."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse
from pathlib import Path

import duckdb
import pytest

from pilotage.errors import FaultyFile, NotMeasured
from pilotage.evaluation.privacy.identity import identities
from pilotage.evaluation.privacy.redaction import Labelled, Span, built_in, read_labelled, redaction
from pilotage.evaluation.privacy.sweep import Sweep
from pilotage.guardrails.personal_data import redact

DATA = Path(os.environ.get("PILOTAGE_TEST_DATA", "/nowhere")) / "privacy" / "presidio_generated_large.json"
PEOPLE = identities("seed", 40)
WANTED = {(who, kind): value for who, one in enumerate(PEOPLE) for kind, value in one.values.items()}


def test_people_are_themselves_and_nobody_else() -> None:
    assert identities("seed", 40) == PEOPLE
    assert identities("other", 40) != PEOPLE
    assert len(set(WANTED.values())) == len(WANTED)
    for one in PEOPLE:
        found = {hit.kind for hit in redact(one.story)[1]}
        assert {"email", "iban", "card"} <= found


@pytest.mark.parametrize("kind", ["email", "phone", "card", "iban", "address", "note"])
def test_a_value_is_found_in_every_form_and_wherever_it_begins(kind: str, tmp_path: Path) -> None:
    value = PEOPLE[3].values[kind]
    sweep = Sweep(WANTED)
    forms = {
        "plain": value.encode(),
        "upper": value.upper().encode(),
        "json": json.dumps(json.dumps(value)).encode(),
        "url": urllib.parse.quote(value).encode(),
        "utf16": value.encode("utf-16-le"),
        **{f"base64-{n}": base64.b64encode(b"x" * n + value.encode() + b"yz") for n in range(4)},
    }
    for offset in (0, 3, 7):
        for name, data in forms.items():
            (tmp_path / f"{name}-{offset}").write_bytes(b"\xff" * offset + data + b"\0\0")
    traces, looked = sweep.folder(tmp_path, 0.0)
    assert {trace.where for trace in traces} == {f"{name}-{offset}" for name in forms for offset in (0, 3, 7)}
    assert {(trace.whose, trace.kind) for trace in traces} == {(3, kind)}
    assert looked.files == 3 * len(forms)
    assert sweep.text(f"so: {value}.") == {(3, kind)}


def test_numbers_are_found_without_what_parts_them_and_in_compressed_tables(tmp_path: Path) -> None:
    card, iban = PEOPLE[0].values["card"].replace(" ", ""), PEOPLE[1].values["iban"].replace(" ", "")
    sweep = Sweep(WANTED)
    assert sweep.text(f"{card} and {iban}") == {(0, "card"), (1, "iban")}
    with duckdb.connect() as connection:
        path = str(tmp_path / "rows.parquet")
        connection.execute(
            f"COPY (SELECT '{card}' AS a FROM range(1000)) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        )
    assert [(trace.whose, trace.kind) for trace in sweep.folder(tmp_path, 0.0)[0]] == [(0, "card")]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"1234567")
    (tmp_path / "empty").touch()
    (tmp_path / "other").write_bytes(identities("other", 1)[0].story.encode())
    (tmp_path / "link").symlink_to("/etc/hostname")
    assert Sweep(WANTED).folder(tmp_path, 0.0)[0] == []
    assert Sweep({}).text("anything at all") == set()
    assert Sweep(WANTED).folder(tmp_path, 1e12)[1].files == 0


def test_redaction_of_our_own_texts_says_what_patterns_find_and_what_not() -> None:
    found = {one.measure: one for one in redaction(built_in())}
    recall, everything = found["redaction_recall"], found["redaction_recall_all"]
    assert recall.value > 0.8
    assert everything.value < recall.value
    types = recall.detail["by_type"]
    assert types["PERSON"][0] == types["ADDRESS"][0] == 0
    assert {"PERSON", "ADDRESS"}.isdisjoint(recall.detail["structured"])
    assert found["redaction_precision"].low < found["redaction_precision"].value <= 1


@pytest.mark.skipif(not DATA.is_file(), reason="PILOTAGE_TEST_DATA names no folder with labelled texts")
def test_redaction_of_real_labelled_texts() -> None:
    found = {one.measure: one for one in redaction(read_labelled(DATA.name, DATA.read_bytes()))}
    assert found["redaction_recall"].n > 400
    assert found["redaction_recall"].value > 0.7
    assert found["redaction_recall_all"].value < 0.25
    assert found["redaction_precision"].value > 0.7


def test_a_label_counts_as_found_only_where_it_was_taken_out() -> None:
    text = "Mail anna@post.example and anna at home."
    labels = (Span("EMAIL_ADDRESS", 5, 22), Span("PERSON", 27, 31))
    recall = redaction([Labelled(text, labels)])[0]
    assert recall.detail["by_type"] == {"EMAIL_ADDRESS": [1, 1], "PERSON": [0, 1]}
    with pytest.raises(NotMeasured, match="has a form"):
        redaction([Labelled(text, (labels[1],))])


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", b"{"),
        ("a.json", b'[{"text": "x"}]'),
        ("a.json", b'[{"full_text": "x", "spans": [{"entity_type": "A", "start_position": 0, "end_position": 9}]}]'),
        ("a.txt", b"nothing is marked here"),
        ("a.txt", b"\xff\xfe"),
    ],
)
def test_what_is_not_labelled_is_told(name: str, data: bytes) -> None:
    with pytest.raises(FaultyFile) as caught:
        read_labelled(name, data)
    assert caught.value.faults[0].startswith(f"{name}:1: ")
