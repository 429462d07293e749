"""A gateway to measure through: the workspace's running server, or one for as long as the work takes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from pilotage.app.serve import Serving
from pilotage.errors import NotMeasured, WorkspaceUnusable
from pilotage.settings import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pilotage.app.client import Commander

STOP_SECONDS = 60
KNOWN_SECONDS = 20
IN_A_ROW = 20


@contextmanager
def serving(commander: Commander, log: Path | None = None) -> Iterator[tuple[str, str]]:
    """Give (gateway's base URL, a key with the roles infer and operate).

    A server that is started here logs to `log`, with all that it has to say, where a file is given.

    That is the caller's own key where one was given; else a new one, revoked at the end. Where no server has the
    workspace, one is started on free ports for as long as this lasts.
    """
    with ExitStack() as stack:
        gateway = commander.gateway()
        if gateway is None:
            stack.enter_context(_started(commander.workspace, log))
            gateway = commander.gateway()
        if gateway is None:
            raise WorkspaceUnusable(f"the server on {commander.workspace} went away", hint="try again")
        if commander.key:
            _wait_until_known(gateway, commander.key)
            yield gateway, commander.key
            return
        key = commander.run("keys_create", {"name": "measuring", "roles": ["infer", "operate"]})
        stack.callback(commander.run, "keys_revoke", {"id": key["id"]})
        _wait_until_known(gateway, key["secret"])
        yield gateway, key["secret"]


@contextmanager
def _started(workspace: Path, log: Path | None) -> Iterator[Serving]:
    command = [sys.executable, "-m", "pilotage.app.lent", str(os.getpid()), "serve", "--workspace", str(workspace)]
    written = log.open("ab") if log is not None else None
    process = subprocess.Popen(  # noqa: S603 (our own program)
        [*command, "--port", "0", "--control-port", "0", "--workers", "1", "--json"],
        stdout=subprocess.PIPE,
        stderr=written,
        env=child_environment(PILOTAGE_LOG="debug" if written else "warning"),
        start_new_session=True,
    )
    if written is not None:
        written.close()
    with process:
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise WorkspaceUnusable(f"no server could be started on {workspace}", hint="the lines above say why")
            yield msgspec.json.decode(line, type=Serving)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_known(gateway: str, key: str) -> None:
    """Wait until the gateway's workers have all read a key that may be new; each new connection may meet another of them."""
    request = urllib.request.Request(f"{gateway}/v1/models", headers={"authorization": f"Bearer {key}"})  # noqa: S310
    known, until = 0, time.monotonic() + KNOWN_SECONDS
    while known < IN_A_ROW:
        try:
            urllib.request.urlopen(request, timeout=KNOWN_SECONDS).close()  # noqa: S310 (a gateway's own address)
            known += 1
        except urllib.error.HTTPError as refusal:
            refusal.close()
            known = 0
            time.sleep(0.05)
        except OSError as fault:
            raise NotMeasured(f"the gateway at {gateway} does not answer: {fault}") from None
        if time.monotonic() > until:
            raise NotMeasured(f"the gateway at {gateway} does not take the key that its server takes")
