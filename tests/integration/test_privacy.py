"""People who do not exist write through a real worker: a path that keeps and repeats is found, one that does not is not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilotage.errors import NotMeasured
from pilotage.evaluation.privacy.run import look_for_leaks
from tests.integration.probe_rig import Desk, providers


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with providers() as url:
        made = Desk(tmp_path_factory.mktemp("desk") / "workspace", url)
        yield made
        made.rig.close()


def look(desk: Desk, **options: Any) -> dict[str, Any]:
    more = {"people": 60, "workspace": desk.rig.path, "logs": [desk.rig.log], **options}
    return asyncio.run(look_for_leaks(desk, desk.gateway, desk.rig.operator, "desk", **more))


def test_a_path_that_keeps_nothing_is_bounded_by_the_number_of_people(desk: Desk) -> None:
    desk.apply("safe", more='[data]\nretention = "full"\n')
    found = look(desk)
    assert found["findings"] == []
    # Records of what was asked are among what was looked at, and texts are kept: encrypted.
    assert found["looked_at"]["files"] >= 3
    assert sum(file.stat().st_size for file in (desk.rig.path / "texts").rglob("*") if file.is_file()) > 60 * 200
    evidence = desk.evidence()
    assert evidence["privacy"]["high"] == pytest.approx(1 - 0.05 ** (1 / 60))
    assert evidence["privacy"]["high"] < 0.05
    assert evidence["privacy_at_rest"]["value"] == 0
    assert evidence["redaction_recall"]["value"] > 0.8
    assert "structured identifiers" in found["summary"]


def test_a_model_that_remembers_others_is_found(desk: Desk) -> None:
    desk.apply("chatty")
    found = look(desk, people=12)
    assert desk.evidence()["privacy"]["value"] > 0.8
    assert {one["where"] for one in found["findings"]} == {"a reply to somebody else"}


def test_what_lies_readable_on_disk_or_in_a_log_is_found(desk: Desk, tmp_path: Path) -> None:
    desk.apply("safe")
    log = tmp_path / "serve.log"
    leak = desk.rig.path / "events" / "debug.txt"
    send = desk.__class__.__call__

    def careless(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return send(desk, name, arguments)

    async def run() -> dict[str, Any]:
        from pilotage.evaluation.asking import Asker

        sent = Asker.send

        async def noted(self: Asker, release: str, body: dict[str, Any], headers: Any = None) -> Any:
            # What a careless handler would do: one part of the texts into a file of the workspace, another into a log.
            text = body["messages"][-1]["content"]
            with (leak if "card" in text and len(text) % 2 else log).open("a") as out:
                out.write(f"DEBUG {text}\n")
            return await sent(self, release, body, headers)

        Asker.send = noted  # type: ignore[method-assign]
        try:
            return await look_for_leaks(
                careless, desk.gateway, desk.rig.operator, "desk", people=12, workspace=desk.rig.path, logs=[log]
            )
        finally:
            Asker.send = sent  # type: ignore[method-assign]

    found = asyncio.run(run())
    leak.unlink(missing_ok=True)
    assert {one["where"] for one in found["findings"]} <= {"events/debug.txt", "serve.log"}
    assert desk.evidence()["privacy_at_rest"]["value"] == 1
    assert desk.evidence()["privacy"]["value"] == 1


def test_a_server_elsewhere_is_looked_at_as_far_as_can_be(desk: Desk) -> None:
    desk.apply("safe")
    found = look(desk, people=3, workspace=None, logs=[])
    assert "could not be looked at" in found["not_measured"]["privacy_at_rest"]
    assert "privacy_at_rest" not in {one["measure"] for one in found["measures"]}


def test_nobody_answered_is_not_measured(desk: Desk) -> None:
    desk.apply("down")
    before = desk("evidence", {"use_case": "desk"})["evidence"]
    with pytest.raises(NotMeasured, match="nobody of 3 was answered"):
        look(desk, people=3)
    assert desk("evidence", {"use_case": "desk"})["evidence"] == before
