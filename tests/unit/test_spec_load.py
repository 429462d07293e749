import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pilotage.clock import HOUR
from pilotage.errors import FaultyFile
from pilotage.spec import snapshot
from pilotage.spec.folder import Folder
from pilotage.spec.load import load
from pilotage.spec.use_case import UseCase

TEN_LINES = """\
name = "support"
owner = "Jane Doe"

[variants.assistant]
upstream = "openai"
model = "gpt-4o-mini"
"""


def folder(text: str | bytes, files: dict[str, str | bytes] | None = None) -> Folder:
    given = {"usecase.toml": text, **(files or {})}
    return Folder({path: data if isinstance(data, bytes) else data.encode() for path, data in given.items()})


def faults(text: str | bytes, files: dict[str, str | bytes] | None = None) -> list[str]:
    with pytest.raises(FaultyFile) as caught:
        load(folder(text, files))
    return list(caught.value.faults)


def test_ten_lines_are_enough() -> None:
    use_case = load(folder(TEN_LINES))
    assert (use_case.name, use_case.status_quo, use_case.candidate) == ("support", "assistant", None)


def test_plain_data_made_of_a_use_case_reads_back() -> None:
    text = TEN_LINES + (
        "[goals.speed]\nkind = 'duration'\nhigh = 90\nmatures_after = '1.5s'\n[rollout]\nsteps=[{share=1,demands=['hold 6h']}]"
    )
    use_case = load(folder(text))
    again = UseCase.model_validate(use_case.model_dump(mode="json"))
    assert again == use_case
    assert again.charter == use_case.charter


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    assert load(folder(b"\xef\xbb\xbf" + TEN_LINES.replace("\n", "\r\n").encode())).name == "support"


