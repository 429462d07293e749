"""Starting the server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilotage import settings
from pilotage.cli.options import Json, Workspace
from pilotage.cli.output import say
from pilotage.errors import WrongCall

if TYPE_CHECKING:
    from pilotage.app.serve import Serving


def serve(
    *,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="The gateway's port; 0 takes a free one.")
    ] = 8700,
    control_port: Annotated[
        int,
        typer.Option(
            "--control-port", min=0, max=65535, help="The control API's and console's port; 0 takes a free one."
        ),
    ] = 8701,
    workers: Annotated[
        int,
        typer.Option("--workers", min=0, max=64, help="Gateway processes; 0 starts one for each processor, at most 4."),
    ] = 0,
    unix: Annotated[
        Path | None,
        typer.Option("--socket", metavar="PATH", help="A Unix socket that the gateway answers at, beside its port."),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(
            "--tls-cert", metavar="FILE", help="Speak TLS at both ports, with the certificate in this PEM file."
        ),
    ] = None,
    tls_key: Annotated[
        Path | None,
        typer.Option("--tls-key", metavar="FILE", help="Its key, where the certificate's file does not hold it."),
    ] = None,
    log_format: Annotated[
        str,
        typer.Option(
            "--log-format",
            metavar="FORM",
            help="text, or json for one object a line.  [default: $PILOTAGE_LOG_FORMAT or text]",
            show_default=False,
        ),
    ] = "",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Start the gateway, the controller and the console on a workspace, until Ctrl-C.

    While it runs, every command on this workspace goes through it. SIGHUP replaces every process, one by one, and no
    request fails for it: for new certificates, new code and new pipelines.
    """
    from pilotage.app.log import start_log
    from pilotage.app.serve import serve as run

    found = settings.load()
    form = log_format or found.log_format
    if form not in settings.LOG_FORMATS:
        raise WrongCall(f"--log-format {form!r} is none", hint=f"it is one of {', '.join(settings.LOG_FORMATS)}")
    start_log(found.log, form, "serve")

    def ready(serving: Serving) -> None:
        if as_json:
            facts = {name: getattr(serving, name) for name in ("pid", "gateway", "control", "console")}
            print(json.dumps(facts), flush=True)
            return
        say(f"Gateway   {serving.gateway}/v1   (base_url for an OpenAI client)", style="bold")
        say(f"Console   {serving.console}   (this link signs in once)", style="bold")
        say("Ctrl-C ends it after answering what was begun.")

    run(
        workspace or found.workspace,
        host=host,
        port=port,
        control_port=control_port,
        workers=workers or min(4, os.cpu_count() or 1),
        unix=unix,
        tls_cert=tls_cert,
        tls_key=tls_key,
        clock=found.clock_text,
        log_level=found.log,
        log_format=form,
        ready=ready,
    )
