"""Every help text of every command, as it is printed."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from app import cli, demo
from pricetag.cli.app import app
from pricetag.cli.app import run as pricetag
from pricetag.cli.commands import COMMANDS as HOMES
from pricetag.cli.panels import PANELS
from tests.support.commands import Captured
from workers.command import worker

METAVAR = re.compile(r"[A-Z][A-Z0-9_]*")


def service_commands() -> Any:
    service = typer.Typer()
    service.command("worker")(worker)
    service.command("demo")(demo.demo)
    service.add_typer(cli.commands)
    return typer.main.get_command(service)


def walk(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk((*path, name), inner)


OWN: Any = typer.main.get_command(app)
COMMANDS = {
    path: command
    for name, top in (OWN.commands | service_commands().commands).items()
    for path, command in walk((name,), top)
}
every_command = pytest.mark.parametrize("path", list(COMMANDS), ids=" ".join)


def squeezed(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


def parameters(command: Any) -> Iterator[Any]:
    return (param for param in command.params if not param.hidden)


def test_top_help_lists_every_command_once_under_its_heading(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    named = [name for names in PANELS.values() for name in names]
    assert sorted(named) == sorted(OWN.commands)
    assert pricetag(["--help"]) == 0
    shown = capsys.readouterr().out
    for heading, names in PANELS.items():
        panel = shown.partition(f"╭─ {heading} ─")[2].partition("╰")[0]
        assert [line.split()[1] for line in panel.splitlines()[1:] if line[2] != " "] == list(names)


def test_the_list_of_commands_states_the_first_paragraph_of_each() -> None:
    first = {name: re.split(r"\n{2,}", command.help)[0] for name, command in OWN.commands.items()}
    assert {name: home.summary for name, home in HOMES.items()} == first


def test_the_list_of_commands_loads_none_of_them() -> None:
    script = "import sys, pricetag.cli.app as app; app.run(['--help']); print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    homes = {f"pricetag.cli.{home.module}" for home in HOMES.values()}
    assert homes & set(shown.split()) == set()


@every_command
def test_the_short_help_option_prints_the_whole_text(
    path: tuple[str, ...], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Square brackets, for example, would be taken for markup and disappear."""
    monkeypatch.setenv("COLUMNS", "400")
    command = COMMANDS[path]
    assert pricetag([*path, "-h"]) == 0
    shown = squeezed(capsys.readouterr().out)
    assert shown.startswith(f"Usage: pricetag {' '.join(path)} ")
    assert squeezed(command.help) in shown
    for param in parameters(command):
        assert squeezed(param.help) in shown


@every_command
def test_paragraphs_of_the_help_fill_the_lines(
    path: tuple[str, ...], capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert pricetag([*path, "--help"]) == 0
    usage = capsys.readouterr().out.partition("Usage:")[2]
    about = re.split(r"╭|\n\n(?:Options|Arguments):\n", usage)[0].splitlines()[2:]
    for line, following in itertools.pairwise(about):
        word = following.split()[:1]
        if line.strip() and word:  # the next word would not have fitted
            assert len(f"{line.rstrip()} {word[0]}") >= 80, line


@every_command
@pytest.mark.parametrize("columns", [40, 80])
def test_nothing_is_cut_off_on_a_narrow_terminal(
    path: tuple[str, ...], columns: int, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command = COMMANDS[path]
    assert pricetag([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    words = re.split(r"[\s,]+", re.sub("[│╭╮╰╯─]", " ", shown))
    for param in parameters(command):
        names = [] if param.param_type_name == "argument" else [*param.opts, *param.secondary_opts]
        for word in [*names, *re.split(r"[\s,]+", param.help)]:
            assert word in words, word
    assert set(getattr(command, "commands", {})) <= set(words)
    assert set(command.help.split()) <= set(shown.split())
    assert not [word for word in words if "…" in word and word not in squeezed(command.help)]
    # A line is longer than the terminal only where one word is.
    for line in shown.splitlines():
        assert len(line) <= columns or len(line.split()) == 1, line


@every_command
def test_every_parameter_has_a_sentence_and_arguments_are_upper_case(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help.rstrip().endswith(".")
    for param in parameters(command):
        assert param.help is not None
        assert re.search(r"\.(\.\.)?\)?$", param.help), param.name
        if param.param_type_name == "argument":
            assert METAVAR.fullmatch(param.metavar or ""), param.name


@every_command
def test_argument_that_names_a_run_says_how(path: tuple[str, ...]) -> None:
    for param in parameters(COMMANDS[path]):
        if re.fullmatch(r"RUNS?(_A)?|PRICE_TAG", param.metavar or ""):
            assert "at least 4" in param.help
            assert "'last' for your newest run" in param.help


def test_flags_have_no_type_that_looks_like_a_value(capsys: Captured) -> None:
    assert pricetag(["budget", "set", "--help"]) == 0
    output = capsys.readouterr().out
    assert "--no-stop" in output
    assert "bool" not in output