def test_every_fault_is_reported_at_once_with_its_line() -> None:
    text = """\
nam = "Support"
owner = 5
tier = "lmited"
status_quo = "serch"
[goals.resolved]
today = 1.5
margin = 1
[goals.Bad]
target = "x"
[guardrails.resolved]
matures_after = "6 hours"
[guardrails.errors]
[budget]
currency = "euro"
[upstreams.openai]
[upstreams.mine]
base_url = "http://user:pass@host/v1"
[variants.search]
upstream = "search"
model = "m"
[variants.a]
upstream = "opnai"
temperatur = 3
fallback = ["b", "zz"]
[variants.b]
upstream = "mine"
knowledge = ["k/*.md"]
prompt = "p.j2"
fallback = ["a"]
parameters = { stream = true, day = 1979-05-27 }
[evaluation]
cases = ["c.jsonl"]
[rollout]
steps = [
  { share = 5 },
  { share = 1, demand = ["safe"] },
]
[approvals]
poc = -1
[gates.staging]
quality = {}
"""
    files: dict[str, str | bytes] = {
        "p.j2": "hello\n{{ qestion }}\n{{ question | uper }}\n{% include 'x' %}",
        "c.jsonl": '{"id":"a","text":"x","required":[["y"]]}\n\n{"id":"a","text":"x","required":[["y"]]}\n{"id":"b"}\n[',
    }
    expected = [
        ("usecase.toml:1", "'name' is missing"),
        ("usecase.toml:1", "unknown key 'nam'; did you mean 'name'?"),
        ("usecase.toml:2", "owner = 5 must be text in quotes"),
        ("usecase.toml:3", "tier = 'lmited' is not one of 'minimal', 'limited' or 'high'"),
        ("usecase.toml:4", "status_quo = 'serch' names no variant; did you mean 'search'?"),
        ("usecase.toml:6", "today = 1.5 lies outside 0 to 1"),
        ("usecase.toml:7", "margin = 1 is as wide as"),
        ("usecase.toml:8", "'Bad' is not a name here"),
        ("usecase.toml:9", "goals.Bad.target = 'x' must be a number"),
        ("usecase.toml:10", "'resolved' is already one of the goals"),
        ("usecase.toml:11", "'6 hours' is not a duration"),
        ("usecase.toml:12", "'errors' is what the gateway itself measures"),
        ("usecase.toml:12", "a guardrail needs a margin"),
        ("usecase.toml:14", "write its three capital letters"),
        ("usecase.toml:15", "'openai' is built in"),
        ("usecase.toml:17", "credentials stand in this URL"),
        ("usecase.toml:18", "searches nothing"),
        ("usecase.toml:20", "variants.search.model has no effect"),
        ("usecase.toml:21", "variants.a has no model"),
        ("usecase.toml:22", "neither built in nor under [upstreams]; did you mean 'openai'?"),
        ("usecase.toml:23", "unknown key 'variants.a.temperatur'"),
        ("usecase.toml:24", "a -> b -> a"),
        ("usecase.toml:24", "names 'zz', which is no variant"),
        ("usecase.toml:25", "variants.b has no model"),
        ("usecase.toml:27", "'k/*.md' matches nothing"),
        ("usecase.toml:27", "only 'search' reads it"),
        ("usecase.toml:30", "parameters.stream cannot be fixed here"),
        ("usecase.toml:30", "parameters.day holds a date"),
        ("usecase.toml:36", "unknown key 'rollout.steps[2].demand'; did you mean 'demands'?"),
        ("usecase.toml:39", "approvals.poc = -1 must be at least 0"),
        ("usecase.toml:41", "exactly one of at_least and at_most"),
        ("c.jsonl:3", "the id 'a' is already used at c.jsonl:1"),
        ("c.jsonl:4", 'lacks "text"'),
        ("c.jsonl:5", "is not JSON"),
        ("p.j2:2", "'qestion' is not known in a prompt; it sees use_case, question, messages"),
        ("p.j2:3", "there is no filter 'uper'; did you mean 'upper'?"),
        ("p.j2:4", "include, import and extends are not available"),
    ]
    # An upstream that is not known says nothing on whether a model is needed.
    expected.remove(("usecase.toml:21", "variants.a has no model"))
    found = faults(text, files)
    for where, says in expected:
        assert any(fault.startswith(where + ":") and says in fault for fault in found), (where, says, found)
    assert len(found) <= len(expected) + 2


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ("candidate = 'assistant'\nstatus_quo = 'assistant'", "nothing can be compared with itself"),
        ("[goals.a]\nminimum_effect = nan", "must be a finite number"),
        ("[goals.a]\nmargin = 0", "must be above 0"),
        ("[goals.a]\nkind = 'rating'\ntarget = inf", "must be a finite number"),
        (
            "[goals.a]\nkind = 'rating'\nlow = 1\nhigh = 5",
            "never answers counts as 0, which lies outside 1 to 5; set silence",
        ),
        ("[goals.a]\nkind = 'rating'\nlow = 5\nhigh = 1\nsilence = 3", "low (5) must be below high (1)"),
        ("[guardrails.slow]\nsource = 'slow'", "needs a limit"),
        ("[guardrails.slow]\nsource = 'errors'", "a guardrail needs a margin"),
        ("[goals.a]\nmatures_after = '0s'", "final before anybody could answer; write how long answers take"),
        ("[guardrails.a]\nmatures_after = '0s'", "final before anybody could answer"),
        ("[signals.a]\nmatures_after = '0s'", "final before anybody could answer"),
        ("[goals.a]\nsilence = 'none'", "goals.a.silence = 'none' leaves out who never answered"),
        ("[budget]\na_day = 0", "budget.a_day"),
        (
            "[budget]\na_month = 5\n[variants.x]\nupstream = 'openai'\nmodel = 'm'",
            "variants.x has no price, so budget.a_month could not be held",
        ),
        ("[budget]\na_day = 5\nbeyond = 'serch'", "budget.beyond = 'serch' names no variant"),
        ("[budget]\nbeyond = 'x'\n[variants.x]\nupstream = 'search'", "has no meaning without a cap such as a_day"),
        (
            "[budget]\na_day = 5\nbeyond = 'x'\n[variants.x]\nupstream = 'openai'\nmodel = 'm'\nprice = { input = 0, output = 1 }",
            "'x' costs money, and it would answer when there is none left",
        ),
        (
            """[budget]
a_day = 5
beyond = 'x'
[variants.x]
upstream = 'search'
fallback = ['y']
[variants.y]
upstream = 'openai'
model = 'm'
price = { input = 1, output = 1 }
""",
            "'y', a fallback of 'x', costs money",
        ),
        (
            "[budget]\nunit = { a_day = 5 }\n[variants.x]\nupstream = 'openai'\nmodel = 'gpt-4o-mini'",
            "so budget.unit.a_day could not be held; write budget.dollar = 0.9, say, for its public price of 0.15 and 0.6 USD",
        ),
        ("[budget]\na_day = -5", "budget.a_day"),
        ("[budget]\na_day = inf", "budget.a_day"),
        ("[budget]\ncurrency = 'USD'\ndollar = 0.9", "says what a dollar is in another currency"),
        ("[limits.key]\nrequests_a_minute = 0", "limits.key.requests_a_minute"),
        ("[limits.unit]\nrequests_a_minute = -1", "limits.unit.requests_a_minute"),
        ("[limits]\nrequests_a_minute = 5", "limits.requests_a_minute"),
        ("[limits.key]\ntokens_a_minute = 4096", "is not more than one answer may take (4,096 tokens)"),
        (
            "[limits.key]\ntokens_a_minute = 5000\n[variants.x]\nupstream = 'openai'\nparameters = { max_tokens = 6000 }",
            "is not more than one answer may take (6,000 tokens)",
        ),
        ("[rollout]\nbeta = 0", "rollout.beta = 0 must be above 0"),
        ("[rollout]\nalpha = 1", "rollout.alpha = 1 must be below 0.5"),
        ("[rollout]\nrisk_budget = 0", "rollout.risk_budget = 0 must be at least 1"),
        ("[rollout]\nminimum_duration = 5", "is not a duration"),
        ("[guardrails.cost]\nsource = 'cost'", "set kind = 'money'"),
        ("[goals.approvals]", "choose another name"),
        ("[data]\npersonal_data = 'no'", "true or false, without quotes"),
        ("[rollout]\nsteps = [{ share = 5 }, { share = 5 }]", "shares must rise"),
        ("[rollout]\nsteps = []", "rollout.steps is empty"),
        ("[rollout]\nsteps = [{ share = 5, demands = ['hold 6'] }]", "is not a duration"),
        ("[variants.x]\nupstream = 'openai'\nmodel = 'm'\nprompt = 'no.j2'", "'no.j2' is not there"),
        ("[variants.x]\nupstream = 'openai'\nmodel = 'm'\nprompt = '*.j2'", "wildcards have no meaning here"),
        ("[variants.x]\nupstream = 'openai'\nmodel = 'm'\nfallback = ['x']", "x -> x"),
        ("[variants.x]\nupstream = 'openai'\nmodel = 'm'\nprice = 3", "must be a table"),
        ("[variants.x]\nupstream = 'openai'\nmodel = 'm'\nparameters.a.b = inf", "not finite"),
        (f"[variants.x]\nupstream = 'openai'\nmodel = 'm'\nparameters.seed = {'9' * 30}", "beyond 64 bits"),
        ("[variants]\nassistant = 3", "variants"),
        ("traffic = {}", "'new_units_a_day' is missing in [traffic]"),
        ("[evaluation]\ncases = 'cases/a.jsonl'", "must be a list"),
        ("[upstreams.u]\nbase_url = 'localhost:8000'", "not a base URL"),
        ("[upstreams.u]\nbase_url = 'http://[::1/v1'", "not a base URL"),
        ("[upstreams.u]\nbase_url = 'http://h/v1?key=1'", "remove the part after ?"),
        (
            "[upstreams.u]\nbase_url = 'http://h/v1'\nhedge_after = '60s'",
            "upstreams.u.hedge_after = '60s' never comes: the first byte is waited for 60s at most",
        ),
        (
            "[upstreams.u]\nbase_url = 'http://h/v1'\nhedge_after = '5s'\nfirst_byte_timeout = '3s'",
            "never comes: the first byte is waited for 3s at most",
        ),
        ("[upstreams.u]\nbase_url = 'http://h/v1'\nhedge_after = 800", "not a duration; write a number"),
        ('[variants.faq.cache]\nttl = "1h"\nshared = true\n', "personal_data = false"),
        ('[variants.faq.cache]\nttl = "2d"\n', "variants.faq.cache.ttl"),
    ],
)
def test_faults_say_what_would_be_right(extra: str, fault: str) -> None:
    # What stands in no table comes first in TOML.
    text = TEN_LINES.replace("\n[", f"\n{extra}\n[", 1) if not extra.startswith("[") else TEN_LINES + extra
    text = (
        text.replace(TEN_LINES[len('name = "support"\nowner = "Jane Doe"\n') :], "") if "[variants]" in extra else text
    )
    found = faults(text)
    assert any(fault in one for one in found), found


