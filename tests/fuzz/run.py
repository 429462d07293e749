"""`make fuzz`: each parser of the path in a process of its own, guided by what its code reaches; says how much was tried.

What fails is written down, beside the input that makes it fail (`.fuzz/TARGET/crash-...`), and is a test's to keep.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

_KEPT = Path(".fuzz")
_SLOW = 20
"""Seconds that one input may take."""


def run(target: str, seconds: int, jobs: dict[str, subprocess.Popen[bytes]]) -> None:
    """Start fuzzing one target."""
    folder = _KEPT / target
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.run", "--target", target, str(corpus)]
    options = [f"-max_total_time={seconds}", f"-timeout={_SLOW}", "-max_len=2048", "-rss_limit_mb=1024"]
    with (folder / "log").open("wb") as log:
        jobs[target] = subprocess.Popen(
            [*command, *options, f"-artifact_prefix={folder}/", "-print_final_stats=1"], stdout=log, stderr=log
        )


def told(target: str, status: int) -> str:
    """Return a line about what one target came to."""
    text = (_KEPT / target / "log").read_text(errors="replace")
    tries = re.findall(r"stat::number_of_executed_units:\s*(\d+)", text) or re.findall(r"^#(\d+)", text, re.MULTILINE)
    edges = re.findall(r"cov: (\d+)", text)
    found = "nothing found" if status == 0 else f"FAILED: see {_KEPT / target}"
    return f"{target:14} {int(tries[-1]) if tries else 0:>12,} inputs {edges[-1] if edges else 0:>6} edges  {found}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="for each parser")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at the same time")
    parser.add_argument("targets", nargs="*")
    given = parser.parse_args()
    from tests.fuzz.targets import SEEDS, TARGETS

    waiting = list(given.targets or TARGETS)
    for target in waiting:
        (_KEPT / target / "corpus").mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(SEEDS[target]):
            (_KEPT / target / "corpus" / f"seed-{number}").write_bytes(seed)
    under_way: dict[str, subprocess.Popen[bytes]] = {}
    failed = False
    while waiting or under_way:
        while waiting and len(under_way) < given.jobs:
            run(waiting.pop(0), given.seconds, under_way)
        time.sleep(0.5)
        for target, process in list(under_way.items()):
            if (status := process.poll()) is not None:
                del under_way[target]
                failed |= status != 0
                print(told(target, status), flush=True)
    return int(failed)


def fuzz(target: str, arguments: list[str]) -> None:
    """Fuzz one target in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=["pilotage"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *arguments], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--target"]:
        fuzz(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
