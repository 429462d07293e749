"""The organisation's rules: what they catch, whatever a use case tries, and what they ask of every gate."""

from __future__ import annotations

import base64
import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pilotage.access import Actor, Role
from pilotage.clock import DAY, HOUR, FrozenClock
from pilotage.errors import Conflict, Denied, FaultyFile, NotFound, Tampered
from pilotage.governance.commands import Context, run
from pilotage.governance.organisation import refuse_breaches
from pilotage.spec.folder import Folder
from pilotage.spec.load import load
from pilotage.spec.organisation_file import read
from pilotage.spec.route import Route
from pilotage.spec.snapshot import releases
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

ADMIN = Actor(id="local:root", roles=(Role.ADMIN,))
ADA = Actor(id="key:a", roles=(Role.OPERATE, Role.APPROVE), person="ada")
GRACE = Actor(id="key:g", roles=(Role.OPERATE, Role.APPROVE), person="grace")
HENRY = Actor(id="key:h", roles=(Role.APPROVE,), person="henry")
RULES = """
name = "Tarnwick"
forbidden = ["employment"]

[objectives.care]
says = "Answers at once"

[people.grace]
roles = ["risk"]
[people.henry]

[on_call]
"Ada" = ["henry"]

[providers.mistral]
region = "eu"
requests_a_second = 10
[providers.far]
hosts = ["api.far.example"]
region = "us"

[data.personal]
regions = ["eu"]
retention = "redacted"
retain_for = 30
[data.public]

[limits]
a_day = 20
evidence_for = "30d"
approvals_for = "14d"
risk_appetite = 9

[tiers.minimal.gates.staging]
security = { at_most = 0.05 }
[tiers.minimal]
approvals = { canary = 1 }
approvers = { canary = ["risk"] }
require = ["purpose"]
"""
FILE = """
name = "support"
owner = "Ada"
purpose = "Customers get answers."
tier = "minimal"
status_quo = "faq"
candidate = "model"

[assessment]
employment = false

[goals.resolved]
today = 0.5
minimum_effect = 0.02
objective = "care"

[traffic]
new_units_a_day = 100
peak_requests_a_second = 4

[budget]
a_day = 12

[data]
personal_data = true

[upstreams.m]
provider = "mistral"

[upstreams.u]
base_url = "https://api.far.example/v1"

[variants.faq]
upstream = "search"
knowledge = ["a.md"]

[variants.model]
upstream = "m"
model = "small"
price = { input = 0.1, output = 0.3 }
"""


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        yield Context(store, FrozenClock())


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def do(context: Context, command: str, actor: Actor = ADA, /, **arguments: Any) -> dict[str, Any]:
    return run(context, actor, command, arguments)


def apply(context: Context, text: str | bytes = FILE, actor: Actor = ADA) -> dict[str, Any]:
    return do(context, "apply", actor, files={"usecase.toml": encoded(text), "a.md": encoded("# A\n\nB.\n")})


def rule(context: Context, text: str = RULES) -> dict[str, Any]:
    return do(context, "policy_apply", ADMIN, file=encoded(text))


def faults(context: Context, text: str | bytes) -> str:
    with pytest.raises(FaultyFile) as caught:
        apply(context, text)
    return "\n".join(caught.value.faults)


def proved(context: Context, measure: str, low: float, high: float) -> None:
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(1)
    status = do(context, "status", use_case="support")["use_cases"][0]
    told = {"use_case": "support", "release": status["candidate"], "baseline": status["live"], "n": 100}
    do(context, "record_evidence", measure=measure, value=low, low=low, high=high, method="t", data="d", **told)


def gate(context: Context) -> dict[str, dict[str, Any]]:
    lines = do(context, "promote", use_case="support", dry_run=True)["gate"]["criteria"]
    return {line["name"]: line for line in lines}


def to_staging(context: Context) -> None:
    rule(context)
    apply(context)
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    proved(context, "security", 0.0, 0.04)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)


