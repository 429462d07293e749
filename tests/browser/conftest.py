"""A real browser: the system's chromium, driven by Playwright. Where either is missing, these tests say so and skip."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install -r requirements/browser.txt"
)
pytest.importorskip("axe_playwright_python", reason="axe is not installed: pip install -r requirements/browser.txt")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser a module: Playwright keeps an event loop in this thread for as long as it runs."""
    if not CHROMIUM:
        pytest.skip("there is no chromium here: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()