def test_goals_without_numbers_are_for_the_gates_to_ask() -> None:
    use_case = load(folder(TEN_LINES + "[goals.resolved]\n"))
    assert use_case.goals["resolved"].minimum_effect is None


def test_a_value_is_final_when_people_had_time_to_answer() -> None:
    metrics = "[goals.a]\n[signals.b]\nsilence = 'none'\n[guardrails.errors]\nsource = 'errors'\nmargin = 0.1\n"
    later = "[guardrails.slow]\nsource = 'slow'\nlimit = '4s'\nmargin = 0.1\nmatures_after = '2h'\n"
    use_case = load(folder(TEN_LINES + metrics + later))
    again = UseCase.model_validate(use_case.model_dump(mode="json"))
    assert again == use_case
    assert {name: metric.matures_after for name, metric in again.metrics.items()} == {
        "a": HOUR,
        "b": HOUR,
        "errors": 0,
        "slow": 2 * HOUR,
    }
    assert again.signals["b"].silence is None
    assert again.charter == use_case.charter


TWO_CANDIDATES = """\
name = "support"
owner = "Jane Doe"
status_quo = "faq"
candidate = "a"
rivals = RIVALS
[variants.faq]
upstream = "openai"
model = "m"
[variants.a]
upstream = "openai"
model = "m"
[variants.b]
upstream = "openai"
model = "m"
"""


