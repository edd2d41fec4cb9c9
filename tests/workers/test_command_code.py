"""The code of a command travels into its folder, read-only and hashed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pricetag.recipes import RecipeError, parse_recipe
from tests.support.recording import RecordingReporter
from workers.job import code as module
from workers.job.pipeline import run
from workers.job.reporter import Job, JobError

SCRIPT = """
import os, sys
import helper
from package import part
print("ran", helper.WORD, part.WORD, sys.argv[1:], flush=True)
print("mode", oct(os.stat("train.py").st_mode & 0o777), flush=True)
print("before", os.path.exists("written.txt"), flush=True)
open("written.txt", "w").write("by the program")
"""


def project(folder: Path) -> Path:
    (folder / "package").mkdir(parents=True)
    (folder / "train.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("WORD = 'helper'\n")
    (folder / "package" / "part.py").write_text("WORD = 'part'\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("not part of the code")
    return folder


def carry_out(root: Path, code: Any, *argv: str, attempt: int = 1) -> RecordingReporter:
    stage = {"kind": "command", "argv": list(argv or ("python", "train.py", "--x")), "code": code}
    artifacts = root / "artifacts" / str(attempt)
    job = Job("r", attempt, {"stages": [stage]}, [root], root / "work", artifacts)
    reporter = RecordingReporter()
    run(Job(**{**vars(job), "allow_commands": True}), reporter)
    return reporter


def facts(reporter: RecordingReporter) -> dict[str, Any]:
    [code] = [event["code"] for event in reporter.of("environment") if "code" in event]
    return dict(code["stages.0"])


def lines(reporter: RecordingReporter) -> list[str]:
    return [event["text"] for event in reporter.of("log") if event["stream"] == "stdout"]


def expected_hash(folder: Path, names: list[str]) -> str:
    content = b""
    for name in sorted(names):
        content += f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n".encode()
    return hashlib.sha256(content).hexdigest()


NAMES = ["helper.py", "package/part.py", "train.py"]


def test_the_readme_s_command_finds_its_script_and_what_it_imports(tmp_path: Path) -> None:
    source = project(tmp_path / "mine")
    reporter = carry_out(tmp_path, "mine")
    assert lines(reporter)[0] == "ran helper part ['--x']"
    assert lines(reporter)[1] == "mode 0o444"
    recorded = facts(reporter)
    assert recorded["sha256"] == expected_hash(source, NAMES)
    assert (recorded["path"], recorded["commit"], recorded["files"]) == ("mine", None, 3)
    assert not (source / "written.txt").exists()


def test_the_hash_includes_names_and_contents(tmp_path: Path) -> None:
    hashes = set()
    for index, change in enumerate(("nothing", "content", "name")):
        root = tmp_path / str(index)
        source = project(root / "mine")
        if change == "content":
            (source / "helper.py").write_text("WORD = 'helper' \n")
        if change == "name":
            (source / "empty.py").touch()
        hashes.add(facts(carry_out(root, "mine"))["sha256"])
    assert len(hashes) == 3


def test_a_retry_uses_the_code_and_files_of_the_first_attempt(tmp_path: Path) -> None:
    source = project(tmp_path / "mine")
    first = carry_out(tmp_path, "mine")
    (tmp_path / "work" / "stage-00" / "done.json").unlink()  # as if it had been interrupted
    (source / "helper.py").write_text("WORD = 'changed'\n")
    second = carry_out(tmp_path, "mine", attempt=2)
    assert facts(second) == facts(first)
    assert lines(second)[0] == "ran helper part ['--x']"
    assert "before True" in lines(second)


def test_a_changed_copy_is_replaced(tmp_path: Path) -> None:
    project(tmp_path / "mine")
    first = carry_out(tmp_path, "mine")
    (tmp_path / "work" / "stage-00" / "done.json").unlink()
    copy = tmp_path / "work" / "code-00" / "helper.py"
    copy.unlink()
    copy.write_text("WORD = 'by the program'\n")
    second = carry_out(tmp_path, "mine", attempt=2)
    assert facts(second) == facts(first)
    assert lines(second)[0] == "ran helper part ['--x']"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_files_of_a_commit_are_copied(tmp_path: Path) -> None:
    source = project(tmp_path / "repository")
    git(source, "init", "-q")
    git(source, "add", "train.py", "helper.py", "package")
    git(source, "commit", "-q", "-m", "one")
    commit = git(source, "rev-parse", "HEAD")
    digest = expected_hash(source, NAMES)
    (source / "helper.py").write_text("WORD = 'not committed'\n")
    reporter = carry_out(tmp_path, {"git": "repository", "commit": commit[:8]})
    assert lines(reporter)[0] == "ran helper part ['--x']"
    recorded = facts(reporter)
    assert (recorded["commit"], recorded["sha256"], recorded["path"]) == (
        commit,
        digest,
        "repository",
    )
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path / "other", {"git": str(source), "commit": "0" * 40})
    assert caught.value.code == "path-outside-roots"


def test_a_missing_commit_is_an_error(tmp_path: Path) -> None:
    source = project(tmp_path / "repository")
    git(source, "init", "-q")
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, {"git": "repository", "commit": "abcdef1"})
    assert (caught.value.code, caught.value.field) == ("bad-code", "recipe.stages.0.code.commit")
    assert "abcdef1" in caught.value.message


def outward_link(source: Path) -> None:
    (source / "secret").symlink_to("/etc/passwd")


def folder_link(source: Path) -> None:
    (source / "more").symlink_to(source / "package")


def pipe(source: Path) -> None:
    os.mkfifo(source / "pipe")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [(outward_link, "path-outside-roots"), (folder_link, "bad-code"), (pipe, "bad-code")],
)
def test_entries_that_are_not_files_of_the_folder_are_rejected(
    tmp_path: Path, spoil: Any, code: str
) -> None:
    spoil(project(tmp_path / "mine"))
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, "mine")
    assert (caught.value.code, caught.value.field) == (code, "recipe.stages.0.code")


def test_a_link_within_the_folder_is_copied_as_a_file(tmp_path: Path) -> None:
    source = project(tmp_path / "mine")
    (source / "helper.py").rename(source / "real.py")
    (source / "helper.py").symlink_to("real.py")
    assert lines(carry_out(tmp_path, "mine"))[0] == "ran helper part ['--x']"


@pytest.mark.parametrize(
    ("place", "code"),
    [("none", "missing-file"), ("mine/train.py", "bad-code"), ("/etc", "path-outside-roots")],
)
def test_code_that_is_not_a_folder_under_the_data_roots_is_rejected(
    tmp_path: Path, place: str, code: str
) -> None:
    project(tmp_path / "mine")
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, place)
    assert caught.value.code == code


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 100), ("MAX_FILES", 2)])
def test_code_that_is_too_large_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    project(tmp_path / "mine")
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, "mine")
    assert caught.value.code == "code-too-large"


@pytest.mark.parametrize(
    ("argv", "place"),
    [
        (["python", "train.py"], 1),
        (["python3.11", "-u", "src/train.py", "x"], 2),
        (["/usr/bin/python", "train.py"], 1),
        (["bash", "run.sh"], 1),
        (["./run.sh"], 0),
        (["bin/run"], 0),
        (["torchrun", "--nproc_per_node", "2", "train.py"], 3),
        (["accelerate", "launch", "train.py", "--lr", "1"], 2),
        (["env", "A=b.py", "python", "train.py"], 3),
    ],
)
def test_a_script_that_cannot_exist_is_named_when_the_run_is_submitted(
    argv: list[str], place: int
) -> None:
    stage = {"kind": "command", "argv": argv}
    with pytest.raises(RecipeError) as caught:
        parse_recipe({"stages": [stage]})
    assert f"stages.0.argv.{place}" in str(caught.value.field)
    assert "code:" in caught.value.message
    parse_recipe({"stages": [{**stage, "code": "mine"}]})
    # An earlier command may have written it.
    parse_recipe({"stages": [{"kind": "command", "argv": ["sh", "-c", "true"]}, stage]})


@pytest.mark.parametrize(
    "argv",
    [
        ["python", "-c", "print(1)"],
        ["python", "-m", "mine.train"],
        ["python", "/opt/mine/train.py"],
        ["sh", "-c", "echo a.sh"],
        ["/opt/run.sh"],
        ["torchrun", "--standalone", "x"],
        ["torchrun", "-m", "mine.train", "data.py"],
        ["accelerate", "launch", "/opt/train.py", "other.py"],
        ["timeout", "5", "sh", "-c", "./a.sh"],
        ["sleep", "1"],
        ["python"],
    ],
)
def test_programs_that_need_no_code_are_accepted(argv: list[str]) -> None:
    parse_recipe({"stages": [{"kind": "command", "argv": argv}]})


@pytest.mark.parametrize(
    "code",
    [
        {"git": "r"},
        {"git": "r", "commit": "HEAD"},
        {"git": "../r", "commit": "abcdef1"},
        "../x",
        "",
    ],
)
def test_impossible_code_options_are_rejected(code: Any) -> None:
    with pytest.raises(RecipeError):
        parse_recipe({"stages": [{"kind": "command", "argv": ["x"], "code": code}]})
