"""Run a program of the researcher's own, metered. Imports nothing heavy: it starts at once."""

from __future__ import annotations

import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from pricetag.events import ENV_VAR
from pricetag.recipes.base import StageParams
from pricetag.recipes.methods.command import Command
from workers.job import code, descendants, disk, environment, program_user
from workers.job.context import StageContext, StageResult
from workers.job.lines import LineCutter
from workers.job.request import COMMANDS_NOT_ALLOWED, Interrupted, JobError

MAX_LINE_BYTES = 8192
GRACE_S = 10.0
POLL_S = 0.1
DRAIN_S = 1.0
READ_BYTES = 65_536
LAST_LINES = 20
_PR_SET_PDEATHSIG = 1
_CHILDS_OWN = frozenset({"PYTHONPATH", "PYTHONSAFEPATH"})
"""How this process finds its own modules: a program has its own folder on its path."""

Line = tuple[str, str]  # stream, text


def prepare(params: StageParams, context: StageContext) -> None:
    """Bring the program's code, which no stage pays for, and report what it is."""
    assert isinstance(params, Command)
    if params.code is None:
        return
    facts = code.bring(params.code, context.job, _folder(params, context), f"{context.field}.code")
    context.reporter.log(
        f"code: {facts.files} file(s), {facts.size_bytes} bytes, sha256 {facts.sha256}"
    )
    environment.report(
        context.recipe, context.reporter, code={f"stages.{context.index}": asdict(facts)}
    )


def _folder(params: Command, context: StageContext) -> Path:
    """Where the program starts: beside its code, or in the run's work folder."""
    work = context.job.work_dir
    if params.code is not None:
        return work / f"code-{context.index:02d}"
    # Another user gets a folder of its own: in the run's this process writes.
    return work if context.job.program_user is None else work / "program"


def run(params: StageParams, context: StageContext) -> StageResult:
    """Run ``argv`` in the run's work folder, or beside its code, and log its output lines.

    The program inherits the event pipe (``PRICETAG_EVENTS``), so that ``pricetag.log`` and
    ``pricetag.stage`` in it report to this run. It stays in the worker's process group and
    dies with its parent.

    Raises:
        JobError: ``command-not-allowed``, ``command-not-found``, ``command-failed`` (with the
            exit status and the last lines), ``disk-full`` (likewise, where the program says so
            or the worker has no room), ``command-timeout``.
        Interrupted: a stop was asked for; the program was given 10 s to end.

    Source: Henderson et al. 2020, JMLR 21(248).
    """
    assert isinstance(params, Command)
    field = f"{context.field}.argv"
    if not context.job.allow_commands:
        raise JobError("command-not-allowed", COMMANDS_NOT_ALLOWED, field)
    before = descendants.descendants(os.getpid())
    descendants.take_in_orphans()
    folder, user = _folder(params, context), context.job.program_user
    events = os.environ.get(ENV_VAR)
    folder.mkdir(parents=True, exist_ok=True)
    program_user.open_to(user, folder, None if events is None else Path(events))
    variables = {**program_user.variables(user), **context.job.program_variables}
    process = _start(params, folder, variables, user, field)
    tail: deque[str] = deque(maxlen=LAST_LINES)

    def on_line(line: Line) -> None:
        tail.append(line[1])
        context.reporter.log(line[1], line[0])

    try:
        status = _attend(process, params.timeout_s, context.reporter.stop_requested, on_line)
    except _TimeUpError as error:
        limit = f"not finished after {params.timeout_s:g} s"
        raise JobError("command-timeout", limit, f"{context.field}.timeout_s") from error
    finally:
        _end(process)
        _end_what_is_left(context, before)
    if status != 0:
        failure = _failure(status, tail)
        if disk.is_full(context.job.work_dir) or any(map(disk.says_full, tail)):
            raise JobError("disk-full", failure, field)
        raise JobError("command-failed", failure, field)
    return StageResult(facts={"exit_status": status})


def _start(
    params: Command, folder: Path, variables: Mapping[str, str], user: str | None, field: str
) -> subprocess.Popen[bytes]:
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


def _attend(
    process: subprocess.Popen[bytes],
    timeout_s: float | None,
    stop_requested: Callable[[], str | None],
    on_line: Callable[[Line], None],
) -> int:
    """Pass the output on until the program has ended; returns its exit status."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    drained_by: float | None = None
    with selectors.DefaultSelector() as selector:
        for stream, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            assert pipe is not None
            selector.register(pipe, selectors.EVENT_READ, _Lines(stream))
        while selector.get_map():
            for key, _ in selector.select(POLL_S):
                piece = os.read(key.fd, READ_BYTES)
                for line in key.data.take(piece):
                    on_line(line)
                if not piece:
                    selector.unregister(key.fileobj)
            if process.poll() is None:
                _check(stop_requested, deadline)
                continue
            # What it started may hold the pipes open: they are not read for ever.
            drained_by = drained_by or time.monotonic() + DRAIN_S
            if time.monotonic() > drained_by:
                break
    while process.poll() is None:  # it closed its output and goes on
        _check(stop_requested, deadline)
        time.sleep(POLL_S)
    return process.returncode


class _TimeUpError(Exception):
    """The program took longer than it may."""


def _check(stop_requested: Callable[[], str | None], deadline: float | None) -> None:
    reason = stop_requested()
    if reason is not None:
        raise Interrupted(reason)
    if deadline is not None and time.monotonic() > deadline:
        raise _TimeUpError


class _Lines:
    """The lines of one stream, as the database can hold them."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._cutter = LineCutter(MAX_LINE_BYTES)

    def take(self, piece: bytes) -> Iterator[Line]:
        """The lines that ``piece`` completes; an empty one ends the stream."""
        for line in self._cutter.take(piece):
            yield self._stream, line.replace("\x00", "\ufffd")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program to end, and end it when it does not."""
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


def _end_what_is_left(context: StageContext, before: set[int]) -> None:
    """Within the stage, which pays for it: what the program started ends with it."""
    left, _ = descendants.kill_descendants(before)
    descendants.take_in_orphans(False)
    if left:
        text = f"{left} process(es) that the program had started outlived it and were killed"
        context.reporter.log(text)


def _failure(status: int, tail: deque[str]) -> str:
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    last = "\n".join(tail)[-4000:]
    return f"{how}; last lines:\n{last}" if last else how