def test_rivals_are_other_variants() -> None:
    assert load(folder(TWO_CANDIDATES.replace("RIVALS", '["b"]'))).candidates == ("a", "b")


@pytest.mark.parametrize(
    ("rivals", "fault"),
    [
        ('["c"]', "rivals names 'c', which is no variant"),
        ('["b", "b"]', "rivals names 'b', which is a rival already"),
        ('["a"]', "rivals names 'a', which is candidate already"),
        ('["faq"]', "rivals names 'faq', which is status_quo already"),
        ('"b"', "must be a list"),
    ],
)
def test_faulty_rivals(rivals: str, fault: str) -> None:
    found = faults(TWO_CANDIDATES.replace("RIVALS", rivals))
    assert len(found) == 1
    assert found[0].startswith("usecase.toml:5: ")
    assert fault in found[0]


def test_rivals_go_beside_a_candidate() -> None:
    found = faults(TWO_CANDIDATES.replace("RIVALS", '["b"]').replace('candidate = "a"\n', ""))
    assert found == [
        "usecase.toml:4: rivals go beside a candidate, and there is none; name the first of them as candidate"
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("qualty", "quality"),
        ("replay_error", "replay_errors"),
        ("scalabilty", "scalability"),
        ("cost_per_goal", "cost_a_goal"),
    ],
)
def test_a_slip_of_the_pen_in_a_gate(name: str, meant: str) -> None:
    (fault,) = faults(TEN_LINES + f"[gates.staging]\n{name} = {{ at_most = 0.1 }}\n")
    assert fault.endswith(f"gates.staging.{name} is no measure that is recorded; did you mean '{meant}'?")


def test_a_gate_may_wait_for_evidence_of_ones_own() -> None:
    text = TEN_LINES + "[gates.staging]\ntone = { at_least = 0.9 }\nbias_age = { at_most = 0.1 }\n"
    assert sorted(load(folder(text)).gates.staging) == ["bias_age", "tone"]


def test_what_is_to_be_proven_says_what_matters() -> None:
    text = TWO_CANDIDATES.replace("RIVALS", "[]") + "[goals.resolved]\ntoday = 0.5\n"
    (fault,) = faults(text)
    assert fault.startswith("usecase.toml:15: goals.resolved has no minimum_effect, and a step of the rollout demands")
    assert load(folder(text + "[rollout]\nsteps = [{ share = 5 }]\n")).goals["resolved"].minimum_effect is None
    (fault,) = faults(text + "[rollout]\nsteps = [{ share = 5, demands = ['prove'] }]\n")
    assert "minimum_effect" in fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'name = "a"\nowner = "\xff"\n', "usecase.toml:2: is not UTF-8"),
        ('name = "a"\nowner = Jane\n', "usecase.toml:2: is not TOML at column 9: invalid value; text stands in quotes"),
        (
            'name = "a"\nname = "b"\n',
            "usecase.toml:2: is not TOML at column 11: cannot overwrite a value; each key is written once",
        ),
        ('name = "a"\n\nlist = [', "usecase.toml:3: is not TOML: "),
        ("a\n", "usecase.toml:1: is not TOML"),
        ("\na = " + "[" * 100_000, "usecase.toml:2: nested more than 32 levels"),
        ("a = " + "9" * 5_000, "usecase.toml:1: "),
        ("", "usecase.toml:1: 'name' is missing"),
    ],
)
def test_what_is_no_toml_has_a_line(text: str | bytes, fault: str) -> None:
    assert faults(text)[0].startswith(fault)


