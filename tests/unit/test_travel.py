"""Evidence between two workspaces: what is signed by a trusted place counts, and nothing else does."""

from __future__ import annotations

import base64
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.unit.test_commands import ADMIN, ANOTHER_GOAL, ANOTHER_MODEL, OTHER, actions, do, folder

from pilotage.clock import HOUR, FrozenClock
from pilotage.errors import NotFound, Refused, Tampered, WrongCall
from pilotage.governance.bundle import PAYLOAD_TYPE, Measured, Statement, pae, seal, unseal
from pilotage.governance.checkpoint import verifier
from pilotage.governance.commands import Context
from pilotage.governance.travel import SIGNER
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 24 * HOUR
SEED = bytes(range(32))


class Places:
    """Continuous integration, where it is measured, and production, where it counts."""

    def __init__(self, path: Path) -> None:
        self.clock = FrozenClock()
        self.stores = [SqliteStore(path / f"{name}.db") for name in ("ci", "production")]
        self.ci, self.production = (Context(store, self.clock) for store in self.stores)
        self.candidate = ""
        for context in (self.ci, self.production):
            self.candidate = do(context, "apply", **folder())["candidate"]

    def measure(self, measure: str = "quality", value: float = 0.8, **more: Any) -> str:
        figures = {
            "value": value,
            "low": value - 0.1,
            "high": value + 0.1,
            "n": 300,
            "method": "test",
            "data": "d" * 64,
        }
        told = {"use_case": "support", "release": self.candidate, "measure": measure, **figures, **more}
        return str(do(self.ci, "record_evidence", **told)["id"])

    def trust(self, *measures: str, key: str = "") -> None:
        rules = f'name = "Acme"\n[evidence_from.ci]\nkey = "{key or do(self.ci, "evidence_key")["key"]}"\n'
        rules += f"measures = {json.dumps(measures)}\n"
        do(self.production, "policy_apply", ADMIN, file=base64.b64encode(rules.encode()).decode())

    def bundle(self) -> str:
        return str(do(self.ci, "evidence_export", use_case="support")["bundle"])

    def take(self, bundle: str) -> dict[str, Any]:
        return do(self.production, "evidence_import", OTHER, use_case="support", bundle=bundle)

    def here(self) -> list[dict[str, Any]]:
        return list(do(self.production, "evidence", use_case="support")["evidence"])


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    made = Places(tmp_path)
    with closing(made.stores[0]), closing(made.stores[1]):
        yield made


def altered(bundle: str, old: str, new: str) -> str:
    """Return the envelope with other words in its payload, under the old signature."""
    envelope = json.loads(bundle)
    payload = base64.b64decode(envelope["payload"]).decode()
    assert old in payload
    return json.dumps({**envelope, "payload": base64.b64encode(payload.replace(old, new).encode()).decode()})


def test_what_is_signed_is_what_the_standard_says() -> None:
    # The example of DSSE's protocol.md.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    statement = Statement(subject=(), predicate=Measured(use_case="a", charter="b", at=1, facts=()))
    envelope = json.loads(seal(statement, SEED, SIGNER))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    payload = json.loads(base64.b64decode(envelope["payload"]))
    assert (payload["_type"], payload["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "urn:pilotage:evidence:v1",
    )
    assert unseal(json.dumps(envelope), {"ci": verifier(SEED, SIGNER)}) == ("ci", statement)


def test_evidence_of_a_trusted_place_counts_and_the_gate_says_where_it_was_made(places: Places) -> None:
    fact = places.measure()
    places.trust()
    result = places.take(places.bundle())
    assert (result["from"], result["added"], result["there_already"]) == ("ci", 1, 0)
    (taken,) = places.here()
    assert (taken["id"], taken["origin"], taken["counts"]) == (fact, "ci", True)
    assert actions(places.production).count("evidence") == 1
    assert do(places.production, "ledger_verify", ADMIN)["ok"] is True
    again = places.take(places.bundle())
    assert (again["added"], again["there_already"]) == (0, 1)
    do(places.production, "promote", use_case="support")
    gate = do(places.production, "promote", use_case="support", dry_run=True)["gate"]
    lines = [one["says"] for one in gate["criteria"] if one["name"] == "quality"]
    assert all("measured at ci" in line for line in lines)
    # What came from elsewhere is not signed as if it had been measured here.
    with pytest.raises(NotFound, match="nothing was measured here"):
        do(places.production, "evidence_export", use_case="support")


def test_an_older_bundle_does_not_outdo_what_came_since(places: Places) -> None:
    places.trust()
    places.measure(value=0.9)
    older = places.bundle()
    places.clock.advance(HOUR)
    newer_id = places.measure(value=0.4)
    places.take(places.bundle())
    places.take(older)
    newest = max(places.here(), key=lambda fact: fact["at"])
    assert newest["id"] == newer_id
    assert len(places.here()) == 2


def test_nobody_is_trusted_unless_the_rules_say_so(places: Places) -> None:
    places.measure()
    with pytest.raises(Tampered, match="no key that the rules trust"):
        places.take(places.bundle())
    places.trust(key=str(verifier(SEED, SIGNER)))
    with pytest.raises(Tampered, match="no key that the rules trust"):
        places.take(places.bundle())
    assert places.here() == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"value":0.8', '"value":0.9'),
        ('"n":300', '"n":900'),
        ('"use_case":"support"', '"use_case":"another"'),
        ('"measure":"quality"', '"measure":"security"'),
        ("support/model@", "support/other@"),
        ('"sha256":"', '"sha256":"0'),
    ],
)
def test_what_was_altered_is_found(places: Places, old: str, new: str) -> None:
    places.measure()
    places.trust()
    with pytest.raises(Tampered, match="is not what ci signed"):
        places.take(altered(places.bundle(), old, new))
    assert places.here() == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no bundle"),
        ("[]", "no bundle"),
        ("{" * 5000, "no bundle"),
        ('{"payload": "", "payload": "", "payloadType": "x", "signatures": []}', "stands twice"),
        ('{"payload": "", "payloadType": "text/plain", "signatures": []}', "not application/vnd.in-toto"),
        (
            '{"payload": "!", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "!"}]}',
            "no key that",
        ),
    ],
)
def test_what_is_no_bundle_is_said(places: Places, text: str, says: str) -> None:
    places.trust()
    with pytest.raises((WrongCall, Tampered), match=says):
        places.take(text)


