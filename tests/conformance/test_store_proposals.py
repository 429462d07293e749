"""Proposed cases, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pilotage.errors import Conflict
from pilotage.records import Proposal
from pilotage.store.base.transaction import Store


def proposal(name: str, at: int = 1, *, unit: str = "u1", use_case: str = "support") -> Proposal:
    case = {"id": name, "text": "Where is it?", "required": [["there"]]}
    return Proposal(id=name, use_case=use_case, inference="0a", unit=unit, at=at, actor="key:a", case=case)


def test_they_come_back_oldest_first_by_use_case(store: Store) -> None:
    with store.write() as tx:
        for made in (proposal("b", 2), proposal("a", 3), proposal("c", 1), proposal("b", 1, use_case="other")):
            tx.proposals.add(made)
    with store.read() as tx:
        assert tx.proposals.of("support") == [proposal("c", 1), proposal("b", 2), proposal("a", 3)]
        assert tx.proposals.use_cases() == ["other", "support"]
        assert tx.proposals.of("nobody") == []


def test_an_id_names_one_case_of_a_use_case(store: Store) -> None:
    with store.write() as tx:
        tx.proposals.add(proposal("a"))
    with pytest.raises(Conflict, match="'a' already"), store.write() as tx:
        tx.proposals.add(proposal("a", 9))


def test_they_go_by_name_by_unit_and_by_age(store: Store) -> None:
    with store.write() as tx:
        for at, name in enumerate("abcdef"):
            tx.proposals.add(proposal(name, at, unit="u2" if name in "bc" else "" if name == "f" else "u1"))
        assert tx.proposals.remove("support", ["a", "z"]) == ["a"]
        assert tx.proposals.forget("support", "u2") == 2
        assert tx.proposals.forget("support", "") == 0, "no unit is nobody's"
        assert tx.proposals.expire("support", 4) == 1
        assert [one.id for one in tx.proposals.of("support")] == ["e", "f"]


def test_what_is_gone_is_in_no_file(open_store: Callable[[], Store], tmp_path: Path) -> None:
    store = open_store()
    with store.write() as tx:
        tx.proposals.add(proposal("a-name-like-no-other"))
    with store.write() as tx:
        tx.proposals.remove("support", ["a-name-like-no-other"])
    held = [path for path in tmp_path.rglob("*") if path.is_file() and b"a-name-like-no-other" in path.read_bytes()]
    assert held == []
