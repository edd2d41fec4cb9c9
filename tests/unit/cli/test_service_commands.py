"""Commands of the service: serve, worker, migrate, token, demo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pricetag.cli import checkout, service
from pricetag.cli.app import run as pricetag
from tests.support.commands import Captured, complaint


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GRID_ZONE", "XX", "the configuration is wrong: PRICETAG_GRID_ZONE: zone 'XX' is not in"),
        ("PUE", "abc", "the configuration is wrong: PRICETAG_PUE: must be a number"),
        ("METER_HOST", "both", "PRICETAG_METER_HOST is 'both'"),
    ],
)
def test_worker_reports_an_invalid_setting_in_one_line(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv(f"PRICETAG_{name}", value)
    assert pricetag(["worker"]) == 1
    assert message in complaint(capsys)


def test_every_command_of_the_service_is_a_command_of_pricetag() -> None:
    from app.cli import commands

    of_service = set(typer.main.get_command(commands).commands)  # type: ignore[attr-defined]
    assert of_service == {entry.command for entry in service.ENTRIES if entry.module == "app.cli"}


@pytest.mark.parametrize(
    ("arguments", "handed_over"),
    [
        (["--json", "token", "list"], ["list", "--json"]),
        (["--json", "token", "list", "--json"], ["list", "--json"]),
        (["token", "list"], ["list"]),
        (["--json", "migrate"], ["--json"]),
        (["--json", "token"], []),
        (["--json", "balances"], []),
        (["--json", "rollups", "check"], ["check", "--json"]),
    ],
)
def test_json_option_before_a_service_command_is_passed_on(
    arguments: list[str], handed_over: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def delegate(module: str, name: str, arguments: list[str], command: str) -> int:
        asked.append(arguments)
        return 0

    monkeypatch.setattr(service, "delegate", delegate)
    assert pricetag(arguments) == 0
    assert asked == [handed_over]


def test_json_option_is_rejected_by_commands_without_output(capsys: Captured) -> None:
    assert pricetag(["--json", "worker"]) == 2
    assert "worker has no --json" in complaint(capsys)


@pytest.mark.parametrize("command", ["serve", "worker", "migrate", "token", "demo"])
def test_service_commands_need_the_service(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    assert pricetag([command]) == 1
    assert "only the pricetag library is installed" in complaint(capsys)


def test_service_options_are_passed_on(capsys: Captured) -> None:
    assert pricetag(["token", "create", "--help"]) == 0
    assert "--role" in capsys.readouterr().out
    assert pricetag(["worker", "--help"]) == 0
    assert "--pool" in capsys.readouterr().out


@pytest.mark.parametrize("package", ["app", "workers", "models"])
def test_packages_of_a_project_on_pythonpath_do_not_shadow_the_service(
    package: str, tmp_path: Path
) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text("")
    program = "import sys; from pricetag.cli.app import run; sys.exit(run(['worker', '--help']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--pool" in done.stdout


def test_exit_code_of_a_service_command_is_returned(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    seen: list[list[str]] = []

    def entry() -> None:
        seen.append(list(sys.argv))
        raise SystemExit(7)

    before = list(sys.argv)
    monkeypatch.setattr(checkout, "load", lambda *_: entry)
    assert pricetag(["demo", "--fast", "x"]) == 7
    assert seen == [["pricetag demo", "--fast", "x"]]
    assert sys.argv == before


@pytest.mark.parametrize("data_dir", ["afile", "afile/data"])
def test_a_file_in_place_of_the_data_folder_is_named(
    data_dir: str, monkeypatch: pytest.MonkeyPatch, capsys: Captured, tmp_path: Path
) -> None:
    (tmp_path / "afile").write_text("")
    monkeypatch.delenv("PRICETAG_DATABASE_URL", raising=False)
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path / data_dir))
    assert pricetag(["serve", "--port", "0"]) == 1
    message = complaint(capsys)
    assert f"{tmp_path / data_dir} is a file, or in one, where a folder is needed" in message
    assert "Errno" not in message