def test_a_use_case_that_keeps_every_rule_is_registered(context: Context) -> None:
    assert rule(context)["breaches"] == {}
    apply(context)
    assert gate(context)["policy"]["verdict"] == "pass"
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('upstream = "m"', 'upstream = "u"', "stays within eu, and far is in us"),
        ('provider = "mistral"', 'provider = "openai"', "api.openai.com is not a provider that may be used"),
        # A name that is allowed in front of an address that is not.
        ('provider = "mistral"', 'provider = "mistral"\nbase_url = "https://evil.example/v1"', "evil.example is not"),
        ('provider = "mistral"', 'base_url = "https://api.mistral.ai.evil.example/v1"', "is not a provider"),
        ('provider = "mistral"', 'base_url = "https://API.FAR.EXAMPLE.:443/v1"', "and far is in us"),
        ('provider = "mistral"', 'base_url = "https://api.mistr\\u0430l.ai/v1"', "xn--.* is not a provider"),
        ("personal_data = true", 'classes = ["secret"]', "'secret' is not one that the organisation knows"),
        ("personal_data = true", "", "does not say which classes of data"),
        ("personal_data = true", 'personal_data = true\nretention = "full"', "at most 'redacted' may be kept"),
        ("personal_data = true", 'personal_data = true\nretention = "redacted"\nretain_for = 60', "kept 30 days"),
        ("a_day = 12", "a_day = 21", "above the 20 EUR"),
        ("a_day = 12", "a_month = 10", "budget.a_day is not set"),
        ("a_day = 12", 'a_day = 12\ncurrency = "IDR"', "the organisation's limits are in EUR"),
        ("employment = false", "employment = true", "organisation rules out"),
        ("employment = false", 'reasons = "x"', "employment is not answered"),
        ("employment = false", "employment = false\nmanipulates = true", "Article 5 of the AI Act prohibits"),
        ("employment = false", "employment = false\neducation = true", "makes it 'high'"),
        ("employment = false", "employment = false\ntalks_with_people = true", "'limited' at least"),
        ('objective = "care"', 'objective = "growth"', "'growth' is no objective"),
        ('objective = "care"', "", "serves no objective"),
        ("[goals.resolved]", "[gates.staging]\nsecurity = { at_most = 0.5 }\n[goals.resolved]", "looser than"),
        ("[goals.resolved]", "[gates.staging]\nsecurity = { at_least = 0.0 }\n[goals.resolved]", "looser than"),
        ('tier = "minimal"', 'tier = "minimal"\nrisk_appetite = 25', "and the organisation's is 9"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_both_lines(context: Context, old: str, new: str, says: str) -> None:
    rule(context)
    assert old in FILE
    found = faults(context, FILE.replace(old, new, 1))
    assert re.search(says, found), found
    assert found.startswith("usecase.toml:")
    assert "organisation.toml:" in found or "AI Act" in found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('include = "loose.toml"\n' + FILE, "unknown key 'include'"),
        (FILE + "\n[budget]\na_day = 1000\n", "Cannot declare|cannot declare"),
        (FILE.replace("a_day = 12", "a_day = 12\na_day = 1000"), "verwrite"),
        (FILE.replace("a_day = 12", 'a_day = 12\n"a_day" = 1000'), "verwrite"),
        (FILE.replace("a_day = 12", '"a\\u005fday" = 1000'), "above the 20 EUR"),
        (FILE.replace("[budget]", "budget.a_day = 1000\n[budget]"), "."),
        (FILE.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf" + FILE.replace("a_day = 12", "a_day = 1000").encode(), "above the 20 EUR"),
        (FILE.replace("a_day = 12", "a_day = inf"), "finite|below"),
        (FILE.replace("a_day = 12", "a_day = nan"), "finite|above|number"),
        (FILE + '\n[organisation]\nname = "mine"\n', "unknown key"),
    ],
)
def test_no_trick_of_the_file_loosens_a_rule(context: Context, text: str | bytes, says: str) -> None:
    rule(context)
    found = faults(context, text)
    assert re.search(says, found), found
    with context.store.read() as tx:
        assert tx.use_cases.names() == []


def test_rules_that_come_later_close_gates_and_bar_what_serves(context: Context) -> None:
    apply(context, FILE.replace('upstream = "m"', 'upstream = "u"'))
    assert "policy" not in gate(context)
    found = rule(context)["breaches"]["support"]
    assert "usecase.toml:" in found[0]
    assert "organisation.toml:" in found[0]
    line = gate(context)["policy"]
    assert (line["verdict"], "far is in us" in line["says"]) == ("fail", True)
    with context.store.read() as tx:
        (row,) = tx.serving.changed(0)
    assert b'"barred":{"support/model@' in row.body
    assert do(context, "ledger_verify", ADMIN)["ok"] is True
    rule(context, 'name = "Tarnwick"\n')
    assert gate(context)["policy"]["verdict"] == "pass"


