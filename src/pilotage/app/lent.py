"""A server that is lent for one measurement: `pilotage serve`, which ends by itself when whoever started it is gone.

    python -m pilotage.app.lent PID serve ...

Who is ended by kill -9 cannot end what they started, and a server that nobody knows of would hold the workspace for ever.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

LOOK_SECONDS = 0.5


def main() -> None:
    parent = int(sys.argv.pop(1))
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    runpy.run_module("pilotage", run_name="__main__", alter_sys=True)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
