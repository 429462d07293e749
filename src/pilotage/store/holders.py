"""Which processes hold shares of budgets: `run/<holder>.holder`, locked (flock) for as long as its process lives.

One that ends in order removes its file. One that is left and not locked tells that its process was killed: with the boot
in which it was made, and how many events its worker had lost by then, for only a process whose every event is in the
spool can be settled from there.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pilotage.clock import SystemClock, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX = ".holder"
_TICK = 0.002
_BOOT = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


class Left(NamedTuple):
    """A holder whose process is gone. `whole` is whether all that it did is in the spool, as far as this machine knows."""

    name: str
    whole: bool


class _Made(msgspec.Struct):
    boot: str
    losses: int


class Holder:
    """This process. Its name begins with its worker's, and sorts before every segment that it will write."""

    def __init__(self, directory: Path, worker: str, losses: int) -> None:
        """`losses` is how many events workers of this name have lost so far. Raise OSError where no file can be made."""
        # Names are in order by the millisecond: this one comes after all segments of before, and before its own.
        time.sleep(_TICK)
        self.name = f"{worker}-{new_id(SystemClock())}"
        time.sleep(_TICK)
        self._path = directory / f"{self.name}{SUFFIX}"
        new = self._path.with_suffix(".new")
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        # Locked before it has its name, so that nobody ever finds it free while this process lives.
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.write(self._file, msgspec.json.encode(_Made(_boot(), losses)))
        new.rename(self._path)

    def close(self) -> None:
        """Say that this process has given back what it did not spend."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


class Holders:
    """All of them, as another process sees them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def left(self, losses: Mapping[str, int]) -> list[Left]:
        """Return those whose processes are gone; `losses` is how many events each worker has lost by now."""
        return list(self._left(losses))

    def names(self) -> set[str]:
        return {path.name.removesuffix(SUFFIX) for path in self._directory.glob(f"*{SUFFIX}")}

    def forget(self, name: str) -> None:
        (self._directory / f"{name}{SUFFIX}").unlink(missing_ok=True)

    def _left(self, losses: Mapping[str, int]) -> Iterator[Left]:
        for path in self._directory.glob(f"*{SUFFIX}"):
            name = path.name.removesuffix(SUFFIX)
            try:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    made = msgspec.json.decode(file.read(), type=_Made)
            except BlockingIOError:
                continue
            except FileNotFoundError:
                continue
            except (OSError, msgspec.MsgspecError) as fault:
                log.warning("%s cannot be read, so what it holds stays spent: %s", path, fault)
                yield Left(name, whole=False)
                continue
            worker = name.rpartition("-")[0]
            yield Left(name, whole=made.boot == _boot() != "" and losses.get(worker, 0) == made.losses)


def _boot() -> str:
    """Return what tells this boot of the machine from others; empty where nothing does."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
