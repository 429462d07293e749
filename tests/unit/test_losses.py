"""What workers lost, in files that other processes read."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pilotage.counting.losses import LATELY, LossWatch
from pilotage.store.losses import Losses, LossFile, LossReader


def test_counts_of_all_workers_add_up_and_outlive_them(tmp_path: Path) -> None:
    reader = LossReader(tmp_path)
    assert reader.read() == Losses(0, 0)
    with closing(LossFile(tmp_path, "w0")) as one, closing(LossFile(tmp_path, "w1")) as other:
        one.put(3, 0)
        other.put(1, 2)
        one.put(2, 0)  # an older count, said late
        assert reader.read() == Losses(4, 2)
    with closing(LossFile(tmp_path, "w0")) as again:
        assert reader.read() == LossReader(tmp_path).read() == Losses(4, 2)
        again.put(1, 0)
        assert reader.read() == reader.last == Losses(5, 2)


def test_a_file_that_cannot_be_read_counts_as_it_last_did(tmp_path: Path) -> None:
    reader = LossReader(tmp_path)
    with closing(LossFile(tmp_path, "w0")) as file:
        file.put(7, 1)
    assert reader.read() == Losses(7, 1)
    for damage in (b"", b"\0" * 20, b"not a count at all.."):
        (tmp_path / "w0.health").write_bytes(damage)
        assert reader.read() == Losses(7, 1)
        assert LossReader(tmp_path).read() == Losses(0, 0)
    (tmp_path / "w0.health").unlink()
    assert reader.read() == Losses(7, 1)


PROGRAM = """
import resource, signal, sys
from pathlib import Path
from pilotage.store.losses import LossFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
kept = LossFile(Path(sys.argv[1]), "w0")
resource.setrlimit(resource.RLIMIT_FSIZE, (0 if sys.argv[2] == "none" else 20, resource.RLIM_INFINITY))
other = LossFile(Path(sys.argv[1]), "w1")
kept.put(5, 6)
other.put(1, 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
other.put(1, 1)
"""


@pytest.mark.parametrize("room", ["none", "the file's own"])
def test_a_disk_that_takes_nothing_more_stops_nobody(tmp_path: Path, room: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), room], capture_output=True, text=True, timeout=60, check=True
    )
    # A limit of nothing at all refuses even what is written in place; the next loss that can be said is.
    assert LossReader(tmp_path).read() == (Losses(1, 1) if room == "none" else Losses(6, 7))
    assert ran.stderr.count("cannot be written") == (2 if room == "none" else 0)


def test_losses_hold_for_a_while_after_the_last_one() -> None:
    now, total = 100.0, 40
    watch = LossWatch(lambda: total, timer=lambda: now)
    watch.turn()
    assert (watch.total, watch.lately) == (40, 0)
    total = 42
    watch.turn()
    now += LATELY / 2
    total = 43
    watch.turn()
    assert (watch.total, watch.lately) == (43, 3)
    now += LATELY * 0.75
    watch.turn()
    assert (watch.total, watch.lately) == (43, 1)
    now += LATELY
    watch.turn()
    assert (watch.total, watch.lately) == (43, 0)
