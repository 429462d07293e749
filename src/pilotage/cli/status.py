"""How every use case stands."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pilotage.cli.options import Json, Server, Workspace, commander, given
from pilotage.cli.output import money, percent, say, show_gate, show_json, table, when


def status(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="The use case; all of them if not given.")] = "",
    *,
    workspace: Workspace = None,
    server: Server = "",
    as_json: Json = False,
) -> None:
    """Show where every use case stands, or everything about one."""
    result = commander(workspace, server).run("status", given(use_case=name))
    if as_json:
        show_json(result)
        return
    for what, fault in result.get("controller", {}).get("faults", {}).items():
        say(f"The controller fails at {what}: {fault}", style="red")
    if result.get("controller", {}).get("standing_by"):
        say("This control process stands by: another one decides.", style="yellow")
    _say_losses(result.get("controller", {}))
    if name:
        _one(result["use_cases"][0])
    elif not result["use_cases"]:
        say("No use case is registered yet; `pilotage init my-use-case` writes a folder to start from.")
    else:
        table(
            ("use case", "stage", "candidate", "share", "live", "gate", "budget"),
            (
                (
                    one["use_case"],
                    _stage(one),
                    _variant(one["candidate"]) or "none",
                    percent(one["rollout"]["share"]) if _rolling(one) else "",
                    _variant(one["live"]) or "nothing",
                    _gate(one["gate"]),
                    ", ".join(
                        f"{budget['spent']:,.2f} of {budget['cap']:,.2f} a {budget['per']}" for budget in one["budget"]
                    ),
                )
                for one in result["use_cases"]
            ),
        )


def _say_losses(controller: dict[str, Any]) -> None:
    lost, dropped = controller.get("lost", 0), controller.get("dropped", 0)
    if controller.get("losing"):
        say("Events cannot be recorded, so rollouts hold. Is the workspace's disk full?", style="red")
    if lost or dropped:
        say(f"Never recorded: {lost:,} events, {dropped:,} texts.", style="yellow")


def _one(one: dict[str, Any]) -> None:
    say(one["use_case"], style="bold")
    facts = {
        "objective": one["objective"],
        "owner": one["owner"],
        "tier": one["tier"],
        "stage": f"{_stage(one)}, since {when(one['stage_since'])}",
        "live": one["live"] or "nothing",
        "candidate": one["candidate"] or "none",
        "charter": one["charter"],
    }
    for label, fact in facts.items():
        if fact:
            say(f"  {label:<10} {fact}")
    rollout = one["rollout"]
    if rollout:
        steps = ", ".join(
            f"[{percent(share)}]" if index == rollout["step"] else percent(share)
            for index, share in enumerate(rollout["shares"])
        )
        say(f"  {'rollout':<10} {rollout['phase']}: {steps}")
        told = rollout["shown"] or rollout["last"]
        if told:
            say(f"  {'':<10} {told['reason']}")
        for number, line in enumerate(_groups(rollout)):
            say(f"  {'' if number else 'groups':<10} {line}")
    for number, budget in enumerate(one["budget"]):
        say(f"  {'' if number else 'budget':<10} {money(budget, one['currency'])}")
    for number, line in enumerate(_money(one["money"]) if one["money"] else ()):
        say(f"  {'' if number else 'money':<10} {line}")
    for number, end in enumerate(one["retirements"]):
        when_ = f"in {end['days']} days" if end["days"] > 0 else "which has come"
        said = f"{end['model']} is shut down on {end['day']} ({when_}), as {end['source']} says: {end['release']}"
        say(f"  {'' if number else 'ends':<10} {said}", style="red" if end["soon"] else "")
    for alarm in one["alarms"]:
        say(f"  {'alarm':<10} {alarm['what']} {alarm['says']} ({alarm['state']}, {alarm['id'][:12]})", style="red")
        if alarm["did"]:
            say(f"  {'':<10} {alarm['did']}")
    if one["gate"]:
        show_gate(one["gate"])


def _groups(rollout: dict[str, Any]) -> list[str]:
    """Return what is known of each group of units, a line each."""
    lines = []
    for release, groups in (rollout["shown"] or {}).get("parity", {}).items():
        for group, metrics in groups.items():
            for name, one in metrics.items():
                who = f"{_variant(release)}, {group}, {name}"
                if one["few"]:
                    lines.append(f"{who}: too few to show")
                    continue
                gap = f"; against the others {one['gap']:+.3g} ({one['gap_low']:+.3g} to {one['gap_high']:+.3g})"
                said = f"{one['value']:+.3g} ({one['low']:+.3g} to {one['high']:+.3g}) at {one['units']:,} units"
                above = ", above its margin" if one["above"] else ""
                lines.append(f"{who}: {said}{gap}{above}")
    return lines


def _money(found: dict[str, Any]) -> list[str]:
    """Return what it comes to, what a goal costs, and what was projected, a line each."""
    currency, lines = found["currency"], []
    for one in found["forecasts"]:
        if one["value"] is not None:
            span = f"{one['low']:,.2f} to {one['high']:,.2f}"
            lines.append(f"{one['period']} comes to {one['value']:,.2f} {currency} ({span}) of {one['cap']:,.2f}")
    week = found["days"][-7:]
    for goal in week[-1]["reached"] if week else ():
        reached, spent = sum(day["reached"][goal] for day in week), sum(day["spent"] for day in week)
        if reached:
            lines.append(f"{spent / reached:,.4g} {currency} for each {goal}, over the last {len(week)} days")
    beside = found["projected"]
    for per, words in (("a_request", "a request"), ("a_month", "a month")):
        if beside and beside[per]:
            two = beside[per]
            error = f" ({two['error']:+.0%})" if two["error"] is not None else ""
            lines.append(
                f"{words} costs {two['actual']:,.4g} {currency}, projected {two['projected']:,.4g}"
                f" ({two['low']:,.4g} to {two['high']:,.4g}){error}"
            )
    return lines


def _rolling(one: dict[str, Any]) -> bool:
    return bool(one["rollout"]) and one["rollout"]["phase"] in ("running", "paused")


def _stage(one: dict[str, Any]) -> str:
    stage = "retired" if one["retired"] else str(one["stage"])
    return f"{stage} (paused)" if one["paused"] else stage


def _variant(reference: str) -> str:
    return reference.partition("/")[2]


def _gate(gate: dict[str, Any] | None) -> str:
    if not gate:
        return ""
    criteria = gate["criteria"]
    met = sum(criterion["verdict"] in ("pass", "waived") for criterion in criteria)
    return f"{gate['stage']}: " + ("open" if gate["open"] else f"{met} of {len(criteria)} met")
