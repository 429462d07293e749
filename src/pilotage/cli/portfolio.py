"""All use cases together: what each objective gets and costs."""

from __future__ import annotations

from typing import Any

from pilotage.cli.options import Json, Server, Workspace, commander
from pilotage.cli.output import say, show_json, table


def portfolio(*, workspace: Workspace = None, server: Server = "", as_json: Json = False) -> None:
    """Show what each objective of the organisation gets and costs this month, and every use case with its risks.

    --json is the whole inventory: owner, purpose, people affected, classes of data, providers, regions, tier and reasons.
    """
    result = commander(workspace, server).run("portfolio", {})
    if as_json:
        show_json(result)
        return
    if not result["use_cases"]:
        say("No use case is registered yet; `pilotage init my-use-case` writes a folder to start from.")
        return
    if result["objectives"]:
        say(f"{result['organisation']}, {result['month']}", style="bold")
        table(
            ("objective", "use cases", "gets", "spent", "may spend"),
            (
                (
                    one["objective"],
                    ", ".join(one["use_cases"]) or "none yet",
                    "; ".join(map(_gets, one["gets"])) or "nothing shown yet",
                    _money(one["spent"]) + (" (above)" if one["above"] else ""),
                    "" if one["a_month"] is None else f"{one['a_month']:,.2f} {one['currency']}",
                )
                for one in result["objectives"]
            ),
        )
        say()
    table(
        ("use case", "stage", "tier", "owner", "on call", "data", "goals", "spent", "open"),
        (
            (
                one["use_case"],
                one["stage"],
                one["tier"],
                one["owner"],
                "" if one["on_call"] is None else ", ".join(one["on_call"]) or "nobody",
                ", ".join(one["data"]["classes"]) or "none named",
                ", ".join(map(_goal, one["goals"])),
                "" if one["spent"] is None else f"{one['spent']:,.2f} {one['currency']}",
                _open(one),
            )
            for one in result["use_cases"]
        ),
    )


def _money(spent: dict[str, float] | None) -> str:
    if spent is None:
        return "unknown"
    return ", ".join(f"{amount:,.2f} {currency}" for currency, amount in spent.items()) or "0"


def _gets(goal: dict[str, Any]) -> str:
    return f"{goal['use_case']}: {goal['says']}{'' if goal['proved'] else ', not proven'}"


def _goal(goal: dict[str, Any]) -> str:
    return str(goal["says"] or goal["goal"])


def _open(one: dict[str, Any]) -> str:
    found = []
    if one["breaches"]:
        found.append(f"{len(one['breaches'])} rules broken")
    if one["risks"]["untreated"]:
        found.append(f"{len(one['risks']['untreated'])} risks untreated")
    if one["card"] is not None and one["card"]["stale"]:
        found.append("card does not match")
    return ", ".join(found)
