"""Roles escalated through every door: the API, the console, the command line, with a real server."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.control_rig import ask, files_of, pilotage, serving, write_use_case
from tests.integration.gateway_rig import until

REACHES: tuple[tuple[str, dict[str, object]], ...] = (
    ("keys_create", {"name": "x", "roles": ["admin"]}),
    ("keys_create", {"name": "x", "roles": ["operate"], "person": "grace"}),
    ("keys_list", {}),
    ("keys_revoke", {"id": "{other}"}),
    ("keys_rotate", {"id": "{other}"}),
    ("policy_apply", {"file": "bmFtZSA9ICJUIg=="}),
    ("data_find", {"unit": "u"}),
    ("data_export", {"unit": "u", "reason": "r"}),
    ("data_erase", {"unit": "u"}),
    ("ledger_forget", {"seq": 1}),
    ("approve", {"use_case": "help"}),
    ("waive", {"use_case": "help", "criterion": "quality", "reason": "r"}),
    ("promote", {"use_case": "elsewhere"}),
    ("ledger", {}),
)
"""What a key that may operate one use case must not do; `ledger` without a use case is of all of them."""


def test_nobody_gets_more_than_a_key_gives(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    with serving(workspace, workers=1) as server:
        server.command("apply", files=files_of(write_use_case(tmp_path / "help")))
        other = server.command("keys_create", name="other", roles=["admin"])
        made = server.command("keys_create", name="op", roles=["operate"], use_cases=["help"], person="ada")
        key, before = made["secret"], len(server.command("ledger")["entries"])

        def call(command: str, arguments: dict[str, object], **headers: str) -> int:
            body = json.loads(json.dumps(arguments).replace("{other}", other["id"]))
            reply = ask(server.control, "POST", f"/api/v1/commands/{command}", body, key=key, headers=headers or None)
            return reply.status

        # The API, also where a header or a field says who somebody is.
        assert [call(*reach) for reach in REACHES] == [403] * len(REACHES)
        for spoofed in (
            {"x-pilotage-role": "admin"},
            {"x-forwarded-user": "root"},
            {"cookie": "pilotage=local.9e18.x"},
        ):
            assert call("keys_list", {}, **spoofed) == 403
        assert call("keys_list", {"role": "admin"}) == 403
        assert call("status", {"use_case": "help", "actor": "local:root"}) == 400

        # The console: a session is of its key and of nothing else.
        cookie = _session(server.control, key)
        subject, until_, mac = cookie.removeprefix("pilotage=").split(".")
        later = str(int(until_) + 3_600_000_000)
        forged = (
            f"local.{until_}.{mac}",
            f"{other['id']}.{until_}.{mac}",
            f"{subject}.{later}.{mac}",
            f"{subject}.{until_}.",
        )
        for value in (*forged, f"{subject}.{until_}.{mac}x", "..", "local"):
            assert ask(server.control, "GET", "/", headers={"cookie": f"pilotage={value}"}).status == 303
        assert ask(server.control, "GET", "/", headers={"cookie": cookie}).status == 200
        # A session reads pages; what commands do takes a key, so no other site can have a browser do it.
        reply = ask(server.control, "POST", "/api/v1/commands/keys_list", {}, headers={"cookie": cookie})
        assert reply.status in (401, 403)
        page = ask(server.control, "GET", "/use-cases/elsewhere", headers={"cookie": cookie})
        assert page.status in (403, 404)

        # The command line, with the key on the server and on the workspace.
        tries = (
            ("keys", "create", "x", "--role", "admin"),
            ("keys", "list"),
            ("policy", "apply", str(_rules(tmp_path))),
            ("data", "erase", "--unit", "u"),
            ("approve", "help"),
        )
        for words in tries:
            refused = pilotage(*words, "--server", server.control, PILOTAGE_KEY=key)
            assert refused.returncode == 1, (words, refused.stdout)
        assert len(server.command("ledger")["entries"]) == before, "nothing of it left anything behind"

        # A key that was rotated makes no second successor: who found an old one cannot go on with it.
        new = ask(server.control, "POST", "/api/v1/commands/keys_rotate", {"id": made["id"]}, key=key).json["result"]
        assert call("keys_rotate", {"id": made["id"]}) == 409
        assert (new["roles"], new["use_cases"], new["person"]) == (["operate"], ["help"], "ada")

        # Revoked, it is worth nothing at any door: at once at the control API and its sessions, within a second at workers.
        spoken = server.command("keys_create", name="in", roles=["infer", "operate"])
        until(lambda: server.chat(spoken["secret"], "u").status == 200)
        session = _session(server.control, spoken["secret"])
        server.command("keys_revoke", id=spoken["id"])
        assert ask(server.control, "POST", "/api/v1/commands/status", {}, key=spoken["secret"]).status == 401
        assert ask(server.control, "GET", "/", headers={"cookie": session}).status == 303
        until(lambda: server.chat(spoken["secret"], "u").status == 401)
        # Bad keys again and again are turned away unread, and nobody else with them.
        good = server.key("infer")
        statuses = [server.chat(f"plt_{number:012x}_bad", "u").status for number in range(60)]
        assert (statuses[0], statuses[-1]) == (401, 429)
        assert server.chat(good, "u").status == 200
        forms = [ask(server.control, "POST", "/sign-in", raw=b"key=plt_0123456789ab_bad") for _ in range(60)]
        assert (forms[0].status, forms[-1].status) == (401, 429)
        assert b"wait" in forms[-1].body
        assert ask(server.control, "POST", "/sign-in", raw=f"key={server.token}".encode()).status == 303
        assert server.command("ledger_verify")["ok"] is True
    for words in tries:
        refused = pilotage(*words, workspace=workspace, PILOTAGE_KEY=new["secret"])
        assert refused.returncode == 1, (words, refused.stdout)


def _session(control: str, key: str) -> str:
    signed = ask(control, "POST", "/sign-in", raw=f"key={key}".encode())
    assert signed.status == 303
    return signed.headers["set-cookie"].partition(";")[0]


def _rules(directory: Path) -> Path:
    file = directory / "organisation.toml"
    file.write_text('name = "T"\n')
    return file
