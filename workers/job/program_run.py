"""Runs a researcher's own program, and ends every process that it has started."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pricetag.events import ENV_VAR, RUN_VAR
from pricetag.recipes.methods.command import Command
from pricetag.tag.figures import counted
from workers.job import code, descendants, disk, environment, program_user
from workers.job.context import StageContext
from workers.job.program_output import Line, TimeUpError, follow
from workers.job.request import COMMANDS_NOT_ALLOWED, JobError

GRACE_S = 10.0
LAST_LINES = 20
MAX_FAILURE_CHARS = 4000
_PR_SET_PDEATHSIG = 1
_CHILDS_OWN = frozenset({"PYTHONPATH", "PYTHONSAFEPATH"})
"""Path of this process's modules; a program has its own folder on its path."""


def bring_code(params: Command, context: StageContext) -> None:
    """Copy the program's code into the work folder, and report its size and hash.

    Raises:
        JobError: The code cannot be read or fetched.
    """
    if params.code is None:
        return
    facts = code.bring(params.code, context.job, _folder(params, context), f"{context.field}.code")
    context.reporter.log(
        f"code: {counted(facts.files, 'file')}, {facts.size_bytes:,} bytes, sha256 {facts.sha256}"
    )
    environment.report(
        context.recipe, context.reporter, code={f"stages.{context.index}": asdict(facts)}
    )


def run_program(params: Command, context: StageContext) -> int:
    """Run ``argv`` to its end and log its output; ends everything that it has started.

    Returns:
        The exit status, 0.

    Raises:
        JobError: ``command-not-allowed``, ``command-not-found``, ``command-failed``,
            ``disk-full``, ``command-timeout``.
        Interrupted: A stop was requested; the program was given 10 s to end.
    """
    field = f"{context.field}.argv"
    if not context.job.allow_commands:
        raise JobError("command-not-allowed", COMMANDS_NOT_ALLOWED, field)
    before = descendants.descendants(os.getpid())
    descendants.take_in_orphans()
    process = _start(params, context, field)
    tail: deque[str] = deque(maxlen=LAST_LINES)

    def on_line(line: Line) -> None:
        tail.append(line[1])
        context.reporter.log(line[1], line[0])

    try:
        status = follow(process, params.timeout_s, context.reporter.stop_requested, on_line)
    except TimeUpError as error:
        limit = f"not finished after {params.timeout_s:g} s"
        raise JobError("command-timeout", limit, f"{context.field}.timeout_s") from error
    finally:
        _end(process)
        _end_descendants(context, before)
    if status != 0:
        failure = _failure(status, tail)
        if disk.is_full(context.job.work_dir) or any(map(disk.says_full, tail)):
            raise JobError("disk-full", failure, field)
        raise JobError("command-failed", failure, field)
    return status


def _folder(params: Command, context: StageContext) -> Path:
    """The folder that the program starts in: its code's, or the run's work folder."""
    work = context.job.work_dir
    if params.code is not None:
        return work / f"code-{context.index:02d}"
    # Another user gets its own folder: this process writes into the run's.
    return work if context.job.program_user is None else work / "program"


def _start(params: Command, context: StageContext, field: str) -> subprocess.Popen[bytes]:
    folder, user = _folder(params, context), context.job.program_user
    events = os.environ.get(ENV_VAR)
    folder.mkdir(parents=True, exist_ok=True)
    program_user.open_to(user, folder, None if events is None else Path(events))
    variables = {
        **program_user.variables(user),
        **context.job.program_variables,
        RUN_VAR: context.job.run_id,
    }
    parent = os.getpid()
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the signal was set
            os._exit(1)

    try:
        return subprocess.Popen(
            params.argv,
            cwd=folder,
            env=_environment(params, variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            **program_user.popen_options(user),
            preexec_fn=die_with_parent,  # one system call, no lock: safe beside threads
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"no program '{params.argv[0]}' on this worker"
        raise JobError("command-not-found", message, f"{field}.0") from error
    except (PermissionError, OSError) as error:
        message = f"cannot start '{params.argv[0]}': {error.strerror}"
        raise JobError("command-not-found", message, f"{field}.0") from error


def _environment(params: Command, variables: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _CHILDS_OWN}
    # `python` in argv is the worker's own, where pricetag is installed.
    path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)])
    return {**inherited, **variables, "PATH": path, "PYTHONUNBUFFERED": "1", **params.env}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program to end, and kill it if it does not."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _end_descendants(context: StageContext, before: set[int]) -> None:
    """Kill what the program has started, within the stage, which pays for it."""
    killed, _ = descendants.kill_descendants(before)
    descendants.take_in_orphans(False)
    if killed:
        text = f"processes that the program had started outlived it and were killed: {killed}"
        context.reporter.log(text)


def _failure(status: int, tail: deque[str]) -> str:
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    last = "\n".join(tail)[-MAX_FAILURE_CHARS:]
    return f"{how}; last lines:\n{last}" if last else how
