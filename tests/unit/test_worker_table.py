"""The routing table of a worker: what happens to it when the store goes away and comes back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pilotage.access import Key, Role
from pilotage.app.shares import Shares
from pilotage.app.sight import Sight
from pilotage.app.table import Table
from pilotage.app.upstreams import WorkerUpstreams
from pilotage.clock import FrozenClock
from pilotage.errors import RequestError, UpstreamError, WorkspaceUnusable
from pilotage.gateway.door import Door
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.spec.route import Allocation, Route
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.sqlite import SqliteStore
from pilotage.upstream.pool import Pool


class Interrupted(SqliteStore):
    """The real store, which a test can put out of reach."""

    out = False

    def change(self) -> int:
        if self.out:
            raise WorkspaceUnusable("the state cannot be read")
        return super().change()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Interrupted]:
    store = Interrupted(tmp_path / "state.db")
    yield store
    store.close()


def serve(store: SqliteStore, live: Release) -> None:
    route = Route(use_case="faq", unit="user", live=live.reference, releases={live.reference: live}, metrics={})
    with store.write() as tx:
        tx.serving.put("faq", msgspec.json.encode(route))


def test_with_the_store_away_the_last_table_stays(
    store: Interrupted, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FrozenClock()
    caplog.set_level(logging.INFO)

    async def run() -> None:
        def blob(digest: str) -> bytes | None:
            with store.read() as tx:
                return tx.blobs.get(digest)

        upstreams = WorkerUpstreams(Pool(), clock, environment=lambda _: "", blob=blob)
        door = Door(clock, mac_secret=b"m", unit_secret=b"u")
        table = Table(store, door, upstreams, Sight(Heartbeats(tmp_path)), Shares(store, "w0-1"))
        with store.write() as tx:
            knowledge = (("a.md", tx.blobs.put(b"# Parcels\n\nThree days.")),)
        live = Release(use_case="faq", variant="a", upstream=UpstreamAddress(kind="search"), knowledge=knowledge)
        serve(store, live)
        store.out = True
        await table.refresh()
        with pytest.raises(RequestError, match="not loaded"):
            door.current()
        store.out = False
        await table.refresh()
        first = door.current()
        assert first.routes["faq"].live == live.reference
        serving = upstreams.of(live)

        await table.refresh()
        assert door.current() is first  # nothing changed: nothing was loaded

        store.out = True
        later = msgspec.structs.replace(live, variant="b", knowledge=())
        serve(store, later)
        for _ in range(3):
            await table.refresh()
        assert door.current() is first

        store.out = False
        with store.write() as tx:
            tx.keys.put(Key(id="k", name="n", digest="d", roles=(Role.INFER,), created=1))
        await table.refresh()
        assert door.current().routes["faq"].live == later.reference
        assert set(door.current().keys) == {"k"}
        # What no release needs any more is forgotten.
        assert upstreams.of(later) is not serving
        with pytest.raises(UpstreamError):
            upstreams.of(live)
        await upstreams.close()

    asyncio.run(run())
    said = [record.message for record in caplog.records if "store" in record.message]
    assert [text.split(",")[0].split(":")[0] for text in said] == [
        "the store is out of reach",
        "the store is back",
        "the store is out of reach",
        "the store is back",
    ]


def test_one_upstream_serves_every_release_of_an_address(store: Interrupted) -> None:
    async def run() -> None:
        upstreams = WorkerUpstreams(Pool(), FrozenClock(), environment=lambda _: "", blob=lambda _: None)
        address = UpstreamAddress(kind="openai", base_url="http://127.0.0.1:1/v1")
        one = Release(use_case="a", variant="a", upstream=address, model="m")
        two = Release(use_case="b", variant="b", upstream=address, model="n")
        assert upstreams.of(one) is upstreams.of(two)
        await upstreams.close()

    asyncio.run(run())


def test_a_rollout_goes_blind_and_sees_again_also_with_the_store_away(store: Interrupted, tmp_path: Path) -> None:
    baseline = Release(use_case="faq", variant="a", upstream=UpstreamAddress(kind="search"))
    candidate = msgspec.structs.replace(baseline, variant="b")
    split = Allocation(
        rollout="r1",
        baseline=baseline.reference,
        candidate=candidate.reference,
        step=1,
        share=1_000_000,
        generation=4,
    )
    releases = {release.reference: release for release in (baseline, candidate)}
    route = Route(
        use_case="faq",
        unit="user",
        live=baseline.reference,
        releases=releases,
        metrics={},
        allocation=split,
        blind_after=1000,
    )
    with store.write() as tx:
        tx.serving.put("faq", msgspec.json.encode(route))
    now = 50_000
    heartbeats = Heartbeats(tmp_path)

    async def run() -> None:
        nonlocal now
        upstreams = WorkerUpstreams(Pool(), FrozenClock(), environment=lambda _: "", blob=lambda _: None)
        door = Door(FrozenClock(), mac_secret=b"m", unit_secret=b"u")
        table = Table(store, door, upstreams, Sight(heartbeats, timer=lambda: now), Shares(store, "w0-1"))

        async def arm() -> tuple[str, str, int, int]:
            await table.refresh()
            assigned = door.current().assign(door.current().routes["faq"], "unit")
            assert assigned is not None
            return assigned.arm, assigned.release.variant, assigned.share, assigned.generation

        sighted, blind = ("candidate", "b", 1_000_000, 4), ("baseline", "a", 0, 4)
        assert await arm() == sighted
        now += 1000
        assert await arm() == sighted
        now += 1
        assert await arm() == blind
        heartbeats.beat("r1", now)
        assert await arm() == sighted
        store.out = True
        now += 1001
        assert await arm() == blind
        heartbeats.beat("r1", now - 500)
        assert await arm() == sighted
        await upstreams.close()

    asyncio.run(run())
