"""What a worker that was killed had taken and not spent is free again, once its events are sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pilotage.clock import HOUR, SystemClock, new_id
from pilotage.governance.settlement import settle
from pilotage.records import Finished, SpoolEvent, Started
from pilotage.store.base.handed_out import Share
from pilotage.store.events import EventsReader, Sealer
from pilotage.store.holders import Holder, Holders
from pilotage.store.spool import Reader, Writer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace

NOON = 1_790_078_400_000_000  # 2026-09-22, 12:00 UTC
DAY, MONTH = "2026-09-22", "2026-09"


class Place:
    """A workspace without its processes."""

    def __init__(self, path: Path) -> None:
        self.workspace = Workspace(path).prepare()
        self.store = SqliteStore(self.workspace.state)
        self.spool = Reader(self.workspace.spool)
        self.holders = Holders(self.workspace.run)

    def take(self, holder: str, taken: int, account: str = "shop/day", period: str = DAY) -> None:
        with self.store.write() as tx:
            tx.allowances.take(account, period, holder, cap=10**9, wanted=taken, least=taken)

    def write(self, worker: str, events: list[SpoolEvent]) -> None:
        writer = Writer(self.workspace.spool, worker)
        for event in events:
            assert writer.append(event)
        writer.close()

    def seal(self) -> None:
        with closing(Sealer(self.workspace.events, self.store)) as sealer:
            for segment in self.spool.segments():
                events, end, ended = self.spool.read(segment, 0)
                sealer.seal(segment, 0, end, events, finished=ended)
                if ended:
                    self.spool.remove(segment)

    def settle(self, losses: dict[str, int] | None = None) -> int:
        with closing(EventsReader(self.workspace.events, self.store)) as events:
            return settle(self.store, events, self.spool, self.holders, losses or {})

    def total(self, account: str = "shop/day", period: str = DAY) -> tuple[int, int]:
        with self.store.read() as tx:
            return tx.allowances.total(account, period)

    def shares(self) -> list[Share]:
        with self.store.read() as tx:
            return tx.allowances.shares()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "workspace")
    yield place
    place.store.close()


def killed(place: Place, worker: str = "w0", losses: int = 0) -> str:
    """Return the name of a holder whose process ended without a word."""
    holder = Holder(place.workspace.run, worker, losses)
    path = place.workspace.run / f"{holder.name}.holder"
    copy = path.read_bytes()
    holder.close()
    path.write_bytes(copy)
    return holder.name


def request(
    held: int, spent: int | None, *, use_case: str = "shop", at: int = NOON, caller: str = "k1"
) -> list[SpoolEvent]:
    """Return what one request leaves; `spent` None where its worker died over it."""
    name = new_id(SystemClock())
    begun = Started(
        id=name, use_case=use_case, at=at, release="shop/a@1", arm="live", deadline=at, held=held, caller=caller
    )
    if spent is None:
        return [begun]
    return [begun, Finished(id=name, use_case=use_case, at=at, served="shop/a@1", status=200, spent=spent)]


def test_only_what_was_spent_and_what_was_under_way_stays_taken(place: Place) -> None:
    holder = killed(place)
    place.take(holder, 5_000)
    place.take(holder, 9_000, "shop/month", MONTH)
    place.take(holder, 4_000, "key:k1/day")
    before = request(900, 70, at=NOON - 24 * HOUR)
    place.write("w0", [*before, *request(900, 100), *request(900, None), *request(900, 30, use_case="other")])
    assert place.settle() == 0
    assert place.total()[0] == 5_000
    place.seal()
    assert place.settle() == 1
    assert place.total() == (1_000, 1_000)
    assert place.total("shop/month", MONTH) == (1_070, 1_070)
    assert place.total("key:k1/day") == (1_030, 1_030)
    assert place.shares() == []
    assert place.settle() == 0


def test_one_that_lives_is_left_alone_and_one_that_ended_in_order_keeps_what_it_spent(place: Place) -> None:
    living, ended = Holder(place.workspace.run, "w0", 0), Holder(place.workspace.run, "w1", 0)
    place.take(living.name, 500)
    place.take(ended.name, 700)
    ended.close()
    assert place.settle() == 0
    assert place.total() == (1_200, 700)
    assert [share.holder for share in place.shares()] == [living.name]
    living.close()


def test_the_next_of_its_name_is_another(place: Place) -> None:
    first = killed(place)
    place.take(first, 5_000)
    place.write("w0", request(900, 100))
    second = Holder(place.workspace.run, "w0", 0)
    place.take(second.name, 3_000)
    place.write("w0", request(900, 200))
    place.seal()
    assert place.settle() == 1
    assert place.total()[0] == 100 + 3_000
    second.close()


@pytest.mark.parametrize("how", ["lost events", "another boot", "unreadable"])
def test_where_not_all_may_be_in_the_spool_all_of_it_stays_spent(place: Place, how: str) -> None:
    holder = killed(place)
    path = place.workspace.run / f"{holder}.holder"
    if how == "another boot":
        path.write_bytes(msgspec.json.encode({**msgspec.json.decode(path.read_bytes()), "boot": "another"}))
    elif how == "unreadable":
        path.write_bytes(b"\x00")
    place.take(holder, 5_000)
    place.write("w0", request(900, 100))
    place.seal()
    assert place.settle({"w0": 1} if how == "lost events" else {}) == 1
    assert place.total() == (5_000, 5_000)
