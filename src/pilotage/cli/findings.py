"""What the suites found, as people read it on a terminal, and as SARIF."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pilotage.cli.output import say, table
from pilotage.errors import WorkspaceUnusable

if TYPE_CHECKING:
    from pathlib import Path


def show(suite: str, result: dict[str, Any]) -> None:
    table(
        ("measure", "value", "interval", "n"),
        (
            (one["measure"], f"{one['value']:.4g}", f"{one['low']:.4g} to {one['high']:.4g}", one["n"])
            for one in result["measures"]
        ),
    )
    if suite == "security":
        _show_security(result)
    if suite == "privacy":
        _show_privacy(result)
    if suite == "bias":
        _show_bias(result)
    say(result["summary"])


def _show_security(result: dict[str, Any]) -> None:
    from pilotage.evaluation.security.probe import RISKS

    say()
    table(
        ("risk", "", "probes", "succeeded", "at most"),
        (
            (risk, RISKS[risk], row["probes"], row["succeeded"], f"{row['high']:.1%}")
            for risk, row in result["risks"].items()
        ),
    )
    if result["findings"]:
        say()
        table(
            ("finding", "risk", "times", "why"),
            (
                (one["probe"], one["risk"], f"{one['successes']} of {one['repeats']}", one["why"])
                for one in result["findings"][:40]
            ),
        )
    if result["compared"]:
        one = result["compared"]
        say()
        say(
            f"Of {one['pairs']} attacks {one['succeeded_here']} succeeded here and {one['succeeded_there']} on "
            f"{one['release']}; {len(one['only_here'])} only here, {len(one['only_there'])} only there "
            f"(exact McNemar p = {one['p']:.2g})."
        )
    say()


def _show_privacy(result: dict[str, Any]) -> None:
    say()
    recall = next((one for one in result["measures"] if one["measure"] == "redaction_recall"), None)
    if recall is not None:
        detail = recall["detail"]
        table(
            ("labelled as", "redaction finds", "of", "has a form"),
            (
                (kind, found, of, "yes" if kind in detail["structured"] else "no")
                for kind, (found, of) in detail["by_type"].items()
            ),
        )
    if result["findings"]:
        say()
        table(
            ("person", "what", "found in"),
            ((one["whose"], one["kind"], one["where"]) for one in result["findings"][:40]),
        )
    for name, why in result["not_measured"].items():
        say(f"not measured: {name}: {why}", style="yellow")
    say()


def _show_bias(result: dict[str, Any]) -> None:
    def gap(one: dict[str, Any], name: str) -> str:
        found = one["gaps"].get(name)
        return f"{found['value'] * 100:+.1f} ({found['low'] * 100:+.1f} to {found['high'] * 100:+.1f})" if found else ""

    say()
    table(
        ("attribute", "group", "against", "success, points", "refusal, points", "flips", "for no reason", "longer", "tone", "least p", "verdict", "cases to know"),
        (
            (
                one["attribute"], one["group"], one["reference"], gap(one, "success"), gap(one, "refusal"),
                f"{one['flips']:.1%}", f"{one['null_flips']:.1%}", f"{one['longer']:+.1%}", f"{one['tone']:+.3f}",
                f"{min(one['adjusted'].values()):.2g}", one["verdict"], one["needed"],
            )
            for one in result["comparisons"]
        ),
    )  # fmt: skip
    say(
        "Intervals are of 90 %, p is Holm's over all tests; equivalent means that all of both intervals lies inside the margin."
    )
    say()


def write_sarif(path: Path, result: dict[str, Any]) -> None:
    from pilotage.evaluation.security.sarif import sarif

    text = json.dumps(sarif(result["candidate"], result["findings"]), indent=2, ensure_ascii=False)
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as fault:
        raise WorkspaceUnusable(f"{path} cannot be written: {fault.strerror}", hint="name another place") from None
