"""How long texts are kept, by what lies on the disk."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pilotage.access import Actor, Role
from pilotage.clock import DAY, FrozenClock
from pilotage.errors import NotFound
from pilotage.governance.commands import Context, run
from pilotage.governance.data import hidden
from pilotage.governance.retention import expire_texts
from pilotage.records import Text
from pilotage.store.base.recorded import PlainText
from pilotage.store.spool import Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import Texts, TextWriter, read_text
from pilotage.store.workspace import Workspace

MIDNIGHT = 20_000 * DAY
LOCAL = Actor(id="local:test", roles=(Role.ADMIN,))
FILE = """
name = "{name}"
owner = "Ada"

[data]
retention = "full"
retain_for = {days}

[variants.faq]
upstream = "search"
knowledge = ["a.md"]
"""


class House:
    def __init__(self, path: Path) -> None:
        self.workspace = Workspace(path).prepare()
        self.clock = FrozenClock(MIDNIGHT)
        self.store = SqliteStore(self.workspace.state)
        self.context = Context(self.store, self.clock)
        self.texts = Texts(self.workspace.texts)
        self.spool = Writer(self.workspace.spool, "w0")
        self.writer = TextWriter(self.workspace.texts, "w0", self.store, self.clock)

    def run(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, LOCAL, name, arguments)

    def apply(self, name: str, days: int) -> None:
        self.register(FILE.format(name=name, days=days))

    def register(self, text: str) -> None:
        files = {"usecase.toml": text, "a.md": "# A\n\nB.\n"}
        self.run("apply", files={path: base64.b64encode(text.encode()).decode() for path, text in files.items()})

    def keep(self, use_case: str) -> Text:
        """Keep a text of today."""
        plain = PlainText(
            inference="i", use_case=use_case, unit="u", at=self.clock.now(), request="Where?", reply="Here."
        )
        (event,) = self.writer.write([plain])
        assert isinstance(event, Text)
        return event

    def keep_by_class(self, name: str, classes: list[str]) -> tuple[bytes, bytes]:
        """Keep a text of a use case that handles these classes, its event in the spool; return its bytes and its key."""
        days = {"clinic": 2, "both": 2, "shop": 10, "plain": 30}[name]
        told = f"classes = {classes or ['public']!r}\nretention".replace("'", '"')
        self.register(FILE.format(name=name, days=days).replace("retention", told, 1))
        plain = PlainText(
            inference="i", use_case=name, unit="u", at=self.clock.now(), request="my knee hurts", reply="Take care."
        )
        (event,) = self.writer.write([plain])
        assert isinstance(event, Text)
        self.spool.append(event)
        day, _, worker = event.segment.partition("/")
        data = (self.workspace.texts / name / day / f"{worker}.text").read_bytes()
        with self.store.read() as tx:
            key = tx.unit_keys.by_id([event.unit_key])[event.unit_key]
        return data[event.offset : event.offset + event.length], key

    def files(self) -> list[Path]:
        return [path for path in self.workspace.path.rglob("*") if path.is_file()]

    def holds(self, what: bytes) -> bool:
        """Return whether these bytes stand anywhere in the workspace."""
        return any(what in path.read_bytes() for path in self.files())

    def kept(self) -> dict[str, int]:
        """Return how many days of each use case have bytes on the disk."""
        found: dict[str, int] = {}
        for path in self.workspace.texts.rglob("*.text"):
            assert path.stat().st_size
            found[path.parts[-3]] = found.get(path.parts[-3], 0) + 1
        return found

    def expire(self) -> int:
        return expire_texts(self.context, self.texts)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "ws")
    with closing(made.store):
        yield made


def test_each_use_case_keeps_its_texts_for_its_own_days(house: House) -> None:
    for name, days in (("brief", 1), ("long", 40), ("retired", 40), ("private", 2)):
        house.apply(name, days)
    for name in ("retired", "private"):
        house.run("retire", use_case=name)
    names = ("brief", "long", "retired", "private", "unknown")
    first = [house.keep(name) for name in names]
    house.clock.advance(DAY)
    for name in names:
        house.keep(name)
    assert house.expire() == 0

    # A day is kept for so long after its end: the text of its last moment must not go early.
    house.clock.at = MIDNIGHT + 2 * DAY - 1
    assert house.expire() == 0
    house.clock.advance(1)
    assert house.expire() == 1
    assert house.kept() == {"brief": 1, "long": 2, "retired": 2, "private": 2, "unknown": 2}
    with house.store.read() as tx:
        assert read_text(tx, house.texts, first[1]) == ("Where?", "Here.")
        with pytest.raises(NotFound, match="expired"):
            read_text(tx, house.texts, first[0])

    house.clock.at = MIDNIGHT + 3 * DAY
    assert house.expire() == 2
    assert house.kept() == {"long": 2, "retired": 2, "private": 1, "unknown": 2}
    # Of what is retired or unknown nothing is kept longer than by default; what was promised to go sooner still does.
    house.clock.at = MIDNIGHT + 32 * DAY
    assert house.expire() == 5
    assert house.kept() == {"long": 2}
    house.clock.at = MIDNIGHT + 100 * DAY
    house.expire()
    assert house.kept() == {}
    assert house.expire() == 0


def test_a_shorter_promise_holds_for_what_lies_there(house: House) -> None:
    house.apply("shop", 40)
    house.keep("shop")
    house.clock.advance(10 * DAY)
    assert house.expire() == 0
    house.apply("shop", 3)
    assert house.expire() == 1


CLASSES = """
name = "Tarnwick"
[data.public]
[data.health]
retain_for = 2
[data.personal]
retain_for = 10
"""


def test_by_class_neither_texts_nor_what_reads_them_are_on_the_disk_any_more(house: House) -> None:
    """The bytes themselves are looked for, in every file of the workspace, the spool and the write-ahead log too."""
    house.run("policy_apply", file=base64.b64encode(CLASSES.encode()).decode())
    kept = {name: house.keep_by_class(name, classes) for name, classes in BY_CLASS.items()}
    assert all(house.holds(piece) and house.holds(key) for piece, key in kept.values())
    due = {"clinic": 2, "shop": 10, "both": 2, "plain": 30}
    for day in range(1, 36):
        house.clock.at = MIDNIGHT + day * DAY
        house.expire()
        for name, (piece, key) in kept.items():
            assert house.holds(piece) == (day <= due[name]), (name, day)
            assert house.holds(key) == (day <= due[name] + 3), (name, day)
    searched = sum(path.stat().st_size for path in house.files())
    assert searched > 100_000
    assert not any(house.holds(text) for text in (b"my knee", b"knee\\", b"Take care"))
    with house.store.read() as tx:
        assert tx.unit_keys.use_cases() == []


BY_CLASS = {"clinic": ["health"], "shop": ["personal"], "both": ["personal", "health"], "plain": []}


def test_a_key_that_is_used_day_by_day_is_not_lost(house: House) -> None:
    house.apply("shop", 3)
    for _ in range(40):
        event = house.keep("shop")
        house.clock.advance(DAY - 1)
        house.expire()
        with house.store.read() as tx:
            assert read_text(tx, house.texts, event) == ("Where?", "Here.")
        house.clock.advance(1)
    house.clock.advance(10 * DAY)
    house.expire()
    with house.store.read() as tx:
        assert not tx.unit_keys.has("shop", "u")


def test_what_may_be_kept_no_more_goes_whole(house: House) -> None:
    house.apply("shop", 40)
    house.keep("shop")
    assert house.expire() == 0
    house.run("policy_apply", file=base64.b64encode(b'name = "T"\n[data.personal]\nretention = "none"\n').decode())
    assert house.expire() == 0, "it handles nothing of that class"
    text = FILE.format(name="shop", days=40).replace('retention = "full"', "personal_data = true")
    house.register(text)
    assert house.expire() == 1


def test_redaction_hides_what_has_a_form() -> None:
    told = {"inference": "i", "request": "write to ann@post.example", "gone": "no"}
    assert hidden(told) == {"inference": "i", "request": "write to [email]", "gone": "no"}


def test_what_is_not_ours_stays(house: House) -> None:
    house.keep("shop")
    other = house.workspace.texts / "shop" / "notes"
    other.mkdir()
    (other / "n.txt").write_text("mine")
    (house.workspace.texts / "readme.md").write_text("mine")
    house.clock.advance(100 * DAY)
    assert house.expire() == 1
    assert (other / "n.txt").exists()
