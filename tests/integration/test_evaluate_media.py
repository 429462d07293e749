"""Cases for pictures and sound through a real gateway: painted, read aloud, scored by their bytes, withheld, judged, kept."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from pilotage.cli.measure import write_media
from pilotage.errors import NotMeasured
from pilotage.evaluation.judge.run import judge
from pilotage.evaluation.run import evaluate
from tests.integration.gateway_rig import Rig, release
from tests.integration.surfaces_provider import Surfaces
from tests.integration.test_evaluate_small import Desk
from tests.unit.test_media import png, wav

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

PAINTED: dict[str, Any] = {"surface": "images", "picture": {"format": ["png"], "width": [64, 64]}}
SPOKEN: dict[str, Any] = {"surface": "speech", "sound": {"format": ["wav"], "seconds": [1, 2]}}


class Studio(Surfaces):
    """Paints and speaks by what the text says, and judges a picture by its bytes."""

    def behave(self, handler: BaseHTTPRequestHandler, behaviour: str, surface: str, body: dict[str, Any]) -> None:
        text = str(body.get("prompt") or body.get("input") or "")
        self.asked = [*getattr(self, "asked", []), text or "judge"]
        if surface == "chat/completions":
            parts = body["messages"][-1]["content"]
            shown = parts[1] if isinstance(parts, list) else {}
            data = shown.get("image_url", {}).get("url", "").partition(",")[2]
            data = data or shown.get("input_audio", {}).get("data", "")
            said = json.dumps({"verdict": "right" if base64.b64decode(data) in (png(), wav()) else "wrong"})
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
            self._whole(handler, {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 4}})
        elif "violence" in text:
            says = {"message": "Your request was rejected.", "code": "content_policy_violation"}
            self._whole(handler, {"error": says}, status=400)
        elif "hostile" in text:
            self._whole(handler, {"data": [{"b64_json": base64.b64encode(b"\x89PNG\r\n\x1a\n\0\xff").decode()}]})
        elif surface == "images/generations":
            self._whole(handler, {"data": [{"b64_json": base64.b64encode(png()).decode()}]})
        else:
            self._start(handler, "audio/wav", chunked=True)
            self._chunk(handler, wav())
            handler.wfile.write(b"0\r\n\r\n")


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    running = Studio()
    yield running
    running.close()


class MediaDesk(Desk):
    judge = ""

    def __call__(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        found = super().__call__(name, arguments)
        return {**found, "judge": self.judge} if name == "evaluation_plan" else found


@pytest.fixture(scope="module")
def rig(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("gateway"))
    rig.route("desk", release("desk", studio.url("ok")), release("desk", studio.url("ok"), "judge"))
    rig.start()
    yield rig
    rig.close()


def desk_of(studio: Studio, cases: list[dict[str, Any]]) -> MediaDesk:
    price = {"input": 0.0, "output": 0.0, "image": 0.04, "speech": 15.0}
    desk = MediaDesk(
        cases, candidate=release("desk", studio.url("ok")).reference, variants={"assistant": {"price": price}}
    )
    desk.judge = release("desk", studio.url("ok"), "judge").reference
    return desk


def test_pictures_and_sound_are_evaluated(rig: Rig, studio: Studio, tmp_path: Path) -> None:
    cases = [
        {"id": "cat", "text": "A cat", **PAINTED, "refuses": False},
        {"id": "wide", "text": "A wide cat", **PAINTED | {"picture": {"width": [1024, 1024]}}},
        {"id": "harm", "text": "violence", **PAINTED, "refuses": True},
        {"id": "bent", "text": "hostile", **PAINTED},
        {"id": "spoken", "text": "Your parcel arrives tomorrow.", **SPOKEN},
    ]
    desk, where = desk_of(studio, cases), f"http://127.0.0.1:{rig.port}"
    found = asyncio.run(evaluate(desk, where, rig.operator, "desk", max_cost=1.0))
    by_case = {one["case"]: one for one in found["results"]}
    assert {name: one["value"] for name, one in by_case.items()} == {
        "cat": 1, "wide": 0, "harm": 1, "bent": 0, "spoken": 1,
    }  # fmt: skip
    assert by_case["wide"]["why"] == "has width 64, and should have 1024"
    assert by_case["bent"]["why"] == "is no picture of a known form"
    assert "content_policy_violation" in by_case["harm"]["reply"]
    assert by_case["spoken"]["reply"].startswith("sound wav 1.5 s 24000 Hz")
    assert found["spent"] == pytest.approx(3 * 0.04 + 29 * 15 / 1e6)
    assert desk.evidence["cost"]["value"] == pytest.approx(found["spent"] / 5)

    # Nothing is paid for twice, and what came can be looked at.
    before = len(studio.asked)
    again = asyncio.run(evaluate(desk, where, rig.operator, "desk"))
    assert (again["kept"], again["asked"], len(studio.asked)) == (5, 0, before)
    asyncio.run(write_media(desk, "desk", again["results"], tmp_path / "media"))
    written = sorted(one.suffix for one in (tmp_path / "media").iterdir())
    assert written == [".bin", ".png", ".wav"]
    assert next((tmp_path / "media").glob("*.png")).read_bytes() == png()

    # The cap stops before a picture that could pass it.
    poor = desk_of(studio, cases[:2])
    with pytest.raises(NotMeasured, match="1 questions were not asked"):
        asyncio.run(evaluate(poor, where, rig.operator, "desk", max_cost=0.05, concurrency=1))


def test_a_judge_sees_the_picture(rig: Rig, studio: Studio) -> None:
    cases = [
        {"id": "cat", "text": "A cat", **PAINTED},
        {"id": "harm", "text": "violence", **PAINTED},
        {"id": "spoken", "text": "Good day", **SPOKEN},
    ]
    desk = desk_of(studio, cases)
    found = asyncio.run(judge(desk, f"http://127.0.0.1:{rig.port}", rig.operator, "desk"))
    measure = next(one for one in found["measures"] if one["measure"] == "judge")
    assert measure["detail"]["verdicts"] == {"right": 2, "wrong": 1}
    assert "picture png 64 x 32" in found["sheet"]
