"""Keys: who may ask, answer, operate, approve."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pilotage import settings
from pilotage.access import Role
from pilotage.cli.options import Json, Server, Workspace, commander, given
from pilotage.cli.output import money, say, show_json, table, when
from pilotage.errors import WrongCall
from pilotage.spec.quantity import parse_duration

app = typer.Typer(help="Keys for clients, people and machines.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, for people to read.", show_default=False)],
    *,
    role: Annotated[
        list[Role] | None,
        typer.Option(
            "--role", help="What it may do; several are possible.  [default: infer, feedback]", show_default=False
        ),
    ] = None,
    use_case: Annotated[
        list[str] | None,
        typer.Option(
            "--use-case", metavar="NAME", help="For this use case only; several are possible.", show_default=False
        ),
    ] = None,
    person: Annotated[
        str,
        typer.Option(
            "--person",
            metavar="PERSON",
            help="Who answers for what is done with it; whoever makes it if not given.",
            show_default=False,
        ),
    ] = "",
    expires_in: Annotated[
        str,
        typer.Option("--expires-in", metavar="TIME", help="How long it is good for, such as 90d.", show_default=False),
    ] = "",
    requests_a_minute: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The most requests in one minute.", show_default=False)
    ] = None,
    tokens_a_minute: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The most tokens in one minute.", show_default=False)
    ] = None,
    money_a_day: Annotated[
        float | None,
        typer.Option(metavar="MONEY", min=1e-6, help="The most that one day may cost.", show_default=False),
    ] = None,
    money_a_month: Annotated[
        float | None,
        typer.Option(metavar="MONEY", min=1e-6, help="The most that one month may cost.", show_default=False),
    ] = None,
    currency: Annotated[
        str, typer.Option(metavar="CODE", help="What that money is in: the currency of the use cases that it asks.")
    ] = "EUR",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Make a key. Its secret is shown this once and stored nowhere."""
    expires = 0
    if expires_in:
        try:
            expires = settings.load().clock.now() + parse_duration(expires_in)
        except ValueError as fault:
            raise WrongCall(f"--expires-in: {fault}") from None
    arguments = given(
        name=name,
        roles=[str(one) for one in role or (Role.INFER, Role.FEEDBACK)],
        use_cases=use_case or [],
        expires=expires or None,
        person=person,
        requests_a_minute=requests_a_minute,
        tokens_a_minute=tokens_a_minute,
        a_day=money_a_day,
        a_month=money_a_month,
        currency=currency,
    )
    result = commander(workspace, server).run("keys_create", arguments)
    if as_json:
        show_json(result)
        return
    say(f"Key {result['id']} ({', '.join(result['roles'])}). Its secret, shown this once:", style="bold")
    say(result["secret"])


@app.command("list")
def list_keys(
    *,
    ended: Annotated[bool, typer.Option("--all", help="Those as well that were revoked or have expired.")] = False,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """List the keys that are good, without secrets."""
    result = commander(workspace, server).run("keys_list", given(ended=ended))
    if as_json:
        show_json(result)
        return
    table(
        ("id", "name", "person", "roles", "use cases", "created", "expires", "revoked", "limits"),
        (
            (
                key["id"],
                key["name"],
                key["person"],
                ", ".join(key["roles"]),
                ", ".join(key.get("use_cases", ())) or "all",
                when(key["created"]),
                when(key.get("expires", 0)),
                when(key.get("revoked", 0)),
                _limits(key),
            )
            for key in result["keys"]
        ),
    )


@app.command()
def rotate(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id.", show_default=False)],
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", metavar="TIME", help="How long the old one goes on being good.")
    ] = "1d",
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Make a key's successor, with the same powers and for the same time. Its secret is shown this once."""
    try:
        lasts = parse_duration(overlap) if overlap != "0" else 0
    except ValueError as fault:
        raise WrongCall(f"--overlap: {fault}") from None
    result = commander(workspace, server).run("keys_rotate", {"id": key, "overlap": lasts})
    if as_json:
        show_json(result)
        return
    say(f"Key {result['id']} takes the place of {key}, which is good until {when(result['old_expires'])}.")
    say("Its secret, shown this once:", style="bold")
    say(result["secret"])


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id.", show_default=False)],
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Make a key useless, at once."""
    result = commander(workspace, server).run("keys_revoke", {"id": key})
    if as_json:
        show_json(result)
    else:
        say(f"Key {key} is revoked.")


def _limits(key: dict[str, Any]) -> str:
    """Return what may be asked with a key, and how its money stands."""
    says = [
        f"{key[name]:,} {name.replace('_', ' ')}" for name in ("requests_a_minute", "tokens_a_minute") if key.get(name)
    ]
    says += [money(budget, key["currency"]) for budget in key.get("budget", ())]
    return "; ".join(says)
