"""Other gateways that the benchmark measures where they are installed, each with its own default settings.

python3 -m venv rivals && rivals/bin/pip install 'litellm[proxy]'
npm install --prefix rivals @portkey-ai/gateway
make bench ARGS="--rivals rivals"
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path

from proxies import Bench, Proxy, free_port, waited_for

LITELLM = """
model_list:
  - model_name: canned
    litellm_params: {{ model: openai/canned, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none }}
"""
SLOW = 0.05
"""Of the requests that proxies get, for these take longer over each."""


def rivals(bench: Bench, folder: Path) -> list[Proxy]:
    found = [start(bench, folder.resolve()) for start in (litellm, portkey)]
    return [proxy for proxy in found if proxy is not None]


def litellm(bench: Bench, folder: Path) -> Proxy | None:
    program = shutil.which("litellm", path=str(folder / "bin"))
    if program is None:
        sys.stdout.write(f"LiteLLM is not in {folder}: it is left out\n")
        return None
    config, port = bench.folder / "litellm.yaml", free_port()
    config.write_text(LITELLM.format(upstream=bench.upstream))
    # Its list of prices comes from elsewhere otherwise: nothing here goes beyond this machine.
    key = f"sk-{secrets.token_hex(32)}"
    local = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": key}
    told = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    return waited_for("LiteLLM", bench.start([program, *told], environment=local), port, key=key, effort=SLOW)


def portkey(bench: Bench, folder: Path) -> Proxy | None:
    program, node = folder / "node_modules/@portkey-ai/gateway/build/start-server.js", shutil.which("node")
    if node is None or not program.exists():
        sys.stdout.write(f"Portkey is not in {folder}, or there is no node: it is left out\n")
        return None
    port = free_port()
    headers = f"x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:{bench.upstream}/v1\r\n"
    # Version 1.15 answers every stream of this upstream with 500 ("TypeError: immutable" in its log), on node 20 and 24.
    process = bench.start([node, str(program), f"--port={port}", "--headless"])
    return waited_for("Portkey", process, port, effort=SLOW, headers=headers.encode(), streams=False)
