from __future__ import annotations

from pathlib import Path

import pytest

from pilotage.clock import ScaledClock, SystemClock
from pilotage.errors import WrongCall
from pilotage.settings import SETTINGS, load

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_nothing_set_gives_the_defaults() -> None:
    settings = load({})
    assert settings.workspace == Path(".pilotage")
    assert (settings.server, settings.key, settings.log) == ("", "", "info")
    assert isinstance(settings.clock, SystemClock)


def test_every_setting_is_read() -> None:
    settings = load(
        {
            "PILOTAGE_WORKSPACE": "/srv/pilotage",
            "PILOTAGE_SERVER": "https://pilotage.example/",
            "PILOTAGE_KEY": "plt_k",
            "PILOTAGE_CLOCK": "1000:5000:60",
            "PILOTAGE_LOG": "debug",
        }
    )
    assert settings.workspace == Path("/srv/pilotage")
    assert (settings.server, settings.key, settings.log) == ("https://pilotage.example", "plt_k", "debug")
    assert isinstance(settings.clock, ScaledClock)
    assert (settings.clock.origin, settings.clock.start, settings.clock.rate) == (1000, 5000, 60)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PILOTAGE_SERVER", "pilotage.example", "http://"),
        ("PILOTAGE_CLOCK", "fast", "origin:start:rate"),
        ("PILOTAGE_CLOCK", "1:2:-3", "origin:start:rate"),
        ("PILOTAGE_LOG", "loud", "debug"),
        ("PILOTAGE_LOG_FORMAT", "xml", "json"),
    ],
)
def test_a_bad_value_says_what_would_be_right(variable: str, value: str, expected: str) -> None:
    with pytest.raises(WrongCall) as caught:
        load({variable: value})
    assert variable in caught.value.message
    assert expected in caught.value.message + caught.value.hint


def test_the_reference_page_shows_every_setting_as_it_is() -> None:
    rows = [
        tuple(cell.strip() for cell in line.strip("|\n").split("|"))
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
    ]
    assert rows == [(f"`{name}`", default, meaning) for name, (default, meaning) in SETTINGS.items()]
