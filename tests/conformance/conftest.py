"""One suite over every backend: a backend is a function from a folder to an open store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pilotage.store.base.transaction import Store
from pilotage.store.sqlite import SqliteStore

type_of_opener = Callable[[Path], Store]


def _sqlite(folder: Path) -> Store:
    return SqliteStore(folder / "state.db")


BACKENDS: dict[str, type_of_opener] = {"sqlite": _sqlite}


@pytest.fixture(params=sorted(BACKENDS))
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """A function that opens one more handle on the same store."""
    handles: list[Store] = []

    def opener() -> Store:
        handles.append(BACKENDS[request.param](tmp_path))
        return handles[-1]

    yield opener
    for handle in handles:
        handle.close()


@pytest.fixture
def store(open_store: Callable[[], Store]) -> Store:
    return open_store()