def test_a_trusted_place_is_trusted_only_for_what_it_was_asked(places: Places) -> None:
    places.measure("quality")
    places.measure("security", 0.2)
    places.trust("quality")
    with pytest.raises(Refused, match="ci may not vouch for security"):
        places.take(places.bundle())
    assert places.here() == []  # not even what it may vouch for: all or nothing


@pytest.mark.parametrize(
    ("apply", "says"),
    [(ANOTHER_GOAL, "it was measured for charter"), (ANOTHER_MODEL, "is not registered here|was measured for charter")],
)
def test_what_differs_here_does_not_take_it(places: Places, apply: tuple[str, str], says: str, tmp_path: Path) -> None:
    places.measure()
    places.trust()
    with closing(SqliteStore(tmp_path / "third.db")) as store:
        third = Context(store, places.clock)
        do(third, "apply", **folder(one=apply))
        rules = f'name = "Acme"\n[evidence_from.ci]\nkey = "{do(places.ci, "evidence_key")["key"]}"\n'
        do(third, "policy_apply", ADMIN, file=base64.b64encode(rules.encode()).decode())
        with pytest.raises(Refused, match=says):
            do(third, "evidence_import", OTHER, use_case="support", bundle=places.bundle())


def test_too_old_and_too_new_do_not_count(places: Places) -> None:
    places.trust()
    here, places.ci = places.ci, Context(places.stores[0], FrozenClock(places.clock.now() + HOUR))
    places.measure("security", 0.5)
    with pytest.raises(Refused, match="security was measured in the future"):
        places.take(places.bundle())
    places.ci = here
    places.clock.advance(92 * DAY)
    with pytest.raises(Refused, match="security is too old to count"):
        places.take(places.bundle())
    assert places.here() == []


def test_one_id_is_one_fact(places: Places) -> None:
    places.trust(key=str(verifier(SEED, SIGNER)))
    places.measure()
    statement = msgspec.json.decode(base64.b64decode(json.loads(places.bundle())["payload"]), type=Statement)
    places.take(seal(statement, SEED, SIGNER))
    (fact,) = statement.predicate.facts
    for changed, says in (
        ({"value": 0.75}, "says something else"),
        ({"low": 1.5}, "no proper interval"),
        ({"origin": "elsewhere"}, "was not measured by ci"),
        ({"charter": "0" * 12}, "was not measured by ci"),
        ({"release": "support/faq@000000000000"}, "not among its subjects"),
    ):
        lied = msgspec.structs.replace(fact, **changed)
        other = msgspec.structs.replace(
            statement, predicate=msgspec.structs.replace(statement.predicate, facts=(lied,))
        )
        with pytest.raises((Refused, Tampered, WrongCall), match=says):
            places.take(seal(other, SEED, SIGNER))
    assert len(places.here()) == 1


def test_a_statement_of_another_kind_is_none_even_when_trusted(places: Places) -> None:
    places.trust(key=str(verifier(SEED, SIGNER)))
    told = Measured(use_case="support", charter="b", at=1, facts=())
    other = Statement(subject=(), predicate=told, predicate_type="https://slsa.dev/provenance/v1")
    with pytest.raises(WrongCall, match="of another kind"):
        places.take(seal(other, SEED, SIGNER))
    assert PAYLOAD_TYPE in seal(other, SEED, SIGNER)