@pytest.mark.parametrize(("retention", "caches"), [("none", False), ("redacted", False), ("full", True)])
def test_what_may_not_be_kept_as_it_is_may_not_be_kept_in_memory_either(
    context: Context, retention: str, caches: bool
) -> None:
    apply(context, FILE)
    rule(context, RULES.replace('retention = "redacted"', f'retention = "{retention}"'))
    with context.store.read() as tx:
        (row,) = tx.serving.changed(0)
    route = msgspec.json.decode(row.body, type=Route)
    assert route.caches == caches


def test_only_an_administrator_sets_rules_and_faults_set_none(context: Context) -> None:
    with pytest.raises(Denied):
        do(context, "policy_apply", ADA, file=encoded(RULES))
    with pytest.raises(FaultyFile) as caught:
        rule(context, RULES + '\n[provders]\n[people.x]\nroles = "a"\n')
    assert len(caught.value.faults) == 2
    with pytest.raises(NotFound):
        do(context, "policy_show", ADA)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "T"\nwaivable = ["security"]', "no tier of this file bounds"),
        ('name = "T"\nforbidden = ["spying"]', "no question"),
        ('name = "T"\n[on_call]\n"A" = ["bob"]', "nobody under"),
        ('name = "T"\n[providers.x]', "hosts are needed"),
        ('name = "T"\n[providers.x]\nhosts = ["a.b"]\n[providers.y]\nhosts = ["A.B."]', "already that of 'x'"),
        ('name = "T"\n[data.personal]\nproviders = ["z"]', "not under"),
        ('name = "T"\n[tiers.low]', "tiers.low"),
    ],
)
def test_faults_of_the_rules_themselves_are_told_by_line(text: str, says: str) -> None:
    with pytest.raises(FaultyFile) as caught:
        read(text.encode())
    assert says in "\n".join(caught.value.faults)
    assert caught.value.faults[0].startswith("organisation.toml:")
    assert "usecase.toml" not in caught.value.faults[0]


# Evidence, approvals, waivers.


def test_stale_evidence_is_missing_evidence(context: Context) -> None:
    rule(context)
    apply(context)
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    proved(context, "security", 0.0, 0.04)
    assert {line["verdict"] for line in gate(context).values()} == {"pass"}
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(30 * DAY + 1)
    lines = gate(context)
    assert lines["security"]["verdict"] == "missing"
    assert "too old to count" in lines["security"]["says"]


def test_the_organisations_approver_must_be_among_them(context: Context) -> None:
    to_staging(context)
    do(context, "approve", HENRY, use_case="support")
    line = gate(context)["approvals"]
    assert (line["verdict"], "risk (grace)" in line["says"]) == ("missing", True)
    do(context, "approve", GRACE, use_case="support")
    assert gate(context)["approvals"]["verdict"] == "pass"


def test_an_approval_ends_and_a_clock_set_back_brings_it_to_life_no_more(context: Context) -> None:
    to_staging(context)
    do(context, "approve", GRACE, use_case="support", lasts=HOUR)
    assert isinstance(context.clock, FrozenClock)
    begun = context.clock.at
    context.clock.advance(HOUR)
    assert gate(context)["approvals"]["verdict"] == "missing"
    do(context, "record_evidence", use_case="support", release=do(context, "status")["use_cases"][0]["candidate"],
       measure="tone", value=1, low=1, high=1, n=1, method="t", data="d")  # fmt: skip
    context.clock.at = begun
    assert gate(context)["approvals"]["verdict"] == "missing"
    # Nor does it once something was entered under the clock as it is now.
    do(context, "keys_create", ADMIN, name="later", roles=["infer"])
    assert gate(context)["approvals"]["verdict"] == "missing"
    with pytest.raises(Conflict):
        do(context, "approve", GRACE, use_case="support", stage="production")


def test_new_evidence_voids_what_was_approved_on_the_old(context: Context) -> None:
    to_staging(context)
    do(context, "approve", GRACE, use_case="support")
    assert gate(context)["approvals"]["verdict"] == "pass"
    proved(context, "tone", 0.5, 0.6)
    assert gate(context)["approvals"]["verdict"] == "pass", "no gate reads it"
    proved(context, "replay_errors", 0.0, 0.015)
    assert gate(context)["approvals"]["verdict"] == "missing"


