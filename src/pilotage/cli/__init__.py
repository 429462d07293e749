"""The command line: a module per noun, each thin; what they do lies below."""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command. A PilotageError is printed as message and hint, and its exit code is the process's."""
    from pilotage.cli.output import show_error
    from pilotage.cli.root import app
    from pilotage.errors import PilotageError

    try:
        app(prog_name="pilotage")
    except PilotageError as fault:
        show_error(fault, as_json="--json" in sys.argv[1:])
        sys.exit(fault.exit_code)
