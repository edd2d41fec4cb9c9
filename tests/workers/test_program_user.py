"""Programs of commands as another user, who can read nothing of the worker's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.recording import RecordingReporter
from workers.job import program_user
from workers.job.pipeline import run
from workers.job.reporter import Job

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def root() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folder is closed to other users
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def lines(root: Path, script: str, user: str | None) -> list[str]:
    data = root / "data"
    (data / "journal").mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    secret = data / "secret"
    secret.write_text("hush")
    secret.chmod(0o600)
    stage = {"kind": "command", "argv": ["/bin/sh", "-c", script]}
    work = data / "work" / "r"
    job = Job(
        "r",
        1,
        {"stages": [stage]},
        [root],
        work,
        root / "artifacts",
        allow_commands=True,
        program_user=user,
    )
    reporter = RecordingReporter()
    run(job, reporter)
    return [event["text"] for event in reporter.of("log")]


def test_a_program_runs_as_another_user_and_reads_no_secret(root: Path) -> None:
    if not IS_ROOT:
        with pytest.raises(ValueError, match="only a worker that runs as root"):
            program_user.check("nobody")
        return
    script = (
        "id -un; pwd; touch written && echo wrote; "
        f"cat {root}/data/secret || echo closed; "
        "cat /proc/$PPID/environ || echo hidden; kill -9 $PPID || echo alive; echo $HOME $USER"
    )
    shown = lines(root, script, "nobody")
    assert "nobody" in shown
    assert str(root / "data/work/r/program") in shown
    assert {"wrote", "closed", "hidden", "alive"} <= set(shown)
    assert not any("hush" in line for line in shown)
    assert any(line.endswith(" nobody") for line in shown)
    assert (root / "data").stat().st_mode & 0o077 == 0o011  # may be passed through, not listed
    assert (root / "data/work/r/program/written").stat().st_uid != 0


def test_without_a_user_programs_run_as_the_worker(root: Path) -> None:
    assert str(os.geteuid()) in lines(root, "id -u", None)


@pytest.mark.parametrize("name", ["no-such-user-here", "root"])
def test_an_impossible_job_user_is_rejected(name: str) -> None:
    with pytest.raises(ValueError, match=r"no user|root"):
        program_user.check(name)
