"""Programs of commands run as another user, who can read nothing of the worker's."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import commands as server_commands
from app.cli import support
from app.serving import worker_command
from app.settings import Settings, get_settings
from tests.support.recording import RecordingReporter
from workers import command
from workers.job import program_user
from workers.job.pipeline import run
from workers.job.reporter import Job
from workers.node.identity import NodeConfig

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


def test_an_unknown_user_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"not found|root"):
        program_user.check("no-such-user-here")


def test_a_user_that_cannot_run_python_is_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if IS_ROOT:  # nobody else changes users
        monkeypatch.setattr(sys, "executable", "/bin/sh")
        program_user.check_python("nobody")
    hidden = tmp_path / "python"
    hidden.touch(mode=0o700)
    monkeypatch.setattr(sys, "executable", str(hidden))
    with pytest.raises(ValueError, match=r"'nobody' cannot run .* that this user may read"):
        program_user.check_python("nobody")
    program_user.check_python(None)


def test_root_is_accepted_only_as_the_workers_own_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert program_user.check("root") is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ValueError, match="only a worker that runs as root"):
        program_user.check("root")


@pytest.mark.parametrize(
    ("uid", "user", "text"),
    [
        (0, "nobody", "programs run as 'nobody'; isolated: the worker's environment, memory"),
        (0, None, "programs run as root (--job-user root); isolated: nothing but their"),
        (1, None, "the worker's own user, since only root can change users; isolated: the"),
        (54321, None, "programs run as '54321', the worker's own user"),
    ],
)
def test_the_log_states_what_is_isolated(
    uid: int, user: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    line = program_user.isolation(user)
    assert text in line
    assert "not isolated: " in line
    assert "\n" not in line


@pytest.fixture
def start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """Starts ``pricetag worker`` as a user; returns the complaint, or the configured user."""

    async def serve(_: Any, config: NodeConfig, *__: Any) -> None:
        raise SystemExit(f"serving with {config.job_user}")

    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("PRICETAG_JOB_USER", raising=False)
    monkeypatch.setattr(command, "_serve", serve)

    def started(uid: int, *options: str, **variables: str) -> str:
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        monkeypatch.setattr(program_user, "check_python", lambda name: None)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        monkeypatch.setattr(sys, "argv", ["pricetag worker", "--gpus", "none", *options])
        with pytest.raises(SystemExit) as ended:
            command.main()
        error = capsys.readouterr().err
        if isinstance(ended.value.code, int):
            assert ended.value.code == 2
            return error
        return str(ended.value.code)

    yield started
    get_settings.cache_clear()


def test_a_root_worker_with_commands_and_without_a_user_does_not_start(
    start: Callable[..., str],
) -> None:
    for options, variables in (
        (["--allow-commands"], {}),
        ([], {"PRICETAG_ALLOW_COMMANDS_POOLS": "default"}),
    ):
        error = start(0, *options, **variables)
        assert "PRICETAG_JOB_USER=NAME (`pricetag worker` also takes --job-user NAME)" in error
        assert "PRICETAG_JOB_USER=root" in error


@pytest.mark.parametrize(
    ("uid", "options", "variables", "user"),
    [
        (0, [], {}, None),
        (0, ["--allow-commands", "--job-user", "root"], {}, None),
        (0, ["--allow-commands", "--job-user", "nobody"], {}, "nobody"),
        (0, ["--allow-commands"], {"PRICETAG_JOB_USER": "nobody"}, "nobody"),
        (0, ["--allow-commands"], {"PRICETAG_JOB_USER": "root"}, None),
        (1000, ["--allow-commands"], {}, None),
    ],
)
def test_a_worker_starts_where_the_user_of_programs_is_decided(
    uid: int,
    options: list[str],
    variables: dict[str, str],
    user: str | None,
    start: Callable[..., str],
) -> None:
    assert start(uid, *options, **variables) == f"serving with {user}"


def test_a_server_does_not_start_such_workers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(allow_commands_pools=["lab"])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(support, "get_settings", lambda: settings)
    monkeypatch.setattr("app.serving.serve", lambda *_, **__: None)
    arguments = ["serve", "--with-worker", "1", "--worker-pool"]
    assert server_commands([*arguments, "lab"], standalone_mode=False) == 1
    assert "--with-worker: a worker that runs as root" in capsys.readouterr().err
    assert not server_commands([*arguments, "default"], standalone_mode=False)
    assert server_commands([*arguments, "default", "--allow-commands"], standalone_mode=False) == 1
    assert "--with-worker: a worker that runs as root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "allowed"), [([], False), (["--allow-commands"], True)], ids=["not", "allowed"]
)
def test_workers_of_the_server_run_commands_where_its_option_allows_it(
    monkeypatch: pytest.MonkeyPatch, options: list[str], allowed: bool
) -> None:
    started: dict[str, Any] = {}
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(support, "get_settings", Settings)
    monkeypatch.setattr("app.serving.serve", lambda *_, **options: started.update(options))
    assert not server_commands(["serve", "--with-worker", "1", *options], standalone_mode=False)
    assert started["worker_commands"] is allowed
    command = worker_command("lab", "none", allow_commands=allowed)
    assert command[1:] == ["-m", "workers", "--pool", "lab", "--gpus", "none", *options]


def test_commands_without_a_worker_are_rejected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(support, "get_settings", Settings)
    monkeypatch.setattr("app.serving.serve", lambda *_, **__: None)
    assert server_commands(["serve", "--allow-commands"], standalone_mode=False) == 1
    assert "--with-worker" in capsys.readouterr().err
