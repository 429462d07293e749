"""Logs: one line an event on standard error, with the process's name, as text or as JSON."""

from __future__ import annotations

import logging
import sys

import msgspec


class JsonLines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(said).decode()


def start_log(level: str, form: str, process: str) -> None:
    """Log from `level` on, as `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    text = f"%(asctime)s {process} %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(JsonLines(process) if form == "json" else logging.Formatter(text))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # The server tells of every start and stop; the supervisor says so already, once.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
