"""Decisions are made on recorded batches, written down whole, and come out the same when they are made again."""

from __future__ import annotations

import base64
import random
import sqlite3
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pilotage.access import Actor, Role
from pilotage.clock import MINUTE, SECOND, FrozenClock
from pilotage.decision.batch import BASELINE, EXPOSED, Batch, Cell
from pilotage.decision.method import method_of
from pilotage.decision.transition import decide
from pilotage.decision.verdict import judged
from pilotage.errors import Conflict, Denied, NotFound, Refused, Tampered, WorkspaceUnusable
from pilotage.governance.batches import Link
from pilotage.governance.commands import Context, run
from pilotage.governance.decisions import record_decision
from pilotage.governance.mandate import LASTS, Mandate
from pilotage.governance.progress import Progress, progress, standing_of
from pilotage.governance.standing import standing
from pilotage.rollout import controller as controlling
from pilotage.rollout import tally as tallies
from pilotage.rollout.controller import Controller
from pilotage.status import Action, Phase
from pilotage.store.heartbeats import Heartbeats
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pilotage.spec.use_case import UseCase
    from pilotage.status import Decision, RolloutStatus, UseCaseStatus
    from pilotage.store.sqlite.store import SqliteTransaction

OPERATOR = Actor(id="key:operator", roles=(Role.OPERATE, Role.APPROVE))
ADMIN = Actor(id="local:root", roles=(Role.ADMIN,))
FILE = """
name = "support"
owner = "Ada"
objective = "Fewer tickets"
tier = "minimal"
status_quo = "before"
candidate = "after"

[goals.resolved]
today = 0.4
target = 0.7
minimum_effect = 0.05

[guardrails.wait]
kind = "duration"
direction = "down"
high = 60
margin = 5

[variants.before]
upstream = "search"
knowledge = ["faq.md"]

[variants.after]
upstream = "openai"
model = "small"

[rollout]
steps = [{ share = 10 }, { share = 50, demands = ["prove"] }]
minimum_units = 50
minimum_duration = "0s"
"""


