"""One way to run commands, wherever they run: on the workspace itself, by its running server, or by a server elsewhere."""

from __future__ import annotations

import http.client
import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, TypeVar

from pilotage.app.local import MAKES_A_WORKSPACE, Local, is_in_use
from pilotage.errors import (
    Conflict,
    Denied,
    FaultyFile,
    GateClosed,
    NotFound,
    NotMeasured,
    PilotageError,
    Refused,
    Tampered,
    WorkspaceUnusable,
    WrongCall,
)
from pilotage.store.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pilotage.clock import Clock

Result = TypeVar("Result")
_PATIENCE = 10.0
"""Seconds that a command waits for a server that is starting, or for another command that has the workspace."""
_PLAIN = (Conflict, Denied, NotFound, NotMeasured, Tampered, WorkspaceUnusable, WrongCall)


class Server:
    """A control API: its address, and the key (or the token of the workspace's own server) presented to it.

    `certificate` (PEM) is the one that it must present, whatever name that is made out to; without it, one that the
    system trusts. `inner` is the gateway as this machine reaches it.
    """

    def __init__(self, address: str, key: str, *, certificate: str = "", inner: str = "") -> None:
        self.address, self._key, self._inner = address.rstrip("/"), key, inner
        self._trust: ssl.SSLContext | None = None
        if certificate:
            self._trust = ssl.create_default_context(cadata=certificate)
            self._trust.check_hostname = False
            self._trust.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            # Newer Pythons are strict with the form of certificates; this one is ours whatever its form.
            self._trust.verify_flags &= ~ssl.VERIFY_X509_STRICT

    def gateway(self) -> str:
        return self._inner or str(self.ask("/api/v1/server")["gateway"])

    def run(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        result = self.ask(f"/api/v1/commands/{urllib.parse.quote(name, safe='')}", dict(arguments))
        value: dict[str, Any] = result["result"]
        return value

    def ask(self, path: str, body: object | None = None) -> dict[str, Any]:
        """Return the JSON that a GET (or, with a body, a POST) answers; raise what the server raised."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self._key}", "accept": "application/json"}
        if data is not None:
            headers["content-type"] = "application/json"
        request = urllib.request.Request(self.address + path, data, headers)  # noqa: S310  (the address was checked)
        try:
            with urllib.request.urlopen(request, timeout=120, context=self._trust) as response:  # noqa: S310
                answer: dict[str, Any] = json.loads(response.read())
                return answer
        except urllib.error.HTTPError as refusal:
            with refusal:
                raise _raised(refusal.code, refusal.read()) from None
        except (OSError, http.client.HTTPException) as fault:
            reason = getattr(fault, "reason", fault)
            raise WorkspaceUnusable(
                f"no answer from {self.address}: {reason}", hint="is `pilotage serve` running there?"
            ) from None
        except ValueError:
            raise WorkspaceUnusable(
                f"{self.address} does not answer as a Pilotage server",
                hint="give the address of the control API, such as http://127.0.0.1:8701",
            ) from None


class Commander:
    """Runs commands by name. Who has the workspace is looked up each time, so a server may come and go."""

    def __init__(self, workspace: Path, clock: Clock, *, server: str = "", key: str = "", user: str = "") -> None:
        self.workspace = workspace
        self._clock, self._user = clock, user
        self._server = Server(server, key) if server else None
        self.key = key
        """Whose key this is acts; without one, on a workspace of this machine, the local user does."""

    def run(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run one command and return its result; raise the PilotageError that refused it. It may block."""
        return self._where(
            lambda server: server.run(name, arguments),
            lambda local: local.run(name, arguments),
            prepare=name in MAKES_A_WORKSPACE,
        )

    def events(self, table: str, *, limit: int, use_case: str = "") -> list[dict[str, Any]]:
        """Return the newest sealed events of one table, newest first."""
        query = urllib.parse.urlencode({"table": table, "limit": limit, "use_case": use_case})
        return self._where(
            lambda server: list(server.ask(f"/api/v1/events?{query}")["events"]),
            lambda local: local.events(table, limit=limit, use_case=use_case),
        )

    def gateway(self) -> str | None:
        """Return the base URL of the gateway whose server has the workspace; None where no server has it."""
        if self._server is not None:
            return self._server.gateway()
        return self._where(lambda server: server.gateway(), lambda _: None, prepare=False)

    def _where(
        self, there: Callable[[Server], Result], here: Callable[[Local], Result], *, prepare: bool = False
    ) -> Result:
        """Do it on the named server; else on the workspace, by whoever has its lock: this process or its server."""
        if self._server is not None:
            return there(self._server)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                local = Local(self.workspace, self._clock, self._user, key=self.key, prepare=prepare)
            except WorkspaceUnusable as fault:
                if not is_in_use(fault):
                    raise
                server = server_of(self.workspace, self.key)
                if server is not None:
                    return there(server)
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                continue
            with local:
                return here(local)


def server_of(workspace: Path, key: str = "") -> Server | None:
    """Return the server that says it has the workspace, asked with this key or as the local user.

    A killed one may have left its word behind.
    """
    control = Workspace(workspace).control()
    if control is None:
        return None
    return Server(control.control, key or control.token, certificate=control.certificate, inner=control.gateway)


def _raised(status: int, body: bytes) -> PilotageError:
    """Return the error that a control API's answer stands for, of the class that was raised there."""
    try:
        error = json.loads(body)["error"]
        code, message, hint = str(error["code"]), str(error["message"]), str(error["hint"])
    except (ValueError, KeyError, TypeError):
        return WorkspaceUnusable(
            f"the server answered {status} in a form that is not Pilotage's",
            hint="give the address of the control API, such as http://127.0.0.1:8701",
        )
    if code == "unauthorized":
        return Denied(message, hint="set PILOTAGE_KEY to a key of that server with the role that this needs")
    if code == FaultyFile.code:
        faulty = FaultyFile(error.get("faults", ()))
        faulty.message = message
        return faulty
    if code == GateClosed.code:
        return GateClosed(message, gate=error.get("gate", {}), hint=hint)
    for kind in _PLAIN:
        if kind.code == code:
            return kind(message, hint=hint)
    return Refused(message, hint=hint)
