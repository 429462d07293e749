from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.gateway_rig import Provider


@pytest.fixture(scope="session")
def provider() -> Iterator[Provider]:
    """The misbehaving provider, one process for all tests."""
    running = Provider()
    yield running
    running.close()