def test_a_yes_can_be_withdrawn_by_whoever_gave_it(context: Context) -> None:
    to_staging(context)
    do(context, "approve", GRACE, use_case="support")
    with pytest.raises(NotFound):
        do(context, "withdraw", HENRY, use_case="support")
    do(context, "withdraw", GRACE, use_case="support", reason="read it again")
    assert gate(context)["approvals"]["verdict"] == "missing"
    do(context, "approve", GRACE, use_case="support")
    assert gate(context)["approvals"]["verdict"] == "pass"
    do(context, "withdraw", ADMIN, use_case="support")
    assert gate(context)["approvals"]["verdict"] == "missing"
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


def actor(context: Context, made: dict[str, Any]) -> Actor:
    from pilotage import access

    with context.store.read() as tx:
        key = tx.keys.get(made["id"])
    assert key is not None
    return access.actor_of(key)


def key(context: Context, maker: Actor, person: str = "", *roles: str) -> Actor:
    told = {"name": person or "k", "roles": list(roles or ("admin",)), "person": person}
    return actor(context, do(context, "keys_create", maker, **told))


def test_whoever_makes_keys_cannot_approve_with_a_second_one(context: Context) -> None:
    author = key(context, ADMIN, "ada")
    apply(context, actor=author)
    second, disguised = key(context, author), key(context, author, "grace")
    behind = key(context, disguised, "henry")
    for one in (author, second, disguised, behind):
        with pytest.raises(Denied, match="nobody approves what they registered"):
            do(context, "approve", one, use_case="support")
    # Whoever handed the author the key could be the author.
    with pytest.raises(Denied, match="nobody approves"):
        do(context, "approve", ADMIN, use_case="support")
    assert do(context, "approve", key(context, ADMIN, "grace"), use_case="support")["given"] == 1


def test_two_keys_of_one_hand_are_one_person(context: Context) -> None:
    author = key(context, ADMIN, "ada")
    apply(context, FILE + "\n[approvals]\npoc = 2\n", actor=author)
    grace = key(context, ADMIN, "grace")
    assert do(context, "approve", grace, use_case="support")["given"] == 1
    with pytest.raises(Denied, match="grace has approved this already"):
        do(context, "approve", key(context, grace), use_case="support")
    assert do(context, "approve", key(context, grace, "henry"), use_case="support")["given"] == 1
    assert do(context, "approve", key(context, ADMIN, "ivy"), use_case="support")["given"] == 2
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


def test_a_waiver_says_who_why_and_until_when_and_ends(context: Context) -> None:
    text = FILE + "\n[gates.staging]\ntone = { at_least = 0.9 }\n"
    rule(context)
    apply(context, text)
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    proved(context, "security", 0.0, 0.04)
    proved(context, "tone", 0.5, 0.6)
    with pytest.raises(Denied):
        do(context, "waive", ADA, use_case="support", criterion="tone", reason="mine")
    for criterion in ("policy", "security", "approvals", "nothing"):
        with pytest.raises(Conflict):
            do(context, "waive", GRACE, use_case="support", criterion=criterion, reason="no")
    do(context, "waive", GRACE, use_case="support", criterion="tone", reason="re-worded next week", lasts=DAY)
    line = gate(context)["tone"]
    assert line["verdict"] == "waived"
    assert "Waived by grace until" in line["says"]
    assert "re-worded next week" in line["says"]
    proved(context, "tone", 0.4, 0.5)
    assert gate(context)["tone"]["verdict"] == "fail", "it was waived on other evidence"
    do(context, "waive", GRACE, use_case="support", criterion="tone", reason="again", lasts=DAY)
    assert isinstance(context.clock, FrozenClock)
    context.clock.advance(DAY)
    assert gate(context)["tone"]["verdict"] == "fail"
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


# Risks, and the last gate.


def test_an_untreated_risk_above_the_appetite_closes_the_gate(context: Context) -> None:
    risk = '\n[risks.wrong]\nsays = "A wrong answer"\nlikelihood = 3\nimpact = 3\n'
    apply(context, FILE + risk)
    assert gate(context)["risks"]["verdict"] == "fail"
    apply(context, FILE + risk + 'treated_by = ["goals.resolved"]\n')
    assert gate(context)["risks"]["verdict"] == "pass"
    assert "names 'goals.reslved'" in faults(context, FILE + risk + 'treated_by = ["goals.reslved"]\n')


