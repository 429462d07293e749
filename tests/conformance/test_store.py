"""What every backend of the Protocols in `store.base` must do."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable

import msgspec
import pytest

from pilotage.access import Key, Role
from pilotage.errors import Conflict, NotFound
from pilotage.records import Approval, Evidence, LedgerEntry
from pilotage.spec.release import Release, UpstreamAddress
from pilotage.status import Allocated, Ended, Phase, Reading, RolloutStatus, Stage, UseCaseStatus
from pilotage.store.base.erasable import Erasure
from pilotage.store.base.registered import Policy, Registered
from pilotage.store.base.transaction import Store

Open = Callable[[], Store]
NOBODY = "0" * 64


def registered(name: str = "support", **changes: object) -> Registered:
    made = Registered(
        name=name,
        spec={"name": name, "goals": {"resolved": {"today": 0.4}}, "owner": "Zoë"},
        charter="c1",
        releases={"assistant": f"{name}/assistant@0123456789ab"},
        files={"usecase.toml": "d" * 64},
        author="local:zoe",
        at=5,
    )
    return msgspec.structs.replace(made, **changes)


def status(version: int, use_case: str = "support", **changes: object) -> UseCaseStatus:
    return msgspec.structs.replace(UseCaseStatus(use_case=use_case, charter="c1", version=version), **changes)


def entry(seq: int, previous: str, use_case: str = "support") -> LedgerEntry:
    digest = hashlib.sha256(f"{seq}{previous}".encode()).hexdigest()
    return LedgerEntry(
        seq=seq,
        at=seq * 10,
        actor="local:zoe",
        action="register",
        use_case=use_case,
        detail={"seq": seq, "nested": {"x": [1, 2.5, None]}},
        previous=previous,
        digest=digest,
    )


def key(key_id: str = "k1", **changes: object) -> Key:
    made = Key(id=key_id, name="shop", digest="d" * 64, roles=(Role.INFER, Role.FEEDBACK), created=1)
    return msgspec.structs.replace(made, **changes)


def evidence(number: int, release: str = "support/a@000000000000") -> Evidence:
    return Evidence(
        id=f"e{number}",
        use_case="support",
        release=release,
        charter="c1",
        measure="quality",
        value=0.5,
        low=0.4,
        high=0.6,
        n=100,
        method="wilson",
        data="d" * 64,
        at=number,
        actor="local:zoe",
        detail={"cases": {"a": 1}},
    )


def approval(number: int, release: str = "support/a@000000000000") -> Approval:
    return Approval(
        id=f"a{number}",
        use_case="support",
        release=release,
        charter="c1",
        stage="canary",
        actor="key:k2",
        role="approve",
        at=number,
    )


def test_use_cases_come_back_whole_and_the_newest_registration_counts(store: Store) -> None:
    with store.write() as tx:
        tx.use_cases.put(registered())
        tx.use_cases.put(registered("adverts"))
        tx.use_cases.put(registered(charter="c2"))
    with store.read() as tx:
        assert tx.use_cases.get("support") == registered(charter="c2")
        assert tx.use_cases.get("unknown") is None
        assert tx.use_cases.names() == ["adverts", "support"]


def test_a_release_is_stored_once_and_keeps_its_first_author(store: Store) -> None:
    first = Release(
        use_case="support",
        variant="zeta",
        upstream=UpstreamAddress(kind="openai", base_url="http://x"),
        parameters={"temperature": 0.5, "stop": ["a"]},
        knowledge=(("a.md", "d" * 64),),
    )
    second = msgspec.structs.replace(first, variant="alpha")
    with store.write() as tx:
        tx.releases.put(first, author="zoe", at=1)
        tx.releases.put(second, author="zoe", at=2)
        tx.releases.put(first, author="max", at=3)
    with store.read() as tx:
        assert tx.releases.get(first.reference) == first
        assert tx.releases.author(first.reference) == "zoe"
        assert tx.releases.of("support") == [first.reference, second.reference]
        assert tx.releases.get("support/zeta@nothing") is None
        with pytest.raises(NotFound):
            tx.releases.author("support/zeta@nothing")


def test_blobs_are_named_by_their_content(store: Store) -> None:
    data = bytes(range(256)) * 5000
    with store.write() as tx:
        digest = tx.blobs.put(data)
        assert tx.blobs.put(data) == digest == hashlib.sha256(data).hexdigest()
        assert tx.blobs.get(tx.blobs.put(b"")) == b""
    with store.read() as tx:
        assert tx.blobs.get(digest) == data
        assert tx.blobs.get("0" * 64) is None


def test_a_status_is_written_only_over_the_version_that_was_read(store: Store) -> None:
    rollout = RolloutStatus(
        id="r1",
        candidate="b",
        baseline="a",
        shares=(10_000, 50_000),
        started=1,
        step_since=2,
        phase=Phase.PAUSED,
        rivals=("c",),
        out={"c": "rolled_back"},
        allocations=(Allocated(generation=1, step=0, share=10_000, at=1, out=("c",)),),
        readings={"resolved": Reading(at=9, step=0, units=20, against=21, value=0.1, low=-1e-9, high=0.3)},
    )
    full = status(1, stage=Stage.CANARY, rollout=rollout, ended=(Ended(release="z", how="futile", at=3),))
    with pytest.raises(Conflict), store.write() as tx:
        tx.statuses.put(status(2))
    with store.write() as tx:
        tx.statuses.put(full)
    for stale in (1, 3):
        with pytest.raises(Conflict, match="version 1"), store.write() as tx:
            tx.statuses.put(status(stale))
    with store.write() as tx:
        tx.statuses.put(status(1, "adverts"))
    with store.read() as tx:
        assert tx.statuses.get("support") == full
        assert tx.statuses.get("unknown") is None
        assert tx.statuses.all() == [status(1, "adverts"), full]


def test_the_ledger_takes_only_the_entry_that_follows_its_head(store: Store) -> None:
    with store.read() as tx:
        assert tx.ledger.head() == (0, NOBODY)
        assert list(tx.ledger.read()) == []
    entries = []
    with store.write() as tx:
        for seq in range(1, 7):
            _, previous = tx.ledger.head()
            entries.append(entry(seq, previous, "support" if seq % 2 else "adverts"))
            tx.ledger.append(entries[-1])
    for wrong in (entry(6, entries[4].digest), entry(8, entries[5].digest), entry(7, entries[4].digest)):
        with pytest.raises(Conflict), store.write() as tx:
            tx.ledger.append(wrong)
    with store.read() as tx:
        assert tx.ledger.head() == (6, entries[5].digest)
        assert list(tx.ledger.read()) == entries
        assert list(tx.ledger.read(after=4)) == entries[4:]
        assert list(tx.ledger.read(use_case="adverts")) == entries[1::2]
        assert list(tx.ledger.read(newest=2)) == entries[4:]
        assert list(tx.ledger.read(use_case="support", newest=2, after=1)) == [entries[2], entries[4]]


def test_evidence_and_approvals_come_back_oldest_first_by_release(store: Store) -> None:
    other = "support/b@111111111111"
    with store.write() as tx:
        for number in (3, 1, 2):
            tx.evidence.put(evidence(number))
            tx.approvals.put(approval(number))
        tx.evidence.put(evidence(4, other))
        tx.approvals.put(approval(4, other))
        tx.evidence.put(evidence(3))
    with store.read() as tx:
        assert tx.evidence.of("support") == [evidence(3), evidence(1), evidence(2), evidence(4, other)]
        assert tx.evidence.of("support", release=other) == [evidence(4, other)]
        assert tx.approvals.of("support") == [approval(3), approval(1), approval(2), approval(4, other)]
        assert tx.approvals.of("support", release=other) == [approval(4, other)]
        assert tx.evidence.of("adverts") == []
        assert tx.approvals.of("adverts") == []


def test_keys(store: Store) -> None:
    with store.write() as tx:
        tx.keys.put(key())
        tx.keys.put(key("a0", use_cases=("support",)))
        tx.keys.put(key(revoked=9))
    with store.read() as tx:
        assert tx.keys.get("k1") == key(revoked=9)
        assert tx.keys.get("k9") is None
        assert tx.keys.all() == [key(revoked=9), key("a0", use_cases=("support",))]


def test_the_change_counter_moves_with_serving_rows_and_keys_alone_and_for_every_handle(open_store: Open) -> None:
    here, there = open_store(), open_store()
    seen = [there.change()]

    def moved() -> bool:
        seen.append(there.change())
        assert here.change() == seen[-1]
        return seen[-1] > seen[-2]

    with here.write() as tx:
        tx.serving.put("support", b'{"live":"a"}')
        assert there.change() == seen[-1], "not before it is committed"
    assert moved()
    with there.read() as tx:
        (row,) = tx.serving.changed(seen[0])
        assert (row.use_case, row.body) == ("support", b'{"live":"a"}')
        assert seen[0] < row.change <= seen[-1]
        assert tx.serving.changed(row.change) == []
    with here.write() as tx:
        tx.serving.put("support", b'{"live":"a"}')
    assert not moved(), "the same row again is no change"
    with here.write() as tx:
        tx.serving.put("adverts", b"{}")
        tx.serving.put("support", b'{"live":"b"}')
    assert moved()
    with there.read() as tx:
        assert [row.use_case for row in tx.serving.changed(seen[-2])] == ["adverts", "support"]
        assert len(tx.serving.changed(0)) == 2
    with there.write() as tx:
        tx.keys.put(key())
    assert moved()
    with there.write() as tx:
        tx.keys.put(key(revoked=1))
    assert moved()
    with here.write() as tx:
        tx.statuses.put(status(1))
        tx.blobs.put(b"x")
    assert not moved()
    with contextlib.suppress(ZeroDivisionError), here.write() as tx:
        tx.keys.put(key("k2"))
        _ = 1 / 0
    assert not moved()


def test_sealing_moves_only_from_where_it_stands(store: Store) -> None:
    with store.write() as tx:
        assert tx.progress.sealed("w0-1") == 0
        tx.progress.seal("w0-1", 0, 100, [("started", "a.parquet", 3), ("feedback", "a.parquet", 1)], finished=False)
    with pytest.raises(Conflict, match="100"), store.write() as tx:
        tx.progress.seal("w0-1", 0, 100, [("started", "b.parquet", 3)], finished=False)
    with store.write() as tx:
        tx.progress.seal("w0-1", 100, 250, [("started", "b.parquet", 9)], finished=False)
        tx.progress.seal("w1-1", 0, 10, [], finished=True)
    with store.write() as tx:
        assert tx.progress.sealed("w0-1") == 250
        assert tx.progress.finished() == ["w1-1"]
        assert tx.progress.files("started") == ["a.parquet", "b.parquet"]
        assert tx.progress.listed("started") == [("a.parquet", 3), ("b.parquet", 9)]
        tx.progress.seal("w0-1", 250, 250, [], finished=True)
        tx.progress.forget("w1-1")
        assert tx.progress.finished() == ["w0-1"]
        tx.progress.forget("w0-1")
        assert tx.progress.files("feedback") == ["a.parquet"]


def test_files_are_replaced_all_or_none(store: Store) -> None:
    with store.write() as tx:
        for name in ("a", "b", "c"):
            tx.progress.seal(name, 0, 1, [("started", name, 1)], finished=True)
    with store.write() as tx:
        tx.progress.replace("started", ["a", "b"], "ab", 2)
    with pytest.raises(Conflict), store.write() as tx:
        tx.progress.replace("started", ["c", "b"], "bc", 2)
    with store.read() as tx:
        assert tx.progress.listed("started") == [("c", 1), ("ab", 2)]


def test_unit_keys_are_made_once_and_gone_when_destroyed(open_store: Open) -> None:
    store = open_store()
    units = [("support", "u1"), ("support", "u2"), ("adverts", "u1")]
    with store.write() as tx:
        made = tx.unit_keys.get_or_create(units, at=1)
        assert tx.unit_keys.get_or_create(reversed(units), at=2) == made
    assert len({key_id for key_id, _ in made.values()}) == 3
    assert all(len(secret) == 32 for _, secret in made.values())
    key_id, secret = made["support", "u1"]
    with open_store().read() as tx:
        assert tx.unit_keys.by_id([key_id, "unknown"]) == {key_id: secret}
        assert tx.unit_keys.by_id([]) == {}
    with store.write() as tx:
        assert tx.unit_keys.destroy("support", "u1")
        assert not tx.unit_keys.destroy("support", "u1")
    with store.write() as tx:
        assert tx.unit_keys.by_id([key_id]) == {}
        assert tx.unit_keys.get_or_create(units[:1], at=3)["support", "u1"] != (key_id, secret)


def test_words_are_kept_by_a_reference_that_says_nothing_of_them(open_store: Open) -> None:
    store = open_store()
    with store.write() as tx:
        first, again = tx.words.put("support", "a fix is due"), tx.words.put("support", "a fix is due")
    assert first != again, "whoever knows the text cannot tell that it was said"
    with open_store().read() as tx:
        kept = tx.words.get(first)
        assert kept is not None
        assert (kept.use_case, kept.text, len(kept.salt)) == ("support", "a fix is due", 32)
        assert first == f"words:{hashlib.sha256(kept.salt + kept.text.encode()).hexdigest()}"
        assert [one.reference for one in tx.words.all()] == sorted([first, again])
    with store.write() as tx:
        assert tx.words.erase(first)
        assert not tx.words.erase(first)
    with store.read() as tx:
        assert tx.words.get(first) is None
        assert tx.words.get(again) is not None


def test_results_are_kept_as_first_written(store: Store) -> None:
    with store.write() as tx:
        tx.results.put("run", "case1", {"reply": "a", "scores": [1, None]})
        tx.results.put("run", "case1", {"reply": "b"})
        tx.results.put("run", "case2", {})
    with store.read() as tx:
        assert tx.results.get("run") == {"case1": {"reply": "a", "scores": [1, None]}, "case2": {}}
        assert tx.results.get("other") == {}


def test_secrets_are_made_once_for_everybody(open_store: Open) -> None:
    one, other = open_store(), open_store()
    assert len(one.secret("mac")) == 32
    assert one.secret("mac") == other.secret("mac") == one.secret("mac")
    assert one.secret("unit") != one.secret("mac")


def test_a_failed_transaction_leaves_nothing(open_store: Open) -> None:
    store = open_store()
    with contextlib.suppress(Conflict), store.write() as tx:
        tx.use_cases.put(registered())
        tx.ledger.append(entry(1, NOBODY))
        tx.statuses.put(status(7))
        pytest.fail("a status was written over a version that is not there")
    with open_store().read() as tx:
        assert tx.use_cases.names() == []
        assert tx.ledger.head() == (0, NOBODY)


def test_a_read_sees_one_moment_and_refuses_to_write(open_store: Open) -> None:
    here, there = open_store(), open_store()
    with here.write() as tx:
        tx.use_cases.put(registered())
    with here.read() as reading:
        assert reading.use_cases.names() == ["support"]
        with there.write() as tx:
            tx.use_cases.put(registered("adverts"))
            tx.statuses.put(status(1))
        assert reading.use_cases.names() == ["support"]
        assert reading.statuses.all() == []
        with pytest.raises(RuntimeError, match=r"store\.write\(\)"):
            reading.blobs.put(b"x")
    with here.read() as tx:
        assert tx.use_cases.names() == ["adverts", "support"]


def test_nothing_can_be_read_after_a_transaction_has_ended(store: Store) -> None:
    with store.write() as tx:
        tx.ledger.append(entry(1, NOBODY))
    with store.read() as tx:
        late = tx.ledger.read()
    with pytest.raises(RuntimeError, match="has ended"):
        next(late)
    with pytest.raises(RuntimeError, match="has ended"):
        tx.ledger.head()


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(RuntimeError, match="closed"), store.read():
        pass


def test_threads_share_one_handle(store: Store) -> None:
    """Each thread moves one status a step at a time and writes a ledger entry with it; conflicts are retried."""
    faults: list[BaseException] = []
    reads = 0

    def work() -> None:
        nonlocal reads
        try:
            for _ in range(10):
                with store.write() as tx:
                    found = tx.statuses.get("support")
                    tx.statuses.put(status(found.version + 1 if found else 1))
                    seq, digest = tx.ledger.head()
                    tx.ledger.append(entry(seq + 1, digest))
                with store.read() as tx:
                    after = tx.statuses.get("support")
                    assert after is not None
                    assert tx.ledger.head()[0] == after.version
                reads += 1
        except BaseException as fault:  # noqa: BLE001 (handed to the test's own thread)
            faults.append(fault)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with store.read() as tx:
        assert tx.ledger.head()[0] == 60


def test_one_policy_is_in_force(store: Store) -> None:
    with store.read() as tx:
        assert tx.policies.get() is None
    first = Policy(spec={"name": "T"}, file="d" * 64, author="local:zoe", at=5)
    for policy in (first, msgspec.structs.replace(first, at=6)):
        with store.write() as tx:
            tx.policies.put(policy)
        with store.read() as tx:
            assert tx.policies.get() == policy


def test_erased_units_are_named_until_they_are_closed(store: Store) -> None:
    made = [Erasure("support", "u1", "p1", 10), Erasure("support", "u2", "p2", 20), Erasure("shop", "u1", "p3", 30)]
    with store.write() as tx:
        for erasure in made:
            tx.erasures.put(erasure)
    with store.write() as tx:
        assert tx.erasures.open() == made
        tx.erasures.close(20)
    with store.read() as tx:
        assert tx.erasures.open() == made[1:]
        assert (tx.erasures.count("support"), tx.erasures.count("shop"), tx.erasures.count("x")) == (2, 1, 0)
