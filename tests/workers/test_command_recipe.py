from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import gone
from tests.support.recording import RecordingReporter
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, Job, JobError


def command(root: Path, *argv: str, stop_after: int | None = None, **stage: Any) -> Any:
    described = {"stages": [{"kind": "command", "argv": list(argv), **stage}]}
    reporter = RecordingReporter(stop_after=stop_after)
    run(
        Job("r", 1, described, [root], root / "work", root / "artifacts", allow_commands=True),
        reporter,
    )
    return reporter


def failure(root: Path, *argv: str, **stage: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        command(root, *argv, **stage)
    return caught.value


def test_lines_of_both_streams_reach_the_log(tmp_path: Path) -> None:
    reporter = command(tmp_path, "sh", "-c", "echo out; echo err >&2; printf 'no end'")
    lines = sorted((event["stream"], event["text"]) for event in reporter.of("log"))
    assert lines == [("stderr", "err"), ("stdout", "no end"), ("stdout", "out")]
    assert reporter.of("stage_end")[0]["status"] == "succeeded"


def test_output_that_is_not_text_is_accepted(tmp_path: Path) -> None:
    reporter = command(tmp_path, "printf", "a\\0b\\377\\n")
    assert reporter.of("log")[0]["text"] == "a\ufffdb\ufffd"


def test_an_endless_line_is_split(tmp_path: Path) -> None:
    reporter = command(tmp_path, "head", "-c", "20000", "/dev/zero")
    sizes = [len(event["text"]) for event in reporter.of("log")]
    assert sum(sizes) == 20_000
    assert max(sizes) == 8192


def test_a_command_has_its_environment_folder_and_interpreter(tmp_path: Path) -> None:
    script = "import os, sys; print(os.environ['WORD'], os.getcwd(), sys.executable)"
    reporter = command(tmp_path, "python", "-c", script, env={"WORD": "hello"})
    word, folder, python = reporter.of("log")[0]["text"].split()
    assert (word, folder) == ("hello", str(tmp_path / "work"))
    assert Path(python).parent == Path(sys.executable).parent


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["sh", "-c", "echo last words; exit 3"], "command-failed", "exit status 3"),
        (["sh", "-c", "kill -9 $$"], "command-failed", "SIGKILL"),
        (["no-such-program"], "command-not-found", "no program 'no-such-program'"),
        (["/"], "command-not-found", "cannot start"),
    ],
)
def test_failures_state_their_cause(tmp_path: Path, argv: list[str], code: str, says: str) -> None:
    error = failure(tmp_path, *argv)
    assert error.code == code
    assert says in error.message
    assert error.field is not None
    assert error.field.startswith("recipe.stages.0.argv")


def test_the_last_lines_are_in_the_error(tmp_path: Path) -> None:
    error = failure(tmp_path, "sh", "-c", "seq 1 50; exit 1")
    assert error.message.splitlines()[1:] == [str(number) for number in range(31, 51)]


def test_a_command_may_not_take_longer_than_allowed(tmp_path: Path) -> None:
    error = failure(tmp_path, "sleep", "600", timeout_s=0.3)
    assert (error.code, error.field) == ("command-timeout", "recipe.stages.0.timeout_s")
    assert error.message == "not finished after 0.3 s"


def test_a_stop_ends_the_command(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(Interrupted):
        command(tmp_path, "sh", "-c", f"echo $$ > {pid_file}; exec sleep 600", stop_after=5)
    assert gone(int(pid_file.read_text()))


def test_a_command_does_not_wait_for_processes_that_it_leaves(tmp_path: Path) -> None:
    reporter = command(tmp_path, "sh", "-c", "sleep 600 & echo done")
    assert reporter.of("log")[0]["text"] == "done"


def test_commands_must_be_allowed(tmp_path: Path) -> None:
    described = {"stages": [{"kind": "command", "argv": ["true"]}]}
    with pytest.raises(JobError) as caught:
        run(Job("r", 1, described, [], tmp_path, tmp_path), RecordingReporter())
    assert caught.value.code == "command-not-allowed"
    assert "--allow-commands" in caught.value.message


def test_a_command_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\n"
        "from tests.workers.test_command_recipe import command\n"
        "import sys\n"
        "root = Path(sys.argv[1])\n"
        "command(root, 'sh', '-c', 'echo $$ > ' + str(root / 'pid') + '; exec sleep 60')\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    pid_file = tmp_path / "pid"
    deadline = time.monotonic() + 120
    while not (pid_file.exists() and pid_file.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    pid = int(pid_file.read_text())
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_command_loads_nothing_heavy() -> None:
    script = (
        "import sys, workers.job.pipeline, workers.recipes.command\n"
        "print([m for m in ('torch', 'numpy', 'transformers', 'sqlalchemy') if m in sys.modules])"
    )
    completed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.strip() == "[]"
