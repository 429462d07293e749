"""How long the console's pages take with a million inferences in the workspace, and how large they are.

    .venv/bin/python bench/console.py
    .venv/bin/python bench/console.py --inferences 200000 --use-cases 10 --times 50 --keep DIR

A real workspace is made: the support example registered, beside 999 copies of it under other names, inferences of ten days by 20,000 users on two releases sealed by the
program's own sealer (one in 500 fails, one in 100 has a hit of a filter, three in ten have feedback), the newest texts kept
encrypted, evidence of an evaluation with its answers. Then `pilotage serve` runs on it and each page is asked for over HTTP
by somebody who is signed in: real time from sending to the last byte, the median and the slowest of so many; the control
process's own processor time for each, which other work on the machine does not lengthen; and bytes.
A page that this version has not is left out, with a word.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from contextlib import closing
from pathlib import Path
from typing import Any

from pilotage.access import Actor, Role
from pilotage.clock import DAY, SystemClock
from pilotage.governance.commands import Context, run
from pilotage.records import Feedback, Finished, GuardrailHit, SpoolEvent, Started
from pilotage.store.base.recorded import PlainText
from pilotage.store.events import Sealer
from pilotage.store.sqlite import SqliteStore
from pilotage.store.texts import TextWriter
from pilotage.store.workspace import Workspace

NAME = "support"
EXAMPLE = Path(__file__).parents[1] / "examples" / "support"
USERS = 20_000
TEXTS = 20_000
AT_ONCE = 20_000
WORDS = [f"word{n}" for n in range(500)]
ADMIN = Actor(id="local:bench", roles=(Role.ADMIN,))
HIT = (GuardrailHit("personal_data", "in", "redact", "email"),)
PAGES = (
    "/",
    "/?stage=concept",
    "/?words=other-07",
    f"/use-cases/{NAME}",
    f"/use-cases/{NAME}/rollout",
    f"/use-cases/{NAME}/live",
    "/live",
    "/ledger",
    f"/use-cases/{NAME}/reports",
    f"/use-cases/{NAME}/reports/answers",
    f"/use-cases/{NAME}/cases",
    *(
        f"/use-cases/{NAME}/inferences{query}"
        for query in (
            "",
            "?before={middle}",
            "?release={other}",
            "?outcome=error",
            "?outcome=error&release={other}&ms_from=1900",
            "?hit=personal_data",
            "?metric=resolved&value_to=0",
            "?metric=resolved&value_to=0&ms_from=1990",
            "?ms_from=1999",
            "?cost_from=0.00099",
            "?outcome=unfinished",
            "?until={day}T00:00",
            "?words=parcel+number+7",
            "?words=said+by+nobody",
        )
    ),
    f"/use-cases/{NAME}/inferences/{{one}}",
    f"/use-cases/{NAME}/inferences/{{middle}}",
)


def prepare(folder: Path, inferences: int, use_cases: int) -> dict[str, str]:
    """Make the workspace; return what the pages' addresses name."""
    clock, rng = SystemClock(), random.Random(7)
    workspace = Workspace(folder).prepare()
    began = clock.now() - 10 * DAY
    step = 10 * DAY // inferences
    with closing(SqliteStore(workspace.state)) as store:
        context = Context(store, clock)
        files = {
            str(path.relative_to(EXAMPLE)): path.read_bytes()
            for path in sorted(EXAMPLE.rglob("*"))
            if path.is_file() and "questions" not in path.parts
        }
        files["usecase.toml"] = files["usecase.toml"].replace(b'retention = "none"', b'retention = "redacted"')
        made = register(context, files)
        text = files["usecase.toml"]
        for number in range(1, use_cases):
            other = text.replace(f'name = "{NAME}"'.encode(), f'name = "other-{number:04}"'.encode(), 1)
            register(context, {**files, "usecase.toml": other})
        live, other = made["live"], next(one for one in made["releases"].values() if one != made["live"])
        evaluated(context, other, live)
        writer = TextWriter(workspace.texts, "w0", store, clock)
        with closing(Sealer(workspace.events, store)) as sealer:
            ids: list[str] = []
            for start in range(0, inferences, AT_ONCE):
                events: list[SpoolEvent] = []
                for number in range(start, min(start + AT_ONCE, inferences)):
                    ids.append(f"{(began + number * step) // 1000:012x}7{rng.getrandbits(76):019x}")
                    events += inference(ids[-1], began + number * step, rng, (live, other))
                    if number >= inferences - TEXTS:
                        text = f"user: Where is parcel number {number}? Write to somebody@example.org.", "On its way."
                        unit = str(number % USERS)
                        plain = PlainText(
                            inference=ids[-1], use_case=NAME, unit=unit, at=began, request=text[0], reply=text[1]
                        )
                        events += writer.write([plain])
                sealer.seal(f"w0-{start}", 0, len(events), list(enumerate(events)), finished=True)
    return {
        "other": urllib.parse.quote(other),
        "middle": ids[inferences // 2],
        "one": ids[-1],
        "day": time.strftime("%Y-%m-%d", time.gmtime((began + 5 * DAY) / 1e6)),
    }


def register(context: Context, files: dict[str, bytes]) -> dict[str, Any]:
    given = {name: base64.b64encode(data).decode() for name, data in files.items()}
    return run(context, ADMIN, "apply", {"files": given})


def inference(name: str, at: int, rng: random.Random, releases: tuple[str, str]) -> list[SpoolEvent]:
    user = rng.randrange(USERS)
    side = user % 10 < 3
    failed, took = rng.random() < 0.002, rng.randrange(1_000, 2_000_000)
    release, arm = releases[side], "candidate" if side else "baseline"
    rollout: dict[str, Any] = {"rollout": "bench-1", "step": 1, "share": 300_000, "generation": 2}
    found: list[SpoolEvent] = [
        Started(
            id=name,
            use_case=NAME,
            at=at,
            release=release,
            arm=arm,
            deadline=at + 60_000_000,
            unit=f"{user:032x}",
            **rollout,
        )
    ]
    if rng.random() > 0.0001:
        end: dict[str, Any] = {"served": release, "status": 200}
        if failed:
            end = {"served": releases[0], "status": 200, "error": "timeout", "fallback": True}
        hits = HIT if rng.random() < 0.01 else ()
        tokens = {"input_tokens": rng.randrange(1_000), "output_tokens": rng.randrange(300), "counted": True}
        cost = rng.randrange(1_000)
        found.append(
            Finished(
                id=name,
                use_case=NAME,
                at=at + took,
                duration=took,
                first_byte=took // 4,
                cost=cost,
                spent=cost,
                finish_reason="stop",
                model="bench-1",
                hits=hits,
                **tokens,
                **end,
            )
        )
    if rng.random() < 0.3:
        value, said = float(rng.random() < 0.6), at + took + 1
        found.append(
            Feedback(
                id=f"f{name}", use_case=NAME, at=said, received=said, metric="resolved", value=value, inference=name
            )
        )
    return found


def evaluated(context: Context, release: str, baseline: str) -> None:
    """Record an evaluation of 500 cases and their answers, and some of what other suites find."""
    rng = random.Random(11)

    def say(words: int) -> str:
        return " ".join(rng.choice(WORDS) for _ in range(words))

    cases = {
        f"case-{n}": {
            "key": str(n),
            "question": f"Question {n}? {say(20)}",
            "value": float(n % 3 > 0),
            "before": float(n % 2),
            "why": "misses 'it'",
        }
        for n in range(500)
    }
    same = {str(n): say(60) for n in range(500)}
    sides = {side: {n: {"text": f"{say(20)} {text} {say(20)}"} for n, text in same.items()} for side in ("a", "b")}
    for name, rows in (("s", cases), *sides.items()):
        run(context, ADMIN, "record_results", {"use_case": NAME, "run": name, "results": rows})
    slices = {f"kind {n}": {"right": n, "wrong": 10, "unscored": 0} for n in range(20)}
    risks = {f"LLM{n:02}:2026": {"probes": 40, "succeeded": 0, "high": 0.07} for n in range(1, 11)}
    fact = {"use_case": NAME, "release": release, "n": 500, "method": "bench", "data": "0" * 64, "baseline": baseline}
    kept = {"scores": "s", "answers": "a", "before": "b"}
    for measure, value, detail in (
        ("quality", 0.67, {"slices": {"kind": slices}, "kept": kept, "beside": baseline}),
        ("security", 0.0, {"risks": risks}),
        ("privacy", 0.0, {}),
        ("replay_errors", 0.0, {}),
    ):
        told = {**fact, "measure": measure, "value": value, "low": value, "high": value + 0.01, "detail": detail}
        run(context, ADMIN, "record_evidence", told)


class Visitor:
    """Somebody who is signed in, on one connection."""

    def __init__(self, address: str, token: str) -> None:
        parts = urllib.parse.urlsplit(address)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        form = {"content-type": "application/x-www-form-urlencoded", "origin": address}
        self._connection.request("POST", "/sign-in", urllib.parse.urlencode({"key": token}), form)
        answer = self._connection.getresponse()
        answer.read()
        cookie = (answer.getheader("set-cookie") or "").partition(";")[0]
        if answer.status != 303 or not cookie:
            raise SystemExit(f"signing in was answered {answer.status}")
        self._headers = {"cookie": cookie}

    def get(self, path: str) -> tuple[int, int, float]:
        """Return status, bytes and seconds."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        size = len(answer.read())
        return answer.status, size, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="How long the console's pages take.")
    parser.add_argument("--inferences", type=int, default=1_000_000)
    parser.add_argument("--use-cases", type=int, default=1_000)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--keep", type=Path, help="make the workspace here, and leave it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = given.keep or Path(folder) / "ws"
        began = time.perf_counter()
        names = prepare(place, given.inferences, given.use_cases)
        held = sum(path.stat().st_size for path in place.rglob("*") if path.is_file()) >> 20
        print(
            f"{given.use_cases:,} use cases, {given.inferences:,} inferences, {held} MB, made in {time.perf_counter() - began:.0f} s"
        )
        command = [sys.executable, "-m", "pilotage", "serve", "--workspace", str(place), "--json"]
        server = subprocess.Popen(
            [*command, "--port", "0", "--control-port", "0", "--workers", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("PILOTAGE_")},
        )
        assert server.stdout is not None
        try:
            facts = json.loads(server.stdout.readline())
            token = json.loads((place / "run" / "control.json").read_text())["token"]
            visitor, busy = Visitor(facts["control"], token), Busy(server.pid)
            print(f"{'page':<74}{'median':>8}{'slowest':>9}{'processor':>11}{'KB':>7}")
            for page in PAGES:
                told(visitor, busy, page.format(**names), given.times)
        finally:
            server.terminate()
            server.wait(60)


class Busy:
    """The processor time that the control process below a server has taken, in seconds."""

    def __init__(self, server: int) -> None:
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        self._tasks = next(
            Path(f"/proc/{child}/task")
            for child in children
            if b"pilotage.app.control" in Path(f"/proc/{child}/cmdline").read_bytes()
        )

    def now(self) -> float:
        return sum(int((task / "schedstat").read_text().split()[0]) for task in self._tasks.iterdir()) / 1e9


def told(visitor: Visitor, busy: Busy, page: str, times: int) -> None:
    status, size, first = visitor.get(page)
    shown = page if len(page) < 72 else f"{page[:70]}.."
    if status != 200:
        print(f"{shown:<74}  answered {status}: left out")
        return
    before = busy.now()
    seconds = [visitor.get(page)[2] for _ in range(times)]
    worked = (busy.now() - before) / times
    median, slowest = statistics.median(seconds), max(*seconds, first)
    print(
        f"{shown:<74}{1000 * median:>5.0f} ms{1000 * slowest:>6.0f} ms{1000 * worked:>8.0f} ms{size / 1024:>7.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
