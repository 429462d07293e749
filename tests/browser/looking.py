"""Somebody who looks at the console in a browser, and notices what should not be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python
from playwright.sync_api import Browser, Dialog, Page

MARKUP = "<script>window.wasRun=1</script><img src=x onerror='window.wasRun=1'>\"><b>bold</b>{{7*7}}"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
CHECKS = """async (only) => {
  const found = await axe.run(document, {resultTypes: ["violations"], ...(only ? {runOnly: {type: "rule", values: [only]}} : {})});
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ") + " " + node.failureSummary).slice(0, 3).join("; ")}`);
}"""
_ID = re.compile(r"[0-9a-f]{8,}|\d+")


class Looking:
    """One browser window of its own, with its cookies. `noticed` is what the browser complained of by itself."""

    def __init__(self, browser: Browser, address: str, key: str = "") -> None:
        self.address = address
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
        self.context.set_default_timeout(60_000)
        self.page: Page = self.context.new_page()
        self.noticed: list[str] = []
        self.page.on("dialog", self._dialog)
        self.page.on("pageerror", lambda error: self.noticed.append(f"an error: {error}"))
        self.page.on(
            "console", lambda said: self.noticed.append(said.text) if "Content Security" in said.text else None
        )
        if key:
            self.sign_in(key)

    def _dialog(self, dialog: Dialog) -> None:
        self.noticed.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def sign_in(self, key: str) -> None:
        self.open("/sign-in")
        self.page.get_by_label("Key", exact=True).fill(key)
        self.page.get_by_role("button", name="Sign in", exact=True).click()
        self.page.get_by_role("heading", name="Use cases").wait_for()

    def open(self, path: str) -> int:
        answer = self.page.goto(self.address + path)
        assert answer is not None
        return int(answer.status)

    def text(self) -> str:
        found = self.page.inner_text("main")
        return str(found)

    def links(self) -> list[str]:
        """Return the paths of this console that the page links to."""
        found = self.page.eval_on_selector_all("a[href]", "all => all.map((one) => one.href)")
        mine = [urlsplit(one) for one in found if one.startswith(f"{self.address}/")]
        return [f"{one.path}?{one.query}" if one.query else one.path for one in mine]

    def faults(self) -> list[str]:
        """Return what is wrong with the page as it is shown: for people who read it otherwise, on small and wide screens, with markup."""
        found = [*self.noticed]
        self.noticed.clear()
        self.page.evaluate(AXE)
        found += self._axe("")
        self.page.emulate_media(color_scheme="dark")
        found += [f"in the dark: {one}" for one in self._axe("color-contrast")]
        self.page.emulate_media(color_scheme="light")
        for width in (360, 1920):
            self.page.set_viewport_size({"width": width, "height": 900})
            beyond = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if beyond > 0:
                found.append(f"{beyond} px beyond {width} px")
        self.page.set_viewport_size({"width": 1280, "height": 900})
        if self.page.evaluate("window.wasRun"):
            found.append("markup was run")
        loose = self.page.eval_on_selector_all(
            "body script, img[onerror], main b", "all => all.map((one) => one.outerHTML)"
        )
        return found + [f"markup became an element: {one}" for one in loose if one]

    def _axe(self, only: str) -> list[str]:
        found: list[str] = self.page.evaluate(CHECKS, only)
        return found

    def close(self) -> None:
        self.context.close()


def shape(path: str) -> str:
    """Return what a page is of: its path without ids, numbers and what is asked for."""
    place, _, query = path.partition("?")
    names: Any = sorted({part.partition("=")[0] for part in query.split("&") if part.partition("=")[2]})
    return f"{_ID.sub('#', place)}?{'&'.join(names)}"
