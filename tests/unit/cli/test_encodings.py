"""Output in terminals whose encoding is not UTF-8."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from pricetag.cli.console import harmless

PROGRAM = """
from pricetag.cli.console import complain, emit_json, make_printable, say
make_printable()
say("12 \\u00b7 \\u2500\\u2500 \\u4e2d \\u00e9 \\U0001f600")
complain("no run \\u4e2d")
emit_json({"name": "\\u4e2d \\u00e9"})
"""


def run(encoding: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, env=environment, check=True
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "cp437", "utf-8"])
def test_text_is_shown_as_far_as_the_terminal_can(encoding: str) -> None:
    first, *rest = run(encoding).stdout.decode(encoding).split("\n", 1)
    assert first.startswith("12 ")
    if encoding == "utf-8":
        assert first == "12 \u00b7 \u2500\u2500 \u4e2d \u00e9 \U0001f600"
    if encoding == "ascii":
        assert first == "12 . -- ? ? ?"
    assert json.loads(rest[0]) == {"name": "\u4e2d \u00e9"}  # no character is lost in JSON


def test_errors_are_shown_too() -> None:
    assert run("latin-1").stderr == b"pricetag: no run ?\n"


def test_in_the_c_locale_every_character_is_shown_somehow() -> None:
    """Its streams have the error handler ``surrogateescape``, and raise like strict ones."""
    environment = {name: value for name, value in os.environ.items() if name[:3] != "LC_"}
    environment.pop("PYTHONIOENCODING", None)
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, env=environment, check=True
    )
    assert done.stdout.startswith(b"12 . -- ? ? ?\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u00e9 \u4e2d\ttab", "plain \u00e9 \u4e2d\ttab"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b[1;38;5;9mred", "\x1b[1;38;5;9mred\x1b[0m"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("up\x1b[2A\x1b[2Kover", "upover"),
        ("\x1bc\x1b(0reset", "reset"),
        ("bell\x07 back\x08 nul\x00 del\x7f c1\x9b2J", "bell back nul del c12J"),
        ("cut off \x1b[", "cut off "),
        ("\x1b[?1049hscreen", "screen"),
    ],
)
def test_a_job_s_log_cannot_control_the_terminal(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize("arguments", [["recipes"], ["recipes", "train"], ["--help"]])
def test_commands_print_tables_in_latin_1(arguments: list[str]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = [sys.executable, "-m", "pricetag", *arguments]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert done.stdout.decode("latin-1")
