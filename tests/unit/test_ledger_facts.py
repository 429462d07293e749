"""What the ledger tells of and what the store holds: a row that was altered behind the ledger's back is found."""

from __future__ import annotations

import base64
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pilotage.access import Actor, Role
from pilotage.clock import FrozenClock
from pilotage.errors import Tampered
from pilotage.governance.commands import Context, run
from pilotage.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

AUTHOR = Actor(id="key:author", roles=(Role.OPERATE, Role.APPROVE))
OTHER = Actor(id="key:other", roles=(Role.OPERATE, Role.APPROVE))
ADMIN = Actor(id="local:root", roles=(Role.ADMIN,))
FILE = """
name = "support"
owner = "Ada"
tier = "minimal"
status_quo = "faq"
candidate = "model"

[goals.resolved]
today = 0.5
target = 0.6
minimum_effect = 0.02

[variants.faq]
upstream = "search"
knowledge = ["faq.md"]

[variants.model]
upstream = "openai"
model = "small"

[approvals]
canary = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def context(path: Path) -> Iterator[Context]:
    """A use case in canary, with evidence, an approval, a key, and a key that was revoked last of all."""
    with closing(SqliteStore(path)) as store:
        context = Context(store, FrozenClock())
        applied = do(context, "apply", files=files(FILE))
        fact = {"use_case": "support", "release": applied["candidate"], "baseline": applied["live"], "n": 100}
        for measure, value in (("quality_difference", 0.1), ("replay_errors", 0.01)):
            do(context, "record_evidence", measure=measure, value=value, low=value, high=value, **fact, **HOW)
        do(context, "promote", use_case="support")
        do(context, "promote", use_case="support")
        do(context, "approve", OTHER, use_case="support")
        do(context, "promote", use_case="support", reason="go")
        do(context, "keys_create", ADMIN, name="kept", roles=["infer"], use_cases=["support"])
        gone = do(context, "keys_create", ADMIN, name="gone", roles=["operate"])
        do(context, "keys_revoke", ADMIN, id=gone["id"])
        yield context


HOW = {"method": "test", "data": "d"}


def files(text: str) -> dict[str, str]:
    given = {"usecase.toml": text, "faq.md": "# Returns\nWithin 30 days."}
    return {name: base64.b64encode(content.encode()).decode() for name, content in given.items()}


def do(context: Context, command: str, actor: Actor = AUTHOR, /, **arguments: Any) -> dict[str, Any]:
    return run(context, actor, command, arguments)


def alter(path: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path)) as raw, raw:
        assert raw.execute(sql, parameters).rowcount > 0, "nothing was altered"


def test_what_commands_leave_behind_verifies(context: Context) -> None:
    assert do(context, "ledger_verify", ADMIN)["entries"] == 10
    do(context, "rollback", use_case="support")
    do(context, "apply", files=files(FILE.replace("target = 0.6", "target = 0.7")))
    do(context, "apply", OTHER, files=files(FILE.replace("small", "large")))
    do(context, "apply", OTHER, files=files(FILE))
    do(context, "retire", use_case="support")
    assert do(context, "ledger_verify", ADMIN)["ok"] is True


def body(table: str, old: str, new: str) -> str:
    text = "CAST(body AS TEXT)"
    return f"UPDATE {table} SET body = CAST(replace({text}, '{old}', '{new}') AS BLOB) WHERE instr({text}, '{old}')"


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        (body("evidence", '"value":0.1', '"value":0.9'), r"evidence \w+ of support .* entry 2 .*: value"),
        (body("evidence", '"measure":"replay_errors"', '"measure":"x"'), r"evidence \w+ .* entry 3 .*: measure"),
        ("UPDATE evidence SET release = 'support/faq@0' WHERE number = 1", r"evidence \w+ .*entry 2"),
        ("DELETE FROM evidence WHERE number = 2", r"evidence \w+ of support, which entry 3 tells of, is gone"),
        (body("approval", '"stage":"canary"', '"stage":"production"'), r"approval \w+ .* entry 6 .*: stage"),
        ("DELETE FROM approval", r"approval \w+ of support, which entry 6 tells of, is gone"),
        (body("access_key", '"infer"', '"admin"'), r"key \w+ .* entry 8 .*: roles"),
        (body("access_key", '"revoked":', '"was_revoked":'), r"key \w+ .* entry 10 .*: revoked"),
        (body("access_key", '"name":"kept","digest":"', '"name":"kept","digest":"0'), r"key \w+ .* entry 8 "),
        ("UPDATE access_key SET id = 'x' WHERE number = 1", r"key \w+, which entry 8 tells of, is gone"),
        ("DELETE FROM access_key WHERE number = 1", r"key \w+, which entry 8 tells of, is gone"),
        (body("release", '"model":"small"', '"model":"cheap"'), r"release support/model@\w+ .*not what its digest"),
        ("UPDATE release SET author = 'key:nobody' WHERE number = 2", r"release support/model@\w+ .*entry 1.*author"),
        (body("status", '"stage":"canary"', '"stage":"staging"'), r"status of support .* entry 7"),
        ("DELETE FROM status", r"status of support, .* entry 7 .*, is gone"),
        (body("use_case", '"canary":1', '"canary":0'), r"file of support .* entry 1"),
        (body("serving", '"share":10', '"share":90'), r"what the workers serve of support"),
        (
            "UPDATE blob SET data = CAST('# Returns' AS BLOB) WHERE instr(data, '# Returns')",
            r"the file faq.md .* altered",
        ),
        ("DELETE FROM blob WHERE instr(data, '# Returns')", r"the file faq.md .* is gone"),
        ("DELETE FROM serving", r"what the workers serve of support"),
        ("UPDATE serving SET use_case = 'other'", r"other"),
        (body("serving", '"share":', '"share":{'), r"what the workers serve of support"),
        ("UPDATE status SET body = CAST('nonsense' AS BLOB)", r"cannot be read"),
    ],
)
def test_an_altered_row_is_named(context: Context, path: Path, sql: str, says: str) -> None:
    alter(path, sql)
    with pytest.raises(Tampered, match=says):
        do(context, "ledger_verify", ADMIN)


def test_a_row_that_no_entry_tells_of_is_named(context: Context, path: Path) -> None:
    alter(path, "INSERT INTO approval (id, use_case, release, body) SELECT 'x', use_case, release, body FROM approval")
    with pytest.raises(Tampered, match=r"approval \w+ was altered: it is listed as \('x',\)"):
        do(context, "ledger_verify", ADMIN)
    alter(path, "DELETE FROM approval WHERE id = 'x'")
    alter(path, "INSERT INTO access_key (id, body) SELECT 'x', replace(body, id, 'x') FROM access_key WHERE number = 1")
    with pytest.raises(Tampered, match=r"no entry tells of key x"):
        do(context, "ledger_verify", ADMIN)


@pytest.mark.parametrize("cut", range(1, 11))
def test_entries_cut_off_the_end_are_missed_whatever_they_tell_of(context: Context, path: Path, cut: int) -> None:
    alter(path, "DELETE FROM ledger WHERE seq > ?", 10 - cut)
    with pytest.raises(Tampered):
        do(context, "ledger_verify", ADMIN)
