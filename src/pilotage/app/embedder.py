"""Texts as vectors, asked of the gateway as anybody would: pinned, within budget, filters and the organisation's rules."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pilotage.errors import NotMeasured
from pilotage.governance.commands import run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pilotage.access import Actor
    from pilotage.governance.context import Context

SECONDS = 15.0
LARGEST = 64 << 20
TRIES = 20
AGAIN_SECONDS = 0.25
"""A key that was just made is known to every worker within a second; a worker that just began may need its share of the budget."""
SHOWN = 200


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = -1


class _Answer(msgspec.Struct):
    data: list[_Vector]


class _Said(msgspec.Struct):
    message: str = ""


class _Fault(msgspec.Struct):
    error: _Said


_answer = msgspec.json.Decoder(_Answer)
_fault = msgspec.json.Decoder(_Fault)


class Embedder:
    """Makes a key for each use case when it is first needed, revoked by `close`. Asks nothing once it is `stopping`."""

    def __init__(self, context: Context, actor: Actor, gateway: str, *, stopping: Callable[[], bool]) -> None:
        self._context, self._actor, self._gateway = context, actor, gateway
        self._keys: dict[str, dict[str, str]] = {}
        self._stopping = stopping

    def __call__(self, use_case: str, release: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a row a text; raise NotMeasured where the gateway, or the provider behind it, gives none."""
        if self._stopping():
            raise NotMeasured("this process is ending")
        body = msgspec.json.encode({"model": release, "input": list(texts), "encoding_format": "float"})
        found = sorted(self._decoded(self._asked(use_case, body)), key=lambda one: one.index)
        widths = {len(one.embedding) for one in found}
        if len(found) != len(texts) or len(widths) != 1 or not widths.pop():
            raise NotMeasured(f"{release} gave {len(found)} vectors for {len(texts)} texts, or not all of one width")
        rows = np.asarray([one.embedding for one in found], dtype=np.float32)
        if not np.isfinite(rows).all():
            raise NotMeasured(f"{release} gave vectors that hold no numbers")
        return rows

    def close(self) -> None:
        """Revoke the keys."""
        while self._keys:
            _, key = self._keys.popitem()
            run(self._context, self._actor, "keys_revoke", {"id": key["id"]})

    def _asked(self, use_case: str, body: bytes) -> bytes:
        for again in range(TRIES):
            status, said, wait = self._post(self._key(use_case), body)
            if status == 200:
                return said
            # New to the workers: the key, or their share of the budget. Anything else is an answer.
            soon = status == 401 or (status == 429 and wait in ("0", "1"))
            if again == TRIES - 1 or not soon or self._stopping():
                raise NotMeasured(f"{status}: {_message(said)}"[:SHOWN])
            time.sleep(AGAIN_SECONDS)
        raise AssertionError("the last try returned or raised")

    def _post(self, secret: str, body: bytes) -> tuple[int, bytes, str]:
        """Return status, body and how long to wait."""
        request = urllib.request.Request(  # noqa: S310 (our own gateway's address)
            f"{self._gateway}/v1/embeddings",
            data=body,
            headers={
                "authorization": f"Bearer {secret}",
                "content-type": "application/json",
                "x-pilotage-source": "watch",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as reply:  # noqa: S310
                return 200, reply.read(LARGEST), ""
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read(1 << 16), refusal.headers.get("retry-after", "")
        except OSError as fault:
            raise NotMeasured(f"the gateway does not answer ({type(fault).__name__})") from None

    def _key(self, use_case: str) -> str:
        if use_case not in self._keys:
            wanted = {"name": "embedding", "roles": ["infer", "operate"], "use_cases": [use_case]}
            self._keys[use_case] = run(self._context, self._actor, "keys_create", wanted)
        return self._keys[use_case]["secret"]

    @staticmethod
    def _decoded(said: bytes) -> list[_Vector]:
        try:
            return _answer.decode(said).data
        except msgspec.DecodeError as fault:
            raise NotMeasured(f"the answer holds no vectors: {fault}"[:SHOWN]) from None


def _message(said: bytes) -> str:
    try:
        return _fault.decode(said).error.message
    except msgspec.DecodeError:
        return "an answer that is none of ours"
