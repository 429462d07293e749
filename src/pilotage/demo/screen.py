"""What the demo shows while it runs: where the use case stands, who gets what, and every decision in its own words."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pilotage.clock import SECOND
from pilotage.status import MILLION, ROAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pilotage.clock import Clock
    from pilotage.demo.customers import Tally

WIDTH = 40
_SHOWN = 70
"""Characters of a question, and of a reply, that the panel has room for."""
EVERY = 10.0
"""Seconds between lines of progress where the output is no terminal."""
_STYLES = {
    "pass": "green", "fail": "red", "missing": "yellow", "inconclusive": "yellow", "waived": "dim",
    "promote": "bold green", "advance": "green", "roll_back": "bold red", "futile": "bold red", "pause": "yellow",
    "approve": "cyan", "hold": "dim", "alarm": "bold red",
}  # fmt: skip
_QUIET = ("key_create", "key_revoke", "evidence", "hold", "money")
"""What the ledger holds and the demo does not print: a measure stands in its gate, a hold in the panel's last line."""


class Screen:
    """Used as a context manager; lines go above a panel that is redrawn in place."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, time.monotonic()
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        self._status: Mapping[str, Any] = {}
        self._tally: Tally | None = None
        self._doing = ""
        self._line_at = 0.0
        self._live = Live(console=self.console, refresh_per_second=4, get_renderable=self._panel, transient=True)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """Take the panel away: what comes is the end."""
        if self._live.is_started:
            self._live.stop()

    def time(self) -> int:
        """Return what the clock of the time-lapse says, in microseconds since 1970."""
        return self._clock.now()

    def title(self, text: str) -> None:
        self.console.print(Text(f"\n{text}", style="bold"))

    def say(self, text: str, style: str = "") -> None:
        self.console.print(Text(f"  {text}", style=style))

    def doing(self, what: str, done: int = 0, of: int = 0) -> None:
        self._doing = f"{what} {done}/{of}" if of else what

    def gate(self, gate: Mapping[str, Any]) -> None:
        """Show a gate: each criterion that was measured or is not met, and the names of the others."""
        opened = gate["open"]
        self.say(f"The gate into {gate['stage']} is {'open' if opened else 'closed'}.", "green" if opened else "red")
        plain = [one["name"] for one in gate["criteria"] if one["verdict"] == "pass" and one.get("value") is None]
        if plain:
            self._criterion("pass", f"{', '.join(plain)}")
        for one in gate["criteria"]:
            if one["name"] not in plain:
                self._criterion(str(one["verdict"]), one["says"])

    def _criterion(self, verdict: str, says: str) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=16, justify="right")
        row.add_column()
        row.add_row(Text(verdict, style=_STYLES.get(verdict, "")), Text(says))
        self.console.print(row)

    def entry(self, entry: Mapping[str, Any]) -> None:
        """Show one entry of the ledger."""
        action = str(entry["action"])
        if action in _QUIET:
            return
        row = Table.grid(padding=(0, 1))
        row.add_column(width=16, justify="right")
        row.add_column()
        says = Text(f"{action.replace('_', ' ')}: ", _STYLES.get(action, "bold"))
        says.append(_words(action, entry["detail"], entry["actor"]), "not bold default")
        row.add_row(Text(self._when(entry["at"]), style="dim"), says)
        self.console.print(row)

    def now(self, status: Mapping[str, Any], tally: Tally | None) -> None:
        """Take the newest state for the panel, or where the output is no terminal, for a line now and then."""
        self._status, self._tally = status, tally
        if not self.console.is_terminal and time.monotonic() - self._line_at > EVERY:
            self._line_at = time.monotonic()
            self.say(f"... {self._split()}; {self._counts()}", "dim")
            for line in self._newest():
                self.console.print(line)

    def _panel(self) -> Group:
        parts: list[Any] = [Text("")]
        if self._status:
            stage = str(self._status["stage"])
            road = Text("  ")
            for name in ROAD:
                road.append(f" {name} ", "reverse bold" if name == stage else "dim").append("→", "dim")
            parts += [road[:-1], Text(f"  {self._split()}")]
        if self._tally is not None:
            parts += [self._rates(self._tally), *self._newest(), Text(f"  {self._counts()}", style="dim")]
            if last := (self._status.get("rollout") or {}).get("last"):
                parts.append(Text(f"  last word: {last['reason']}", style="dim", overflow="ellipsis", no_wrap=True))
        if self._doing:
            parts.append(Text(f"  {self._doing}", style="cyan"))
        return Group(*parts)

    def _split(self) -> str:
        rollout = self._status.get("rollout")
        live = short(self._status.get("live", "")) or "nothing"
        if not rollout or rollout["phase"] not in ("running", "paused"):
            return f"everybody gets {live}"
        share = rollout["share"] / MILLION
        filled = max(1, round(share * WIDTH)) if share else 0
        bar = "█" * filled + "░" * (WIDTH - filled)
        return f"{bar} {share:.0%} of customers get {short(rollout['candidate'])}, the others {live}"

    def _rates(self, tally: Tally) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("  answered by", "answers", "resolved, says the judge"):
            table.add_column(name, justify="left" if name.startswith(" ") else "right")
        for release in sorted({release for release, _ in tally.resolved}):
            right, wrong = tally.resolved[release, 1], tally.resolved[release, 0]
            table.add_row(f"  {short(release)}", f"{right + wrong:,}", f"{right / (right + wrong):.1%}")
        return table

    def _newest(self) -> list[Text]:
        """Return a line for each release that customers meet now: the last question, and the reply it wrote."""
        status, newest = self._status, self._tally.newest if self._tally else {}
        lines = []
        for release in (status.get("live", ""), status.get("candidate", "")):
            if release in newest:
                question, reply, resolved = newest[release]
                style = "green" if resolved else "red"
                line = Text("  ", overflow="ellipsis", no_wrap=True).append(f"{short(release)}: ", "dim")
                line.append(" ".join(question.split())[:_SHOWN]).append(" → ", "dim")
                lines.append(line.append(" ".join(reply.split())[:_SHOWN], style))
        return lines

    def _counts(self) -> str:
        real = time.monotonic() - self._began
        counts = f"{self._when(self._clock.now())} in the time-lapse, {real:.0f} s in truth"
        tally = self._tally
        if tally is None:
            return counts
        failed = sum(tally.failures.values())
        return f"{counts}; {tally.customers:,} customers, {tally.requests:,} questions, {failed} failed"

    @staticmethod
    def _when(at: int) -> str:
        return f"{datetime.fromtimestamp(at / SECOND, UTC):%a %d %H:%M}"


def short(reference: str) -> str:
    """Return `variant@digest` of a release's reference, the digest cut to what tells releases apart."""
    variant, at, digest = reference.partition("/")[2].partition("@")
    return f"{variant}{at}{digest[:6]}"


def _words(action: str, detail: Mapping[str, Any], actor: str) -> str:
    match action:
        case "approve":
            return f"{short(detail['release'])} may enter {detail['stage']}, by {actor}: {detail.get('reason', '')}"
        case "alarm":
            return f"{detail['what']} {detail['says']}"
        case "alarm_act":
            return str(detail["did"])
        case "promote" if not detail.get("decision"):
            return f"{short(detail['release'])} goes from {detail['from']} to {detail['to']}"
        case "register" | "release" | "charter":
            changed = f"; changed: {', '.join(detail['changed'])}" if detail.get("changed") else ""
            return f"{short(detail['live'])} serves, {short(detail['candidate'])} is the candidate{changed}"
        case _:
            return str(detail.get("reason", ""))
