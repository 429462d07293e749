"""The README's own commands, run as a newcomer would: in a folder of their own, one block after the other."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, re.DOTALL)
INSTALLS = ("python3 -m venv", "pip install", "make ")


def test_the_readme_is_true(tmp_path: Path) -> None:
    ports = {"8700": free_port(), "8701": free_port(), "8790": free_port()}
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment |= {"OPENAI_BASE_URL": f"http://127.0.0.1:{ports['8790']}/v1", "OPENAI_API_KEY": "none"}
    background: list[subprocess.Popen[bytes]] = []

    def here(text: str) -> str:
        text = text.replace("pilotage serve", f"pilotage serve --port {ports['8700']} --control-port {ports['8701']}")
        for usual, free in ports.items():
            text = text.replace(usual, str(free))
        return text

    def run(command: str) -> str:
        if command.endswith("&"):
            words = ["sh", "-c", f"exec {command.removesuffix('&')}"]
            background.append(subprocess.Popen(words, cwd=tmp_path, env=environment))
            answers(ports["8790" if "stand_in" in command else "8700"])
            return ""
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        closed = "promote helpdesk --dry-run" in command  # twelve cases prove little, as the README says
        assert done.returncode == (1 if closed else 0), f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    try:
        said: dict[str, str] = {}
        for language, block in BLOCKS:
            if language == "python":
                code = here(textwrap.dedent(block))
                done = subprocess.run(
                    [sys.executable, "-c", code],
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
                said["python"] = done.stdout
                continue
            for line in block.strip().splitlines():
                command = line.split("  #")[0].strip()
                if command.startswith(INSTALLS) or "export " in command:
                    continue
                if "keys create" in command:
                    secret = json.loads(run(f"{command} --json"))["secret"]
                    environment["SHOP_KEY"] = secret
                    continue
                said[command] = run(here(command))
    finally:
        for process in reversed(background):
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
    assert "7 pm" in said["python"]
    assert "unbroken" in said["pilotage ledger verify"]
    assert "quality_difference" in said["pilotage promote helpdesk --dry-run"]


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def answers(port: int) -> None:
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1).close()
        except urllib.error.HTTPError as fault:
            fault.close()
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"nothing answers on port {port}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text()):
        assert (document.parent / target).exists(), f"{document} links to {target}, which is not there"
