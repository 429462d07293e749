"""Pictures of the console for the documents, from the demo's own requests: light and dark.

    make screenshots

It starts the demo, looks at the pages while the rollout is at 25 %, in a real browser (Playwright drives the system's
Chromium), and ends the demo.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
CASE = "/use-cases/support"
PAGES = {
    "board": "/",
    "use-case": CASE,
    "rollout": f"{CASE}/rollout",
    "live": f"{CASE}/live",
    "report": f"{CASE}/reports",
}
HEIGHTS = {"rollout": 1_900, "live": 1_150}
WIDTH, HEIGHT = 1280, 950
PATIENCE = 600


class Demo:
    def __init__(self, workspace: Path) -> None:
        command = [sys.executable, "-m", "pilotage", "demo", "--keep", "--workspace", str(workspace)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._facts = workspace / "run" / "control.json"

    def status(self) -> dict[str, Any]:
        """Return where the use case stands; nothing while there is no server yet."""
        try:
            facts = json.loads(self._facts.read_text())
            request = urllib.request.Request(
                f"{facts['control']}/api/v1/use-cases/support", headers={"authorization": f"Bearer {facts['token']}"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                found: dict[str, Any] = json.load(answer)
        except (OSError, ValueError):
            return {}
        return {**found, **facts}

    def until_it_rolls(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            found = self.status()
            rollout = found.get("rollout") or {}
            if rollout.get("phase") == "running" and rollout.get("share", 0) >= 250_000:
                return found
            time.sleep(0.5)
        sys.exit("the demo did not come to 25 %")

    def end(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=60)


def take(browser: Browser, facts: dict[str, Any]) -> None:
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{facts['control']}/sign-in")
        page.fill("#key", facts["token"])
        page.click("form.door button")
        for name, path in PAGES.items():
            page.set_viewport_size({"width": WIDTH, "height": HEIGHTS.get(name, HEIGHT)})
            page.goto(facts["control"] + path)
            page.screenshot(path=PICTURES / f"console-{name}-{scheme}.png")
        context.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pilotage-pictures-") as folder, sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser") or sys.exit("there is no chromium here")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        demo = Demo(Path(folder) / "workspace")
        try:
            take(browser, demo.until_it_rolls())
        finally:
            demo.end()
            browser.close()


if __name__ == "__main__":
    main()
