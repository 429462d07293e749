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
from pilotage.governance.retention import expire_texts
from pilotage.records import Text
from pilotage.store.base import PlainText
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
        self.writer = TextWriter(self.workspace.texts, "w0", self.store, self.clock)

    def run(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, LOCAL, name, arguments)

    def apply(self, name: str, days: int) -> None:
        files = {"usecase.toml": FILE.format(name=name, days=days), "a.md": "# A\n\nB.\n"}
        self.run("apply", files={path: base64.b64encode(text.encode()).decode() for path, text in files.items()})

    def keep(self, use_case: str) -> Text:
        """Keep a text of today."""
        plain = PlainText(
            inference="i", use_case=use_case, unit="u", at=self.clock.now(), request="Where?", reply="Here."
        )
        (event,) = self.writer.write([plain])
        assert isinstance(event, Text)
        return event

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


def test_what_is_not_ours_stays(house: House) -> None:
    house.keep("shop")
    other = house.workspace.texts / "shop" / "notes"
    other.mkdir()
    (other / "n.txt").write_text("mine")
    (house.workspace.texts / "readme.md").write_text("mine")
    house.clock.advance(100 * DAY)
    assert house.expire() == 1
    assert (other / "n.txt").exists()
