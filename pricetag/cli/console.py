"""What the command line says and how it fails: one place for output and exit codes."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_RUN_FAILED = 3
EXIT_RUN_CANCELLED = 4
EXIT_DETACHED = 130


class CliError(Exception):
    """Something the user should read: one line, and the exit code that goes with it."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def console() -> Console:
    """The console on stdout; it neither guesses markup nor marks up numbers."""
    from rich.console import Console

    return Console(markup=False, highlight=False, soft_wrap=False)


def say(text: str) -> None:
    """A plain line on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str) -> None:
    """A plain line on stderr, in one piece whatever is in it."""
    sys.stderr.write("pricetag: " + " ".join(text.split()) + "\n")
    sys.stderr.flush()


def emit_json(data: Any) -> None:
    """JSON alone on stdout."""
    say(json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False))


def emit_json_line(data: Any) -> None:
    """One JSON object on one line, for streams."""
    say(json.dumps(data, ensure_ascii=False, allow_nan=False))
