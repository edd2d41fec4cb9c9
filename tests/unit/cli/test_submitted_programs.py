"""Submitting a job checks its code and script where this machine has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag
from tests.support.commands import Captured, complaint, said
from tests.support.fake_api import Answer, FakeApi, run

JOB = """
project: p
experiment: e
name: n
recipe:
  stages:
    - {{kind: command, code: {code}, argv: [python, {script}]}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> Path:
    """A folder with code, and a server that accepts every run."""
    (tmp_path / "beside" / "mine").mkdir(parents=True)
    (tmp_path / "roots" / "served").mkdir(parents=True)
    for code in ("beside/mine", "roots/served"):
        (tmp_path / code / "train.py").write_text("")
    api.answers["POST /v1/runs"] = Answer(run("queued"), 202)
    monkeypatch.delenv("PRICETAG_DATA_ROOTS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def job(folder: Path, code: str, script: str = "train.py") -> str:
    file = folder / "beside" / "job.yaml"
    file.write_text(JOB.format(code=code, script=script))
    return str(file)


def submitted(api: FakeApi) -> bool:
    return any(request.method == "POST" for request in api.asked)


def test_existing_code_is_submitted_without_a_message(
    folder: Path, api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pricetag(["submit", job(folder, "mine")]) == 0
    monkeypatch.setenv("PRICETAG_DATA_ROOTS", f"{folder}/nowhere:{folder}/roots")
    for code in ("served", str(folder / "roots" / "served"), "{git: mine, commit: abcdef1}"):
        assert pricetag(["submit", job(folder, code)]) == 0
    assert capsys.readouterr().err == ""
    assert submitted(api)


@pytest.mark.parametrize("script", ["tarin.py", "./train.sh", "sub/train.py"])
def test_a_script_that_is_not_under_the_data_roots_is_rejected_before_it_is_queued(
    script: str, folder: Path, api: FakeApi, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_DATA_ROOTS", str(folder / "roots"))
    assert pricetag(["submit", job(folder, "served", script)]) == 2
    message = complaint(capsys)
    assert f"recipe.stages.0.argv.1: '{script}' is not in the code folder" in message
    assert "nothing was submitted" in message
    assert not submitted(api)


def test_data_roots_come_from_the_configuration_file_too(
    folder: Path, api: FakeApi, capsys: Captured
) -> None:
    Path("pricetag.toml").write_text(f'data_roots = ["{folder}/roots"]\n')
    assert pricetag(["submit", job(folder, "served", "none.py")]) == 2
    assert not submitted(api)


@pytest.mark.parametrize(
    ("code", "script", "text"),
    [
        ("mine", "tarin.py", "argv.1: 'tarin.py' is not in the code folder"),
        ("yours", "train.py", "code: 'yours' was not found under"),
        ("/nowhere/yours", "train.py", "code: '/nowhere/yours' was not found under"),
        ("{git: yours, commit: abcdef1}", "train.py", "code: 'yours' was not found under"),
    ],
)
def test_checks_that_only_the_worker_can_do_are_warnings(
    code: str, script: str, text: str, folder: Path, api: FakeApi, capsys: Captured
) -> None:
    file = job(folder, code, script)
    assert pricetag(["submit", file]) == 0
    error = capsys.readouterr().err
    assert f"warning: recipe.stages.0.{text}" in error
    if "was not found" in text:
        assert f"`pricetag submit {file} --check --data-root FOLDER`" in error
        assert "set PRICETAG_DATA_ROOTS" in error
    assert pricetag(["submit", file, "--json"]) == 0
    warnings: list[Any] = said(capsys)["warnings"]
    assert text in warnings[0]


def test_a_job_without_code_or_with_faults_is_left_to_the_server(
    folder: Path, api: FakeApi, capsys: Captured
) -> None:
    file = folder / "job.yaml"
    for content in ("code: [", "code: x", JOB.format(code="3", script="x.py")):
        file.write_text(content)
        assert pricetag(["submit", str(file)]) == 0
        assert capsys.readouterr().err == ""