KEY = "sk-proj-abcdefghij1234567890"


@pytest.mark.parametrize(
    "text",
    [
        TEN_LINES + f'[upstreams.u]\napi_key_env = "{KEY}"',
        TEN_LINES + '[upstreams.u]\napi_key_env = "d41d8cd98f00b204e9800998ecf8427e"',
        TEN_LINES + '[upstreams.u]\napi_key_env = "AKIAABCDEFGHIJKLMNOP"',
        TEN_LINES + f'[variants.x]\nupstream = "openai"\nmodel = "m"\nparameters = {{ headers = ["Bearer {KEY}"] }}',
        TEN_LINES.replace("Jane Doe", KEY),
        TEN_LINES.replace('"openai"', f'"{KEY}"'),
        TEN_LINES + f'unit = "{KEY}"',
    ],
)
def test_a_key_in_the_file_is_a_fault_that_does_not_repeat_it(text: str) -> None:
    found = "\n".join(faults(text))
    for key in (KEY, "d41d8cd98f00b204e9800998ecf8427e", "AKIAABCDEFGHIJKLMNOP"):
        assert key not in found


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"text": "x", "required": [["y"]]}', 'lacks "id"'),
        ('{"id": 3, "text": "x", "required": [["y"]]}', '"id" must be text'),
        ('{"id": "a", "text": " ", "required": [["y"]]}', '"text" is empty'),
        ('{"id": "a", "text": "x", "required": ["y"]}', '"required" must be a list of groups'),
        ('{"id": "a", "text": "x", "required": [[]]}', '"required" must be a list of groups'),
        ('{"id": "a", "text": "x", "forbidden": "y"}', '"forbidden" must be a list'),
        ('{"id": "a", "text": "x", "messages": []}', 'has both "text" and "messages"'),
        ('{"id": "a", "messages": [{"role": "user"}], "required": [["y"]]}', '"messages" must be a conversation'),
        ('{"id": "a", "text": "x", "exact": 3}', '"exact" must be text'),
        ('{"id": "a", "text": "x", "requird": [["y"]]}', "did you mean 'required'?"),
        ('["a"]', "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        ('{"id": "a", "text": "x", "required": [["y"]]} {}', "is not JSON"),
        ("", "holds no case"),
    ],
)
def test_faults_of_a_case_name_their_line(line: str, fault: str) -> None:
    good = '{"id": "good", "text": "x", "required": [["y"]], "label": "kept for the team"}\n'
    text = TEN_LINES + '[evaluation]\ncases = ["c.jsonl"]'
    assert load(folder(text, {"c.jsonl": good}))
    found = faults(text, {"c.jsonl": good + line if line else ""})
    assert any(one.startswith(f"c.jsonl:{2 if line else 1}: ") and fault in one for one in found), found


def test_a_file_of_faults_shows_twenty_and_counts_the_rest() -> None:
    text = TEN_LINES + '[evaluation]\ncases = ["c.jsonl"]'
    found = faults(text, {"c.jsonl": "{\n" * 50})
    assert len(found) == 21
    assert found[-1] == "c.jsonl:21: and 30 more faults in this file"


def test_faults_beyond_two_hundred_are_counted() -> None:
    found = faults(TEN_LINES + "\n".join(f"[goals.X{number}]" for number in range(300)))
    assert len(found) == 201
    assert found[-1] == "usecase.toml:1: and 100 more faults"


def test_files_must_be_text() -> None:
    text = TEN_LINES + 'prompt = "p.j2"\n[variants.s]\nupstream = "search"\nknowledge = ["k.md", "e.md"]\n'
    found = faults(text, {"p.j2": b"a\nb\xff", "k.md": b"\xfe", "e.md": " \n"})
    assert [fault.split(";")[0] for fault in found] == [
        "e.md:1: is empty",
        "k.md:1: is not UTF-8 text",
        "p.j2:2: is not UTF-8 text",
    ]


