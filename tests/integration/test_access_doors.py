"""Who comes in, with a real server: signed-in people, rotated and revoked keys, bad keys again and again."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.integration.control_rig import ask, files_of, pilotage, serving, write_use_case
from tests.integration.gateway_rig import until
from tests.unit.test_sign_in import KEYS, token

RULES = """
name = "T"
[people.grace]
sign_in = "grace@example.org"
[sign_in]
issuer = "https://id.example.org"
audience = "pilotage"
jwks = "http://127.0.0.1:{port}/keys"
[sign_in.groups.care]
roles = ["operate", "approve"]
use_cases = ["help"]
"""


class Keys(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps(KEYS).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_keys_and_tokens(tmp_path: Path) -> None:
    provider = HTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    now = int(time.time())
    good = token(exp=now + 300, iat=now)
    with serving(tmp_path / "ws", workers=1) as server:

        def call(command: str, key: str, /, **arguments: object) -> tuple[int, str]:
            reply = ask(server.control, "POST", f"/api/v1/commands/{command}", arguments, key=key)
            return reply.status, str(reply.json.get("error", {}).get("code", ""))

        server.command("apply", files=files_of(write_use_case(tmp_path / "help")))
        assert call("status", good) == (401, "unauthorized"), "no provider is named yet"
        rules = RULES.format(port=provider.server_port)
        server.command("policy_apply", file=base64.b64encode(rules.encode()).decode())
        assert call("approve", good, use_case="help") == (200, "")
        assert server.command("ledger", newest=1)["entries"][0]["actor"] == "oidc:grace"
        assert call("keys_create", good, name="x", roles=["admin"]) == (403, "denied")
        assert call("policy_apply", good, file="") == (403, "denied")
        assert call("status", token(exp=now - 300)) == (401, "unauthorized")
        assert call("status", token(exp=now + 300, groups=["admins"])) == (403, "denied")

        made = server.command("keys_create", name="shop", roles=["infer"], person="shop")
        until(lambda: server.chat(made["secret"], "u1").status == 200)
        # Whoever holds a key may rotate it, and gets no more than it could do.
        assert call("keys_rotate", made["secret"], id="000000000000") == (403, "denied")
        reply = ask(server.control, "POST", "/api/v1/commands/keys_rotate", {"id": made["id"]}, key=made["secret"])
        new = reply.json["result"]
        assert (new["roles"], new["person"]) == (["infer"], "shop")
        until(lambda: server.chat(new["secret"], "u1").status == 200)
        assert server.chat(made["secret"], "u1").status == 200, "both are good for a while"
        server.command("keys_revoke", id=made["id"])
        until(lambda: server.chat(made["secret"], "u1").status == 401)
        again = server.command("keys_rotate", id=new["id"], overlap=0)
        until(lambda: server.chat(new["secret"], "u1").status == 401)
        until(lambda: server.chat(again["secret"], "u1").status == 200)
        assert server.command("ledger_verify")["ok"] is True

        statuses = [call("status", f"plt_{number:012x}_bad")[0] for number in range(60)]
        assert set(statuses) == {401, 429}
        assert statuses[-1] == 429
        reply = ask(server.control, "GET", "/api/v1/status", key=again["secret"])
        assert (reply.status, reply.json["error"]["code"]) == (429, "too_many")
        assert int(reply.headers["retry-after"]) > 0
        assert server.command("status"), "the workspace's own commands go on"
    provider.shutdown()
    provider.server_close()

    # The same keys on the workspace itself: the key's person acts, with the key's roles.
    workspace = tmp_path / "ws"
    refused = pilotage("keys", "list", workspace=workspace, PILOTAGE_KEY=again["secret"])
    assert (refused.returncode, "lacks the role admin" in refused.stderr) == (1, True)
    refused = pilotage("status", workspace=workspace, PILOTAGE_KEY=made["secret"])
    assert "no good key of this workspace" in refused.stderr
    rotated = pilotage("keys", "rotate", again["id"], "--overlap", "0", "--json", workspace=workspace)
    assert json.loads(rotated.stdout)["person"] == "shop"
