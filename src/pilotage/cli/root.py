"""All commands under one name."""

from __future__ import annotations

from typing import Annotated

import typer

from pilotage import __version__
from pilotage.cli import (
    alarms,
    backup,
    cases,
    data,
    demo,
    events,
    evidence,
    folder,
    keys,
    ledger,
    measure,
    plan,
    policy,
    portfolio,
    probes,
    recheck,
    rehearse,
    report,
    serve,
    status,
    way,
)
from pilotage.cli.output import say

app = typer.Typer(
    help="Takes a generative-AI use case from concept to production, and keeps it good there.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

WELCOME = """\
Pilotage takes a generative-AI use case from concept to production, and keeps it good there.

  pilotage demo                watch one use case go the whole way, in under three minutes
  pilotage init my-use-case    write a commented folder to start from
  pilotage serve               start the gateway and the console

pilotage --help lists every command."""


def _version(asked: bool) -> None:
    if asked:
        say(f"pilotage {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None and not version:
        say(WELCOME)


for command in (
    folder.init,
    folder.check,
    plan.plan,
    folder.apply,
    serve.serve,
    status.status,
    portfolio.portfolio,
    measure.evaluate,
    rehearse.rehearse,
    recheck.recheck,
    report.report,
    way.promote,
    way.approve,
    way.waive,
    way.pause,
    way.resume,
    way.rollback,
    way.retire,
    events.events,
    backup.backup,
    demo.demo,
):
    app.command()(command)
app.add_typer(alarms.app, name="alarms")
app.add_typer(ledger.app, name="ledger")
app.add_typer(keys.app, name="keys")
app.add_typer(data.app, name="data")
app.add_typer(policy.app, name="policy")
app.add_typer(evidence.app, name="evidence")
app.add_typer(cases.app, name="cases")
app.add_typer(probes.app, name="probes")