def test_production_takes_somebody_on_call_and_quota_for_every_peak(context: Context) -> None:
    from pilotage.decision.gate import gate as judge
    from pilotage.governance.organisation import rules_of
    from pilotage.governance.standing import standing
    from pilotage.status import Stage

    def lines() -> dict[str, str]:
        with context.store.read() as tx:
            stands = standing(tx, "support")
            rules = rules_of(tx, stands.registered, stands.spec)
        found = judge(stands.spec, stands.status, Stage.PRODUCTION, evidence=[], approvals=[], now=0, rules=rules)
        return {line.name: str(line.verdict) for line in found.criteria if line.name in ("on_call", "quota-mistral")}

    rule(context)
    apply(context)
    assert lines() == {"on_call": "pass", "quota-mistral": "pass"}
    second = FILE.replace('"support"', '"second"').replace("_second = 4", "_second = 7")
    apply(context, second)
    assert lines() == {"on_call": "pass", "quota-mistral": "fail"}
    do(context, "retire", use_case="second")
    assert lines()["quota-mistral"] == "pass"
    rule(context, RULES.replace('"Ada" =', '"Bob" ='))
    assert lines()["on_call"] == "missing"


def test_the_portfolio_is_the_inventory_and_rolls_up_by_objective(context: Context) -> None:
    rule(context, RULES.replace('says = "Answers at once"', 'says = "Answers at once"\na_month = 5'))
    apply(context)
    found = do(context, "portfolio")
    (objective,), (one,) = found["objectives"], found["use_cases"]
    assert (objective["objective"], objective["use_cases"], objective["a_month"]) == ("care", ["support"], 5)
    assert objective["spent"] is None, "nobody can read the events here"
    assert one["providers"] == [{"provider": "mistral", "region": "eu"}, {"provider": "search", "region": "here"}]
    assert one["data"] == {"classes": ["personal"], "retention": "none", "retain_for": 30}
    assert (one["on_call"], one["purpose"], one["breaches"]) == (["henry"], "Customers get answers.", [])
    assert one["goals"][0]["objective"] == "care"


def test_an_expired_key_stays_dead_though_the_clock_is_set_back(context: Context) -> None:
    from pilotage.governance.keys import end_expired

    assert isinstance(context.clock, FrozenClock)
    begun = context.clock.at
    do(context, "keys_create", ADMIN, name="brief", roles=["infer"], expires=begun + HOUR)
    lasting = do(context, "keys_create", ADMIN, name="lasting", roles=["infer"])
    assert end_expired(context) == 0
    context.clock.advance(HOUR)
    assert end_expired(context) == 1
    assert end_expired(context) == 0
    context.clock.at = begun
    assert [one["id"] for one in do(context, "keys_list", ADMIN)["keys"]] == [lasting["id"]]
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


def test_a_replayed_approval_is_worth_nothing(context: Context) -> None:
    import msgspec

    to_staging(context)
    do(context, "approve", GRACE, use_case="support")
    with context.store.read() as tx:
        (given,) = tx.approvals.of("support")
    apply(context, FILE.replace('model = "small"', 'model = "large"'))
    do(context, "promote", use_case="support")
    proved(context, "quality_difference", 0.1, 0.2)
    proved(context, "security", 0.0, 0.04)
    do(context, "promote", use_case="support")
    proved(context, "replay_errors", 0.0, 0.01)
    assert gate(context)["approvals"]["verdict"] == "missing", "it was for another release"
    candidate = do(context, "status", use_case="support")["use_cases"][0]["candidate"]
    with context.store.write() as tx:
        tx.approvals.put(msgspec.structs.replace(given, id="again", release=candidate))
    assert gate(context)["approvals"]["verdict"] == "missing", "it was on other evidence"
    with pytest.raises(Tampered, match="no entry tells of approval again"):
        do(context, "ledger_verify", ADMIN)


def test_the_examples_rules_are_kept_by_the_example() -> None:
    examples = Path(__file__).parents[2] / "examples"
    folder = Folder.read(examples / "support")
    spec = load(folder)
    rules = read((examples / "organisation.toml").read_bytes())
    refuse_breaches(rules.organisation, spec, releases(spec, folder, lambda _: ""), folder, rules.where)