class Prepared:
    """What has matured, as prepared; it answers as the observer does, and each batch comes once."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.given = 0

    def follows(self, use_case: str, rollout: str) -> bool:
        return bool(use_case and rollout)

    def batch(self, use_case: str, at: int) -> Batch | None:
        assert use_case
        if self.given == len(self.batches):
            return None
        self.given += 1
        return msgspec.structs.replace(self.batches[self.given - 1], at=at)


class House:
    """A use case in canary and a controller over it, on a frozen clock."""

    def __init__(self, path: Path, store: SqliteStore | None = None) -> None:
        self.path = path / "state.db"
        self.store = store or SqliteStore(self.path)
        self.clock = FrozenClock()
        self.context = Context(self.store, self.clock)
        self.source = Prepared()
        self.generator = random.Random(7)
        self.frontier = 0
        self.beats = Heartbeats(path)
        self.apply(FILE)
        status = self.status
        fact = {"use_case": "support", "release": status.candidate, "baseline": status.live, "n": 100}
        for measure, value in (("quality_difference", 0.1), ("replay_errors", 0.0)):
            figures = {"value": value, "low": value, "high": value, "method": "test", "data": "d"}
            self.do("record_evidence", measure=measure, **figures, **fact)
        for _ in range(3):
            self.do("promote", use_case="support")
        self.controller = self.begin()

    def begin(self, holder: str = "one") -> Controller:
        """A controller that knows nothing but what is stored."""
        mandate = Mandate(self.store, holder, self.clock)
        assert mandate.renew()
        return self.under(mandate)

    def under(self, mandate: Mandate) -> Controller:
        return Controller(self.context, self.source, self.beats, mandate, lag=lambda: 0, lost=lambda: 0)

    def apply(self, text: str) -> None:
        files = {"usecase.toml": text, "faq.md": "# Returns\nWithin 30 days."}
        self.do("apply", files={name: base64.b64encode(body.encode()).decode() for name, body in files.items()})

    def do(self, name: str, actor: Actor = OPERATOR, /, **arguments: Any) -> dict[str, Any]:
        return run(self.context, actor, name, arguments)

    @property
    def spec(self) -> UseCase:
        with self.store.read() as tx:
            return standing(tx, "support").spec

    @property
    def status(self) -> UseCaseStatus:
        with self.store.read() as tx:
            return standing(tx, "support").status

    @property
    def rollout(self) -> RolloutStatus:
        rollout = self.status.rollout
        assert rollout is not None
        return rollout

    @property
    def phase(self) -> str:
        return str(self.rollout.phase)

    def matured(self, units: int = 40, *, errors: float = 0.0, resolved: float = 0.7) -> None:
        """Let so many units of either arm mature; those numbers are the candidate's, the baseline has 0 and 0.4."""
        generation, draw = self.rollout.generation, self.generator.random
        metrics: dict[str, tuple[Cell, ...]] = {}
        for name, metric in judged(self.spec).items():
            cells = []
            for arm in (BASELINE, 1):
                rate = (
                    {"errors": errors, "resolved": resolved}.get(name, 0.0) if arm else {"resolved": 0.4}.get(name, 0.0)
                )
                if metric.kind == "duration":
                    values = [round(draw() * 20e6) for _ in range(units)]
                else:
                    values = [1_000_000 * (draw() < rate) for _ in range(units)]
                cells.append(Cell(generation, generation, arm, method_of(metric).gather(values)))
            metrics[name] = tuple(cells)
        self.frontier += 1
        self.source.batches.append(
            Batch(
                at=0,
                frontier=dict.fromkeys([EXPOSED, *metrics], self.frontier),
                exposed=self.split(generation, units),
                metrics=metrics,
                heard=("resolved", "wait") if len(self.source.batches) == 0 else (),
            )
        )

    def split(self, generation: int, units: int) -> tuple[tuple[int, int, int], ...]:
        share = self.rollout.share
        return ((generation, BASELINE, units * 4), (generation, 1, units * 4 * share // (1_000_000 - share)))

    def tick(self, controller: Controller | None = None) -> Decision | None:
        self.clock.advance(SECOND)
        return (controller or self.controller).tick("support")

    def until(self, action: Action, **what: Any) -> int:
        """Let units mature until the controller does this; return the entry's seq."""
        for _ in range(400):
            self.matured(**what)
            decision = self.tick()
            if decision is not None:
                assert decision.action is action, decision.reason
                return self.status.entry
        pytest.fail(f"never {action}: {self.shown.reason}")

    @property
    def shown(self) -> Progress:
        with self.store.read() as tx:
            found = progress(tx, self.rollout)
        assert found is not None
        return found

    def rows(self) -> list[tuple[int, int, bytes, str]]:
        with self.store.read() as tx:
            return list(tx.batches.read(self.rollout.id))

    def alter(self, sql: str, *parameters: object) -> None:
        with closing(sqlite3.connect(self.path)) as raw, raw:
            assert raw.execute(sql, parameters).rowcount > 0, "nothing was altered"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.store.close()


def replayed(house: House, seq: int) -> dict[str, Any]:
    return house.do("ledger_replay", seq=seq)


def rolled_back_late(house: House) -> int:
    for _ in range(3):
        house.matured(3)
        assert house.tick() is None
    return house.until(Action.ROLL_BACK, errors=0.9, units=10)


def test_each_decision_of_a_ramp_comes_out_the_same_bit_for_bit(house: House) -> None:
    advanced = house.until(Action.ADVANCE)
    promoted = house.until(Action.PROMOTE)
    assert house.status.live.startswith("support/after@")
    for seq, action in ((advanced, "advance"), (promoted, "promote")):
        found = replayed(house, seq)
        assert (found["same"], found["differs"], found["action"]) == (True, [], action)
        assert found["reason"] == house.do("ledger", after=seq - 1)["entries"][0]["detail"]["reason"]
        (readings,) = found["readings"].values()
        assert set(readings) == set(judged(house.spec))
        assert found["units"]
    assert replayed(house, promoted)["batches"]["count"] == len(house.rows())
    house.do("ledger_verify", ADMIN)


def test_a_rollback_comes_out_the_same_also_after_the_folder_changed(house: House) -> None:
    seq = house.until(Action.ROLL_BACK, errors=0.5)
    house.apply(FILE.replace("Fewer tickets", "Fewer calls").replace("alpha", "alpha"))
    house.apply(FILE.replace("minimum_units = 50", "minimum_units = 80").replace("margin = 5", "margin = 9"))
    found = replayed(house, seq)
    assert (found["same"], found["action"]) == (True, "roll_back")
    assert "errors" in found["reason"]
    house.do("ledger_verify", ADMIN)


@pytest.mark.parametrize("seed", range(3))
def test_a_controller_that_is_stopped_anywhere_decides_the_same(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One goes straight through; the other is a new one now and then, from what was kept last or from nothing."""
    monkeypatch.setattr(controlling, "KEEP_SECONDS", 0.005)
    straight, other = (House(_made(tmp_path / name)) for name in ("straight", "other"))
    generator = random.Random(seed)
    for number in range(30):
        for house in (straight, other):
            house.matured(3)
        stops = generator.random()
        if number and stops < 0.4:
            if stops < 0.1:
                other.alter("DELETE FROM kept")
            elif stops < 0.2:
                other.alter("UPDATE kept SET state = x'00'")
            other.clock.advance(LASTS)
            straight.clock.advance(LASTS)
            other.controller = other.begin(f"after {stops}")
        one, two = (house.tick() for house in (straight, other))
        assert (one and one.reason) == (two and two.reason)
        assert msgspec.json.encode(one and one.detail["readings"]) == msgspec.json.encode(
            two and two.detail["readings"]
        )
    ends = []
    for house in (straight, other):
        spec, rollout = house.spec, house.rollout
        with house.store.read() as tx:
            ends.append(tallies.resumed(tx, spec, rollout))
            assert tallies.frontier(tx, rollout.id) == ends[-1].statistics.frontier
        house.store.close()
        assert ends[-1].statistics.seq == house.source.given > 20
    assert ends[0].statistics == ends[1].statistics
    assert msgspec.msgpack.encode(ends[0].statistics) == msgspec.msgpack.encode(ends[1].statistics)


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_an_entry_that_is_no_controller_s_decision_is_refused(house: House) -> None:
    house.do("pause", use_case="support")
    with pytest.raises(Refused, match=r"entry \d+ \(pause by key:operator\) is no decision of the controller's"):
        replayed(house, house.status.entry)
    for seq in (0, -1, 999):
        with pytest.raises(NotFound, match=f"there is no entry {seq}"):
            replayed(house, seq)


def test_a_key_for_another_use_case_may_not_replay(house: House) -> None:
    seq = house.until(Action.ROLL_BACK, errors=0.5)
    with pytest.raises(Denied):
        house.do("ledger_replay", Actor(id="key:x", roles=(Role.OPERATE,), use_cases=("other",)), seq=seq)


def test_a_decision_that_its_grounds_do_not_bear_is_told(house: House) -> None:
    """A controller that wrote down something else than it decided, by an entry that is whole in itself."""
    for _ in range(3):
        house.matured(errors=0.5)
    with house.store.read() as tx:
        tally = tallies.resumed(tx, house.spec, house.rollout)
    seen: list[Any] = []

    def keep(tx: SqliteTransaction, status: UseCaseStatus, decision: Decision, what: Any) -> None:
        seen.append(what)
        detail = {**decision.detail, "share": 3}
        changed = msgspec.structs.replace(decision, reason="Because I say so.", detail=detail)
        record_decision(tx, status, changed, what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controlling, "record_decision", keep)
        house.until(Action.ROLL_BACK, errors=0.5)
    assert seen[0].batches != tally.link
    found = replayed(house, house.status.entry)
    assert found["same"] is False
    assert "'Because I say so.' is recorded" in found["differs"][0]
    assert found["differs"][1] == "the figures differ: share"


@pytest.mark.parametrize(
    ("sql", "verify", "replay"),
    [
        (
            "UPDATE batch SET body = CAST(body || x'00' AS BLOB) WHERE seq = 1",
            "batch 1 of rollout .* altered",
            "batch 1 .* altered",
        ),
        ("UPDATE batch SET at = at + 1 WHERE seq = 2", "batch 2 .* its time", "batch 2 .* its time"),
        ("UPDATE batch SET digest = 'x' WHERE seq = 2", "batch 2 .* altered", "batch 2 .* altered"),
        ("DELETE FROM batch WHERE seq = 1", "batch 1 of .* is missing", "batch 1 .* is missing"),
        ("DELETE FROM batch WHERE seq = 3", "missing|batch 3", "missing|others"),
        ("DELETE FROM batch", "are missing from the end", "those that are there are others"),
        ("UPDATE batch SET rollout = 'another'", "no entry tells of rollout another", "others"),
        ("INSERT INTO batch VALUES ('r', 1, 1, x'00', '')", "no entry tells of rollout r,", ""),
        ("UPDATE batch SET seq = seq + 100 WHERE seq = (SELECT max(seq) FROM batch)", "is missing", "others"),
        ("DELETE FROM blob WHERE instr(data, '\"minimum_units\":50')", "was judged by .* is gone", "judged by a file"),
        ("UPDATE blob SET data = CAST(replace(data, ':50', ':51') AS BLOB)", "was altered", "gone or was altered"),
        ("DELETE FROM evidence WHERE number = 2", "evidence", "rests on evidence .*, which is gone"),
    ],
)
def test_what_a_decision_rests_on_is_vouched_for(house: House, sql: str, verify: str, replay: str) -> None:
    seq = rolled_back_late(house)
    house.do("ledger_verify", ADMIN)
    house.alter(sql)
    with pytest.raises(Tampered, match=verify):
        house.do("ledger_verify", ADMIN)
    if replay:
        with pytest.raises(Tampered, match=replay):
            replayed(house, seq)
    else:
        assert replayed(house, seq)["same"]


def test_batches_that_were_all_replaced_by_a_chain_of_their_own_are_found(house: House) -> None:
    seq = rolled_back_late(house)
    link = Link()
    forged = []
    for number, at, body, _ in house.rows():
        batch = msgspec.msgpack.decode(body, type=Batch)
        other = msgspec.msgpack.encode(msgspec.structs.replace(batch, late=1))
        link = link.to(other)
        forged.append((other, link.digest, number, at))
    with closing(sqlite3.connect(house.path)) as raw, raw:
        raw.executemany("UPDATE batch SET body = ?, digest = ? WHERE seq = ? AND at = ?", forged)
    with pytest.raises(Tampered, match=r"are not those that the ledger tells of"):
        house.do("ledger_verify", ADMIN)
    with pytest.raises(Tampered, match="others"):
        replayed(house, seq)


def test_a_status_that_nobody_wrote_is_no_ground(house: House) -> None:
    seq = house.until(Action.ROLL_BACK, errors=0.5)
    house.alter("DELETE FROM ledger WHERE seq = ?", seq - 1)
    with pytest.raises(Tampered, match=f"entry {seq} was made on a status that no entry before it wrote"):
        replayed(house, seq)


def test_where_the_status_moved_on_the_same_batch_comes_with_the_next_tick(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        house.matured(100, errors=0.9)

    def slow(*given: Any, **named: Any) -> Decision:
        decision = decide(*given, **named)
        if decision.action is Action.ROLL_BACK and house.status.paused is False:
            house.do("pause", use_case="support", reason="somebody was quicker")
        return decision

    monkeypatch.setattr(controlling, "decide", slow)
    ticks = 0
    while not house.status.paused:
        assert house.tick() is None
        ticks += 1
        assert ticks < 6
    assert len(house.rows()) == ticks - 1
    taken = house.source.given
    decision = house.tick()
    assert decision is not None
    assert decision.action is Action.ROLL_BACK
    assert house.source.given == taken == len(house.rows())
    assert replayed(house, house.status.entry)["same"]
    house.do("ledger_verify", ADMIN)


@pytest.mark.parametrize("where", ["decide", "record_decision"])
def test_a_batch_whose_tick_failed_is_neither_lost_nor_counted_twice(
    house: House, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    house.matured(100, errors=0.9)

    def full(*_: Any, **__: Any) -> None:
        raise WorkspaceUnusable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(controlling, where, full)
        for _ in range(3):
            with pytest.raises(WorkspaceUnusable):
                house.tick()
    assert house.rows() == []
    assert house.source.given == 1
    assert house.beats.heard(house.rollout.id) is None
    assert house.tick() is not None
    assert [seq for seq, *_ in house.rows()] == [1]
    assert replayed(house, house.status.entry)["same"]


class Ambiguous(SqliteStore):
    """The real store, whose next commit is made and said to have failed."""

    armed = False

    @contextmanager
    def write(self) -> Iterator[SqliteTransaction]:
        with super().write() as tx:
            yield tx
        if self.armed:
            self.armed = False
            raise WorkspaceUnusable("the state cannot be written", hint="check the disk")


@pytest.mark.parametrize("errors", [0.0, 0.9])
def test_a_commit_that_was_made_after_all_counts_once(tmp_path: Path, errors: float) -> None:
    store = Ambiguous(tmp_path / "state.db")
    house = House(tmp_path, store)
    units = 100 if errors else 5
    house.matured(units, errors=errors)
    store.armed = True
    with pytest.raises(WorkspaceUnusable):
        house.tick()
    assert [seq for seq, *_ in house.rows()] == [1]
    house.matured(units, errors=errors)
    for _ in range(3):
        house.tick()
    assert house.rollout.phase is (Phase.ROLLED_BACK if errors else Phase.RUNNING)
    # After a rollback nothing more is counted; without one the second batch follows the first.
    assert len(house.rows()) == (1 if errors else 2)
    house.do("ledger_verify", ADMIN)
    store.close()


def test_with_nothing_new_only_what_changed_is_written_and_seldom(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = [0.0]
    monkeypatch.setattr("pilotage.rollout.controller.time.monotonic", lambda: real[0])
    house.controller = house.begin()
    writes: list[int] = []
    keep = _Counting(writes)

    def ticks(count: int) -> int:
        before = len(writes)
        for _ in range(count):
            assert house.tick() is None
            real[0] += 0.2
        return len(writes) - before

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(controlling, "standing_of", keep)
        assert ticks(1) == 1
        assert ticks(20) == 0, "the reason is still the same"
        house.do("pause", use_case="support")
        assert ticks(20) == 1
        house.do("resume", use_case="support")
        house.do("pause", use_case="support", reason="again")
        assert ticks(4) == 0
    assert "paused" in house.shown.reason
    assert house.rows() == []


class _Counting:
    def __init__(self, writes: list[int]) -> None:
        self.writes, self.real = writes, standing_of

    def __call__(self, *given: Any, **named: Any) -> bytes:
        self.writes.append(1)
        return self.real(*given, **named)


def test_what_is_shown_says_where_a_rollout_stands(house: House) -> None:
    rollout = house.rollout
    with house.store.read() as tx:
        assert progress(tx, rollout) is None
    house.matured(5)
    house.tick()
    shown = house.shown
    assert (shown.batches, shown.action) == (1, "hold")
    assert shown.reason.startswith("Held at 10 %")
    assert set(shown.readings) == {rollout.candidate}
    assert shown.readings[rollout.candidate]["errors"].units == 5
    assert shown.exposed == {rollout.baseline: 20, rollout.candidate: 2}
    assert all(one.at > shown.at for times in shown.expected.values() for one in times.values() if one.units)


def test_of_two_controllers_the_one_with_the_older_fence_writes_nothing(house: House) -> None:
    first = house.controller
    mandate = Mandate(house.store, "two", house.clock)
    house.matured()
    house.tick(first)
    assert not mandate.renew(), "the first one has it"
    assert not mandate.held
    second = house.under(mandate)
    house.matured(errors=0.9)
    with pytest.raises(Conflict, match="under fence -1"):
        house.tick(second)
    # The first one hangs for so long that it is taken for dead.
    house.clock.advance(LASTS + MINUTE)
    assert mandate.renew()
    before = house.rows()
    house.source.given = 1
    for controller in (first, first):
        with pytest.raises(Conflict, match="is two's now"):
            house.tick(controller)
    assert house.rows() == before
    assert house.phase == Phase.RUNNING
    house.source.given = 1
    resumed = house.under(mandate)
    house.matured(200, errors=0.9)
    for _ in range(2):
        house.tick(resumed)
    assert house.phase == Phase.ROLLED_BACK
    assert replayed(house, house.status.entry)["same"]
    house.do("ledger_verify", ADMIN)
