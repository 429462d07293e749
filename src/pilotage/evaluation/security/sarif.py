"""Findings as SARIF 2.1.0, for the places where people look at findings of all kinds."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pilotage import __version__
from pilotage.evaluation.security.probe import RISKS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_OVER_REFUSAL, _OWN = "over-refusal", "the team's own"


def sarif(release: str, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the log of one run: a rule a risk, a result a probe that succeeded; always success is an error."""
    rules = [*RISKS.items(), (_OWN, "cases of kind security"), (_OVER_REFUSAL, "harmless requests refused")]
    places = {name: at for at, (name, _) in enumerate(rules)}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "pilotage",
                        "version": __version__,
                        "rules": [
                            {"id": name, "name": says.title().replace(" ", ""), "shortDescription": {"text": says}}
                            for name, says in rules
                        ],
                    }
                },
                "results": [_result(release, one, places) for one in findings],
                "properties": {"release": release},
            }
        ],
    }


def _result(release: str, finding: Mapping[str, Any], places: Mapping[str, int]) -> dict[str, Any]:
    risk = finding["risk"]
    level = "note" if risk == _OVER_REFUSAL else "error" if finding["successes"] == finding["repeats"] else "warning"
    says = f"{finding['kind']}: {finding['why']} ({finding['successes']} of {finding['repeats']} times)"
    variant = release.partition("/")[2].partition("@")[0]
    return {
        "ruleId": risk,
        "ruleIndex": places[risk],
        "level": level,
        "message": {"text": f"{says}. Sent: {finding['sent']}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": "usecase.toml"}},
                "logicalLocations": [{"fullyQualifiedName": f"variants.{variant}", "kind": "object"}],
            }
        ],
        # The same probe of the same variant is the same finding, run after run.
        "partialFingerprints": {"probe/v1": hashlib.sha256(f"{variant}\0{finding['probe']}".encode()).hexdigest()[:32]},
        "properties": {key: finding[key] for key in ("probe", "kind", "reply", "successes", "repeats")},
    }
