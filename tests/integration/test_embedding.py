"""Questions are embedded by a real provider behind the real gateway, for which the watch asks as anybody would."""

from __future__ import annotations

import hashlib
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilotage.access import Actor, Role
from pilotage.app.embedder import Embedder
from pilotage.clock import SystemClock
from pilotage.errors import NotMeasured
from pilotage.governance.commands import Context
from pilotage.monitor.vectors import BATCH, Vectors
from pilotage.store.sqlite import SqliteStore
from pilotage.store.workspace import Workspace
from tests.integration.control_rig import ask, files_of, serving
from tests.integration.gateway_rig import until
from tests.integration.test_recheck import Says, provider

LOCAL = Actor(id="local:test", roles=(Role.ADMIN,))
FILE = """
name = "help"
owner = "Ada Writer"

[data]
retention = "full"

[budget]
a_month = 5.0

[watch]
embedding = "embedder"

[upstreams.mine]
base_url = "{address}"
retries = 0

[variants.assistant]
upstream = "mine"
model = "small"
price = {{ input = 0.1, output = 0.1 }}

[variants.embedder]
upstream = "mine"
model = "vectors-3"
price = {{ input = 0.02, output = 0.0 }}
"""


def vector(text: str) -> list[float]:
    """A simulated embedding: the same text has the same vector, and that is all."""
    return [byte / 255 for byte in hashlib.sha256(text.encode()).digest()[:8]]


def embeds(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    # Providers say which text a vector is of, and need not keep the order.
    data = [{"object": "embedding", "index": at, "embedding": vector(text)} for at, text in enumerate(asked["input"])]
    return 200, {
        "object": "list", "data": data[::-1], "model": asked["model"], "usage": {"prompt_tokens": 9, "total_tokens": 9},
    }  # fmt: skip


def uneven(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    _, told = embeds(asked)
    told["data"][0]["embedding"] = [0.5]
    return 200, told


def few(asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    _, told = embeds(asked)
    return 200, {**told, "data": told["data"][1:]}


def test_the_watch_embeds_through_the_gateway_and_leaves_no_copy(tmp_path: Path) -> None:
    manner: list[Says]
    with provider() as (address, manner, count), serving(tmp_path / "ws", workers=2) as server:
        folder = tmp_path / "help"
        folder.mkdir()
        (folder / "usecase.toml").write_text(FILE.format(address=address))
        release = server.command("apply", files=files_of(folder))["releases"]["embedder"]
        manner.append(embeds)
        texts = [f"Where is parcel {n}?" for n in range(BATCH + 3)]
        stopping = False
        with closing(SqliteStore(Workspace(server.workspace).state)) as store:
            context = Context(store, SystemClock())
            embedder = Embedder(context, LOCAL, server.gateway, stopping=lambda: stopping)
            vectors = Vectors(embedder, "help", release)
            rows = vectors.of(texts)
            assert not vectors.fault
            assert count[0] == 2
            for text, row in zip(texts, rows, strict=True):
                assert row is not None
                wanted = np.array(vector(text), dtype=np.float32)
                assert np.allclose(row, wanted / np.linalg.norm(wanted), atol=1e-5)

            for odd, says in ((uneven, "one width"), (few, f"gave {BATCH - 1} vectors for {BATCH} texts")):
                manner.append(odd)
                vectors = Vectors(embedder, "help", release)
                assert vectors.of(texts) == [None] * len(texts)
                assert says in vectors.fault
            manner.append(lambda _: (503, {"error": {"message": "overloaded", "type": "server_error"}}))
            with pytest.raises(NotMeasured, match=r"^5"):
                embedder("help", release, texts[:1])
            stopping = True
            asked = count[0]
            with pytest.raises(NotMeasured, match="is ending"):
                embedder("help", release, texts[:1])
            assert count[0] == asked
            embedder.close()

        # One key was made for it, and is gone again.
        keys = server.command("keys_list", ended=True)["keys"]
        (mine,) = [key for key in keys if key["name"] == "embedding"]
        assert mine["revoked"]
        # It is recorded and paid for, but of the texts, which are kept with their own units, there is no second copy.
        token = server.token
        started = until(
            lambda: ask(server.control, "GET", "/api/v1/events?table=started&use_case=help", key=token).json["events"]
        )
        assert {one["source"] for one in started} == {"watch"}
        kept = b"".join(file.read_bytes() for file in (server.workspace / "texts").rglob("*") if file.is_file())
        assert not kept
