"""Output, errors and exit codes of the command line."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pricetag import streams

if TYPE_CHECKING:
    from rich.console import Console

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_RUN_FAILED = 3
EXIT_RUN_CANCELLED = 4
EXIT_NOT_CHECKED = 5
EXIT_DETACHED = 130

HELP_OPTIONS = ["-h", "--help"]
"""Options that show the help of a command, also of those that belong to the service."""

RAISING = ("strict", "surrogateescape")
"""Error handlers of streams that raise for a character; the second is that of the C locale."""


PIPE_WIDTH = 240
"""Width of tables where no terminal states one, in characters."""


class CliError(Exception):
    """An error for the user: a message of one line, and the exit code.

    Attributes:
        exit_code: Exit code of the program.
        details: Further problems, one per line.
    """

    def __init__(
        self, message: str, exit_code: int = EXIT_FAILURE, details: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = details


def console() -> Console:
    """The console on stdout; it neither guesses markup nor marks up numbers.

    Output into a pipe or a file is not cut to the width of a terminal that is not there.
    """
    from rich.console import Console

    is_piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    width = PIPE_WIDTH if is_piped else None
    return Console(markup=False, highlight=False, soft_wrap=False, width=width)


def can_show(text: str) -> bool:
    """Whether stdout's encoding has every character of a text."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


def make_printable() -> None:
    """Makes stdout and stderr replace characters that their encoding does not have."""
    codecs.register_error("pricetag", _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in RAISING:
            stream.reconfigure(errors="pricetag")
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="pricetag")


# Replacements of the characters in tables and units on terminals that are not UTF-8.
_NEAREST = str.maketrans("─━│·…≥≤²³µ₂", "--|..><23u2")


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end].translate(_NEAREST)
    return "".join(sign if sign.isascii() else "?" for sign in part), error.end


_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])"
)
_COLOR = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")


def harmless(text: str) -> str:
    """A line of a job's log for a terminal: of all control characters, only colors and tabs remain.

    What a job prints could otherwise move the cursor, rename the window or hide text.
    """

    def keep_color(match: re.Match[str]) -> str:
        return match[0] if _COLOR.fullmatch(match[0]) else ""

    if not _CONTROL.search(text):
        return text
    parts = _COLOR.split(_SEQUENCE.sub(keep_color, text))
    plain = [_CONTROL.sub("", part) for part in parts]
    colors = [*_COLOR.findall(_SEQUENCE.sub(keep_color, text)), ""]
    line = "".join(part + color for part, color in zip(plain, colors, strict=True))
    return line + ("\x1b[0m" if len(colors) > 1 else "")


def say(text: str) -> None:
    """A plain line on stdout."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def complain(text: str, details: Sequence[str] = ()) -> None:
    """A plain line on stderr, never wrapped, and a line for each detail."""
    lines = [f"pricetag: {text}", *(f"  {detail}" for detail in details)]
    streams.write(sys.stderr, "".join(_one_line(line) for line in lines))


def _one_line(text: str) -> str:
    indent = text[: len(text) - len(text.lstrip(" "))]
    return indent + " ".join(text.split()) + "\n"


def emit_json(data: Any) -> None:
    """JSON alone on stdout."""
    say(_json_text(data, indent=2))


def emit_json_line(data: Any) -> None:
    """One JSON object on one line, for streams."""
    say(_json_text(data))


def _json_text(data: Any, indent: int | None = None) -> str:
    """JSON with its characters as they are, or escaped where stdout could not show them."""
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False)
    if can_show(text):
        return text
    return json.dumps(data, indent=indent, ensure_ascii=True, allow_nan=False)