def test_releases_come_after_what_they_fall_back_on() -> None:
    text = """\
name = "support"
owner = "Jane"
[upstreams.mine]
base_url = "http://127.0.0.1:9/v1/"
api_key_env = "MY_API_KEY"
first_byte_timeout = "2s"
[variants.a]
upstream = "mine"
model = "m"
prompt = "./p.j2"
parameters = { temperature = 0.2, stop = ["x"] }
fallback = ["b", "s"]
price = { input = 0.15, output = 0.6 }
[variants.b]
upstream = "openai"
model = "n"
fallback = ["s"]
[variants.s]
upstream = "search"
knowledge = ["k/*.md", "k/b.md"]
"""
    files: dict[str, str | bytes] = {"p.j2": "Hi {{ use_case }}", "k/b.md": "b", "k/a.md": "a", "unnamed.txt": "no"}
    where = folder(text, files)
    use_case = load(where)
    search, second, first = snapshot.releases(use_case, where)
    assert [release.variant for release in (search, second, first)] == ["s", "b", "a"]
    assert first.fallbacks == (second.reference, search.reference)
    assert (first.input_price, first.output_price, second.input_price) == (150_000, 600_000, None)
    assert (first.upstream.base_url, first.upstream.api_key_env) == ("http://127.0.0.1:9/v1", "MY_API_KEY")
    assert first.upstream.first_byte_timeout == 2_000_000
    assert first.prompt == "Hi {{ use_case }}"
    assert (second.upstream.kind, second.upstream.base_url, second.upstream.api_key_env) == (
        "openai",
        "https://api.openai.com/v1",
        "OPENAI_API_KEY",
    )
    assert search.upstream.kind == "search"
    a = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"  # SHA-256 of "a"
    assert search.knowledge[0] == ("k/a.md", a)
    assert [path for path, _ in search.knowledge] == ["k/a.md", "k/b.md"]
    assert set(snapshot.files(use_case, where)) == {"usecase.toml", "p.j2", "k/a.md", "k/b.md"}

    again = snapshot.releases(load(folder(text + "[approvals]\npoc = 1\n", files)), folder(text, files))
    assert [release.reference for release in again] == [release.reference for release in (search, second, first)]
    files["k/a.md"] = "changed"
    changed = snapshot.releases(load(folder(text, files)), folder(text, files))
    # Knowledge is part of the search release, and a release is part of those that fall back on it.
    assert all(new.reference != old.reference for new, old in zip(changed, (search, second, first), strict=True))


FAULT = re.compile(r"[^\n]+:\d+: [^\n]+")
WHOLE = """\
name = "support"
owner = "Jane"
tier = "high"
status_quo = "s"
candidate = "a"
scope = { does = ["x"], does_not = ["y"] }
[traffic]
new_units_a_day = 10
[goals.resolved]
today = 0.5
minimum_effect = 0.1
matures_after = "6h"
[guardrails.slow]
source = "slow"
limit = "4s"
margin = 0.1
[signals.stars]
kind = "rating"
low = 1
high = 5
silence = 3
[budget]
a_day = 1.5
[data]
retention = "redacted"
[upstreams.mine]
base_url = "http://h/v1"
api_key_env = "MY_API_KEY"
[variants.s]
upstream = "search"
knowledge = ["k/*.md"]
[variants.a]
upstream = "mine"
model = "m"
prompt = "p.j2"
parameters = { temperature = 0.2, logit_bias = { "1" = 2 } }
fallback = ["s"]
price = { input = 1, output = 2.5 }
[evaluation]
cases = ["c.jsonl"]
[gates.staging]
quality = { at_least = 0.5 }
[rollout]
alpha = 0.1
steps = [{ share = 1, demands = ["safe", "hold 6h"] }, { share = 50, demands = ["prove"] }]
[approvals]
production = 2
"""
FILES: dict[str, str | bytes] = {
    "k/a.md": "article",
    "p.j2": "{% for m in messages %}{{ m.role | upper }}{% endfor %}{{ question }}",
    "c.jsonl": '{"id": "a", "text": "x", "required": [["y", "z"]], "forbidden": ["w"]}',
}


