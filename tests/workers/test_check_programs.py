"""What `submit --check` reports about jobs that run programs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pricetag.cli.app import run as pricetag

Captured = pytest.CaptureFixture[str]
SKIPPED = "Not checked: what the programs do, and the files that they read"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a code folder and a git repository."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "train.py").write_text("print()")
    (tmp_path / "file").write_text("")
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "run.sh").write_text("true")
    git = ["git", "-C", str(tmp_path / "repository"), "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    return tmp_path


def checked(root: Path, *stages: dict[str, Any], data_root: bool = True) -> int:
    file = root / "job.json"
    recipe = {"stages": [{"kind": "command", **stage} for stage in stages]}
    file.write_text(json.dumps({"project": "p", "experiment": "e", "name": "n", "recipe": recipe}))
    options = ["--data-root", str(root)] if data_root else []
    return pricetag(["submit", str(file), "--check", *options])


def head(root: Path) -> str:
    command = ["git", "-C", str(root / "repository"), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_checks_are_listed(root: Path, capsys: Captured) -> None:
    commit = head(root)
    in_git = {"code": {"git": "repository", "commit": commit}, "argv": ["./run.sh"]}
    assert checked(root, {"code": "mine", "argv": ["python", "train.py"]}, in_git) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Checked: stages.0: code 'mine' with train.py",
        f"Checked: stages.1: code commit {commit} of 'repository' with ./run.sh",
        SKIPPED,
    ]
    assert checked(root, {"argv": ["echo", "hi"]}) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "Not checked: stages.0: the program, which only the worker has",
        SKIPPED,
    ]
    assert checked(root, {"argv": ["echo", "hi"]}, data_root=False) == 0
    out = capsys.readouterr().out
    assert "Checked: the job file alone" in out
    assert "labels" not in out


@pytest.mark.parametrize(
    ("stage", "field", "words"),
    [
        ({"code": "mine", "argv": ["python", "test.py"]}, "argv.1", "'test.py' is not in the code"),
        ({"code": "mine", "argv": ["./run.sh"]}, "argv.0", "'./run.sh' is not in the code"),
        ({"code": "yours", "argv": ["python", "train.py"]}, "code", "'yours'"),
        ({"code": "file", "argv": ["python", "train.py"]}, "code", "is not a folder"),
        (
            {"code": {"git": "mine", "commit": "0123456"}, "argv": ["true"]},
            *("code.commit", "is not a git repository with the commit 0123456"),
        ),
        (
            {"code": {"git": "repository", "commit": "0123456"}, "argv": ["true"]},
            *("code.commit", "with the commit 0123456"),
        ),
    ],
)
def test_code_and_scripts_that_are_missing_are_named(
    root: Path, capsys: Captured, stage: dict[str, Any], field: str, words: str
) -> None:
    assert checked(root, stage) == 2
    complaint = capsys.readouterr().err
    assert f"recipe.stages.0.{field}: " in complaint
    assert words in complaint


def test_a_script_missing_in_the_commit_is_named(root: Path, capsys: Captured) -> None:
    code = {"git": "repository", "commit": head(root)}
    (root / "repository" / "later.sh").write_text("true")  # not committed
    assert checked(root, {"code": code, "argv": ["./later.sh"]}) == 2
    assert "'./later.sh' is not in the code: commit" in capsys.readouterr().err
