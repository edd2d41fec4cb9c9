"""The nursery's own process: imports once what all jobs need, then forks each in milliseconds.

It has one thread and touches no device, so that a fork is safe. Jobs die with it.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import importlib
import json
import os
import platform
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from pricetag.loading import loading
from pricetag.recipes import REGISTRY, parse_recipe
from workers.job import child, descendants, environment

PR_SET_PDEATHSIG = 1
WORKERS_BUSINESS = (signal.SIGINT, signal.SIGTERM)
"""Signals handled by the worker: it lets the jobs save their state, then hangs up."""
MAX_MESSAGE_BYTES = 1 << 20
PROGRAMS = tuple(entry for entry in REGISTRY.values() if entry.traits.runs_program)
TRAINING_MODULES = (
    *(entry.module for entry in REGISTRY.values() if not entry.traits.runs_program),
    "sklearn.metrics",
    "scipy.stats",
)


def main(control_fd: int, *, allow_hub: bool, root: Path, journal_dir: Path | None = None) -> None:
    """Serves the worker until it hangs up."""
    descendants.take_in_orphans()
    control = socket.socket(fileno=control_fd)
    jobs: set[int] = set()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, WORKERS_BUSINESS)
    warm_up()
    while True:
        ready, _, _ = select.select([control_fd, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
            _report_exits(control, jobs)
        if control_fd in ready and not _serve_one(control, allow_hub, jobs):
            descendants.kill_descendants()
            if journal_dir is not None:
                _end_attempts(journal_dir, root)
            return


def warm_up() -> None:
    """Do once what every fork would otherwise repeat: imports, schemas, `uname -p`, versions."""
    with loading():
        for entry in PROGRAMS:
            importlib.import_module(entry.module)
    for entry in PROGRAMS:
        parse_recipe({"stages": [entry.example]})
    platform.platform()
    environment.version("pricetag")


def _end_attempts(journal_dir: Path, root: Path) -> None:
    """After the worker has died with jobs running: reads their counters for the last time."""
    from workers.attempt.recovery import end_at_once  # meters, which no fork needs

    end_at_once(journal_dir, root)
    from workers.node.power_limits import restore_left

    restore_left(journal_dir.parent)


def _serve_one(control: socket.socket, allow_hub: bool, jobs: set[int]) -> bool:
    """Starts the requested job; returns False when the worker has hung up."""
    message, fds = _receive(control)
    if not message:
        return False
    request: dict[str, Any] = json.loads(message)
    if request["trains"] and request.get("argv") is None:
        _import_training(allow_hub)
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        _become_job(request, nursery, *fds)
    jobs.add(pid)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.setpgid(pid, pid)  # the child does the same: whichever is first creates the group
    for fd in fds:
        os.close(fd)
    control.send(json.dumps({"id": request["id"], "pid": pid}).encode())
    return True


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    fds = array.array("i")
    message, ancillary, _flags, _address = control.recvmsg(
        MAX_MESSAGE_BYTES, socket.CMSG_LEN(2 * fds.itemsize)
    )
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)


def _report_exits(control: socket.socket, jobs: set[int]) -> None:
    """Reports how jobs ended, once all their processes are gone.

    A living job adopts its own orphans. A process without a job above it therefore comes from
    a job that was killed; it cannot belong to another job.
    """
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid not in jobs:
            continue
        jobs.discard(pid)
        _, left_cpu_s = descendants.kill_descendants(jobs)
        code = os.waitstatus_to_exitcode(status)
        cpu_s = usage.ru_utime + usage.ru_stime + left_cpu_s
        control.send(json.dumps({"exited": pid, "code": code, "cpu_s": cpu_s}).encode())


def _import_training(allow_hub: bool) -> None:
    """Imports the training libraries once: seconds for the first job, none for the others."""
    if all(name in sys.modules for name in TRAINING_MODULES):
        return
    from workers.training import quiet

    quiet.settle(allow_hub)
    # The collector leaves these pages alone afterwards, so that forks share them.
    with loading():
        for name in TRAINING_MODULES:
            importlib.import_module(name)


def _become_job(request: dict[str, Any], nursery: int, stdout: int, stderr: int) -> NoReturn:
    """Turns the fork into a job's process with its own group, output and environment."""
    code = 1
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != nursery:  # it died before the kernel knew to signal us
            os._exit(code)
        signal.set_wakeup_fd(-1)
        for signum in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, WORKERS_BUSINESS)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
            os.close(source)
        if request.get("argv") is not None:
            os.execve(request["argv"][0], request["argv"], request["environment"])
        os.environ.clear()
        os.environ.update(request["environment"])
        code = child.main(request["job_file"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        allow_hub=sys.argv[2] == "hub",
        root=Path(sys.argv[3]),
        journal_dir=Path(sys.argv[4]) if len(sys.argv) > 4 else None,
    )