def refused_or_loaded(text: bytes, files: dict[str, str | bytes]) -> None:
    try:
        where = folder(text, files)
        use_case = load(where)
    except FaultyFile as error:
        faults = error.faults
    else:
        # What passes can be registered and read back.
        assert snapshot.releases(use_case, where)[0].digest
        assert snapshot.files(use_case, where)
        assert UseCase.model_validate(use_case.model_dump(mode="json")) == use_case
        return
    assert faults
    assert all(FAULT.fullmatch(fault) and fault.isprintable() for fault in faults)


def test_the_whole_file_is_faultless() -> None:
    assert load(folder(WHOLE, FILES))


MANY = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@MANY
@given(st.binary() | st.text().map(lambda text: text.encode(errors="surrogatepass")))
def test_any_bytes_are_refused_with_faults_and_nothing_else(data: bytes) -> None:
    refused_or_loaded(data, {})


_VALUES = st.sampled_from(
    [
        *(
            "0",
            "-1",
            "1e400",
            "nan",
            "-inf",
            "9" * 40,
            "true",
            "0x10",
            "x",
            "1979-05-27",
            "07:32:00",
            "1979-05-27T07:32:00Z",
        ),
        *('""', '"x"', '"6h"', '"\\u0000\\n"', '"é\\U0001F600"', "'../x'", "'**'"),
        *("[]", "[[]]", "[1, 'a']", "{}", '{ a = 1, "" = 2 }'),
    ]
)


@MANY
@given(st.data())
@example(None)
def test_a_file_with_one_value_replaced(data: st.DataObject | None) -> None:
    lines = WHOLE.split("\n")
    if data is not None:
        at = data.draw(st.sampled_from([index for index, line in enumerate(lines) if " = " in line]))
        key = lines[at].split(" = ")[0]
        key = data.draw(st.sampled_from([key, key, "zz", '"a b"', f"{key}.x"]))
        lines[at] = f"{key} = {data.draw(_VALUES)}"
    refused_or_loaded("\n".join(lines).encode(), FILES)


@MANY
@given(st.integers(0, len(WHOLE)), st.integers(0, 40), st.text(alphabet="ab01.=[]{}\"'#\n \\\t,-\x00é", max_size=12))
def test_a_file_with_a_piece_torn_out(at: int, length: int, put: str) -> None:
    refused_or_loaded((WHOLE[:at] + put + WHOLE[at + length :]).encode(), FILES)


@MANY
@given(
    st.sampled_from(sorted(FILES)),
    st.binary() | st.text(alphabet='{}%"[]:,ab|. \n\\d8#-(1*').map(str.encode),
    st.booleans(),
)
def test_any_named_file(path: str, content: bytes, added: bool) -> None:
    before = str(FILES[path]).encode() if added else b""
    refused_or_loaded(WHOLE.encode(), {**FILES, path: before + content})


def test_more_patterns_than_are_looked_at_are_a_fault() -> None:
    files: dict[str, str | bytes] = {f"k/{number}.md": "x" for number in range(200)}
    listed = ", ".join(f'"k/*{number}*.md"' for number in range(101))
    text = TEN_LINES + f"\n[variants.more]\nupstream = 'search'\nknowledge = [{listed}]\n"
    (fault,) = faults(text, files)
    assert "variants.more.knowledge names more than 100 files and patterns; write patterns such as" in fault
    listed = ", ".join(["'k/*.md'"] * 100)
    text = TEN_LINES + "".join(
        f"\n[variants.v{number}]\nupstream = 'search'\nknowledge = [{listed}]\n" for number in range(11)
    )
    (fault,) = faults(text, files)
    assert "is beyond the 1,000 files and patterns that one use case may name" in fault


def test_reading_a_folder_looks_at_no_more_patterns_than_that(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    for number in range(101):
        (tmp_path / "k" / f"{number}.md").write_text("x")
    listed = ", ".join(f"'k/{number}.*'" for number in range(101))
    (tmp_path / "usecase.toml").write_text(f"[variants.a]\nupstream = 'search'\nknowledge = [{listed}]\n")
    assert len(Folder.read(tmp_path).files) == 1 + 101
    listed = ", ".join(f"'k/{number}.*'" for number in [*[0] * 101, *range(101)])
    (tmp_path / "usecase.toml").write_text(f"[variants.a]\nupstream = 'search'\nknowledge = [{listed}]\n")
    assert set(Folder.read(tmp_path).files) == {"usecase.toml", "k/0.md"}
