"""Logs: one line an event on standard error, with the process's name."""

from __future__ import annotations

import logging
import sys


def start_log(level: str, process: str) -> None:
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format=f"%(asctime)s {process} %(levelname)s %(name)s: %(message)s",
    )
    # The server tells of every start and stop; the supervisor says so already, once.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
