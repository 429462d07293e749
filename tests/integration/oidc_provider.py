"""A small identity provider (OpenID Connect): it asks who somebody is, gives codes, and signs tokens."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from tests.unit.test_sign_in import KEYS, token

PEOPLE: dict[str, dict[str, Any]] = {
    "grace": {"sub": "u-1", "email": "grace@example.org", "email_verified": True, "groups": ["care"]},
    "mallory": {"sub": "u-2", "email": "m@example.org", "email_verified": True, "groups": ["visitors"]},
}
FORM = "<!doctype html><title>Who are you?</title><form method=post><input type=hidden name=asked value='{asked}'><label>Name <input name=who></label><button>Go on</button></form>"


class IdentityProvider(ThreadingHTTPServer):
    """`says` overrides claims of the next tokens, `told` what it says of itself; `codes` are those not used yet."""

    daemon_threads = True

    def __init__(self, host: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://{host}:{self.server_port}"
        self.redirects: set[str] = set()
        self.secret = ""
        self.codes: dict[str, tuple[dict[str, str], str]] = {}
        self.says: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.exchanges = 0

    def come_back(self, asked: dict[str, str], who: str) -> str:
        """Return where a browser goes on to after somebody signed in."""
        assert asked["redirect_uri"] in self.redirects, "a redirect that was never registered"
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked, who
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def exchange(self, fields: dict[str, str], authorization: str) -> dict[str, Any]:
        self.exchanges += 1
        if self.secret:
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            if pair.partition(":")[2] != self.secret and unquote(pair.partition(":")[2]) != self.secret:
                return {"error": "invalid_client"}
        asked, who = self.codes.pop(fields["code"], ({}, ""))
        digest = hashlib.sha256(fields["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if not asked or asked["code_challenge"] != challenge or asked["redirect_uri"] != fields["redirect_uri"]:
            return {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": asked["client_id"], "nonce": asked["nonce"], "iat": now, "exp": now + 60}
        return {"token_type": "Bearer", "id_token": token(**{**claims, **PEOPLE[who], **self.says})}


class Handler(BaseHTTPRequestHandler):
    server: IdentityProvider

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        match path:
            case "/.well-known/openid-configuration":
                issuer = self.server.issuer
                told = {
                    "issuer": issuer,
                    "authorization_endpoint": f"{issuer}/authorize",
                    "token_endpoint": f"{issuer}/token",
                }
                self._send(200, json.dumps({**told, **self.server.told}).encode())
            case "/keys":
                self._send(200, json.dumps(KEYS).encode())
            case "/authorize":
                self._send(200, FORM.format(asked=html.escape(query, quote=True)).encode(), "text/html")
            case _:
                self._send(404, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        if urlsplit(self.path).path == "/token":
            found = self.server.exchange(fields, self.headers.get("authorization", ""))
            self._send(400 if "error" in found else 200, json.dumps(found).encode())
            return
        asked = {name: values[0] for name, values in parse_qs(fields["asked"]).items()}
        self.send_response(303)
        self.send_header("location", self.server.come_back(asked, fields["who"]))
        self.send_header("content-length", "0")
        self.end_headers()

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def identity_provider(host: str = "127.0.0.1") -> Iterator[IdentityProvider]:
    """Run one. As `localhost` it is another site to a browser than a console at 127.0.0.1."""
    running = IdentityProvider(host)
    serving = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        serving.join()
