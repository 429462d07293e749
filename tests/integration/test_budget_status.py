"""Budgets of a whole server: unknown prices, keys, `status`, the ledger, and what a killed worker had taken."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import pilotage, serving, write_use_case
from tests.integration.gateway_rig import Provider, until

COST = 0.07
"""Of one answer of the provider's: 7 tokens at 10,000 for a million."""


def test_a_budget_is_shown_told_of_and_settled(tmp_path: Path, provider: Provider) -> None:
    folder, ws = write_use_case(tmp_path / "help"), tmp_path / "ws"
    text = (folder / "usecase.toml").read_text()
    model = f'[upstreams.m]\nbase_url = "{provider.url("ok")}"\n\n[variants.before]\nupstream = "m"\nmodel = "m"\n'
    text = text.replace('[variants.before]\nupstream = "search"\nknowledge = ["knowledge/*.md"]\n', model)
    (folder / "usecase.toml").write_text(text)
    refused = pilotage("check", str(folder))
    assert refused.returncode == 1
    assert "variants.before has no price, so budget.a_day could not be held" in refused.stderr + refused.stdout
    priced = text.replace('model = "m"\n', 'model = "m"\nprice = { input = 0, output = 10000 }\n')
    (folder / "usecase.toml").write_text(priced.replace("a_day = 10.0", "a_day = 50.0"))
    with serving(ws, workers=1) as server:
        assert pilotage("apply", str(folder), workspace=ws).returncode == 0
        for wrong in ("0", "-3", "nan", "inf"):
            assert pilotage("keys", "create", "x", "--money-a-day", wrong, workspace=ws).returncode != 0, wrong
        key = server.key("infer", a_day=0.5)
        until(lambda: server.chat(key, "u", max_tokens=10).status == 200)
        broke = server.chat(key, "u", max_tokens=100)
        assert (broke.status, broke.json["error"]["code"]) == (429, "budget_exceeded")
        assert "may cost more than the budget of this key has" in broke.json["error"]["message"]

        def budget() -> dict[str, Any]:
            shown = pilotage("status", "help", "--json", workspace=ws)
            (one,) = json.loads(shown.stdout)["use_cases"][0]["budget"]
            return dict(one)

        until(lambda: budget()["spent"] == COST)
        assert (budget()["cap"], budget()["per"]) == (50, "day")
        assert "0.07 of 50.00 EUR spent in" in pilotage("status", "help", workspace=ws).stdout
        assert budget()["given_out"] >= 40
        # Most of it is given out, for a plain request may cost 41: the ledger says so once.
        entries = until(
            lambda: [e for e in server.command("ledger")["entries"] if e["action"] == "budget" and e["use_case"]]
        )
        assert [entry["detail"]["part"] for entry in entries] == [80]

        def holders() -> set[str]:
            with closing(SqliteStore(Workspace(ws).state)) as store, store.read() as tx:
                return {share.holder for share in tx.allowances.shares()}

        before = holders()
        server.kill("pilotage.app.worker")
        until(lambda: not before & holders(), seconds=60)
        assert budget()["spent"] >= COST
