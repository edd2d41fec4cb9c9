"""Usage errors, version, help and missing connections."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from app.cli import commands as service
from app.settings import get_settings
from pricetag.cli.app import app
from pricetag.cli.app import run as pricetag
from tests.support.commands import Captured, complaint, said
from tests.support.fake_api import RUN_ID, FakeApi, problem


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["estimate"],
        ["runs", "--limit", "many"],
        ["show"],
        ["recipes", "a", "b"],
        ["demo", "--seed", "many"],
        ["worker", "--cpu-slots", "many"],
        ["worker", "--log-level", "loud"],
        ["serve", "--port", "many"],
        ["token", "revoke", "x"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: Captured) -> None:
    assert pricetag(arguments) == 2
    assert "Input should" not in complaint(capsys)


def commands_of(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """A program's commands and groups, each with the groups that it is in."""
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands_of(inner, (*path, name))


PATHS = dict.fromkeys(
    path for program in (app, service) for path in commands_of(typer.main.get_command(program))
)


@pytest.mark.parametrize("path", PATHS, ids=[" ".join(path) or "pricetag" for path in PATHS])
def test_help_and_errors_name_the_program_however_it_was_started(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    module = types.ModuleType("__main__")
    module.__package__ = "pricetag"  # as under python -m pricetag
    monkeypatch.setitem(sys.modules, "__main__", module)
    assert pricetag([*path, "--help"]) == 0
    usage = " ".join(capsys.readouterr().out.split())
    assert usage.startswith(f"Usage: {' '.join(('pricetag', *path))} ")
    assert "python -m" not in usage
    assert pricetag([*path, "--no-such-option"]) == 2
    assert complaint(capsys).startswith("pricetag: No such option: --no-such-option")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit"], "Missing argument 'FILE'. (--help shows the usage)"),
        (["nonsense"], "No such command 'nonsense'. (--help shows the usage)"),
        (["runs", "--zzz"], "No such option: --zzz (--help shows the usage)"),
        (["price", "add", "x"], "Missing option '--accelerator'. (--help shows the usage)"),
        (["sumbit"], "No such command 'sumbit'. Did you mean 'submit', 'site'?"),
    ],
)
def test_wrong_usage_says_where_the_usage_is_shown(
    arguments: list[str], message: str, capsys: Captured
) -> None:
    assert pricetag(arguments) == 2
    assert complaint(capsys).rstrip() == f"pricetag: {message}"


@pytest.mark.parametrize("group", [[], ["user"], ["project"]])
def test_group_without_a_command_shows_its_help(group: list[str], capsys: Captured) -> None:
    assert pricetag(group) == 2
    shown = capsys.readouterr()
    assert "Usage: pricetag" in shown.out + shown.err
    assert "pricetag: \n" not in shown.err


def test_version_is_that_of_the_package(capsys: Captured) -> None:
    assert pricetag(["--version"]) == 0
    assert capsys.readouterr().out == "pricetag 0.1.0\n"


def test_doctor_and_recipes_need_no_server(capsys: Captured) -> None:
    assert pricetag(["recipes", "--json"]) == 0
    assert {entry["kind"] for entry in said(capsys)} >= {"train", "quantize", "measure"}
    assert pricetag(["recipes", "train", "--json"]) == 0
    assert said(capsys)["schema"]["properties"]["epochs"]
    assert pricetag(["recipes", "tarin"]) == 1
    assert "unknown stage kind 'tarin' (did you mean 'train'" in complaint(capsys)
    assert pricetag(["doctor", "--json"]) == 0
    assert {meter["name"] for meter in said(capsys)["meters"]} >= {"nvml", "rapl-package"}


def test_doctor_reports_the_invalid_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    assert pricetag(["doctor", "--json"]) == 0
    assert said(capsys)["settings_fault"] is None
    get_settings.cache_clear()
    monkeypatch.setenv("PRICETAG_PUE", "0.5")
    assert pricetag(["doctor", "--json"]) == 1
    assert said(capsys)["settings_fault"].startswith(
        "the configuration is wrong: PRICETAG_PUE: must be at least 1"
    )
    assert pricetag(["doctor"]) == 1
    assert "No server or worker starts here" in capsys.readouterr().out
    monkeypatch.setenv("PRICETAG_METER_HOST", "both")
    assert pricetag(["doctor"]) == 2
    assert "use auto, rapl, model or none" in complaint(capsys)


def test_error_without_a_server_has_a_hint(capsys: Captured) -> None:
    assert pricetag(["runs"]) == 2
    message = complaint(capsys)
    assert "PRICETAG_URL" in message
    assert "in the data folder /" in message
    assert pricetag(["--url", "http://127.0.0.1:9", "cancel", RUN_ID]) == 1
    message = complaint(capsys)
    assert "no response from http://127.0.0.1:9" in message
    assert "(is the server running?)" in message


def test_error_for_a_missing_token_has_a_hint(
    api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.answers["GET /v1/runs"] = problem(401, "unauthenticated", "No token.")
    assert pricetag(["runs"]) == 1
    assert complaint(capsys) == "pricetag: No token. (use --token or set PRICETAG_TOKEN)\n"
    monkeypatch.delenv("PRICETAG_TOKEN")
    assert pricetag(["runs"]) == 1
    assert "`pricetag token create --name NAME` prints a new one" in complaint(capsys)


def test_help_loads_neither_client_nor_service_nor_what_shows_results() -> None:
    """Each would take as long as the help itself."""
    slow = (
        "httpx",
        "pydantic",
        "rich.live",
        "app",
        "fastapi",
        "pricetag.catalog",
        "pricetag.tag.view",
    )
    program = (
        "import sys; from pricetag.cli.app import run; run(['--help']);"
        f"print(sorted(set({slow}) & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_output_on_a_full_disk_is_an_error_of_one_line() -> None:
    """As when JSON is saved to a file and the disk is full."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pricetag", "recipes", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == "pricetag: the output cannot be written: No space left on device\n"
