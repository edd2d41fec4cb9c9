"""The job's own process: runs the recipe and reports its progress to the supervisor.

It has no database and no meter. When the supervisor vanishes, or announces no renewal for the
duration of a lease, the process ends at once with everything it has started, because its run
may be given to another worker.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import NoReturn

from pricetag.attempt.outcome import EXIT_INTERRUPTED
from pricetag.events import ENV_VAR, EventChannel
from workers.attempt import leftovers
from workers.job import descendants, memory
from workers.job.pipeline import run
from workers.job.ranks import rank
from workers.job.reporter import SilentReporter
from workers.job.request import Interrupted, Job, JobError
from workers.job.socket_reporter import SocketReporter
from workers.node.silence import silence_limit_s

HEARTBEAT_S = 5.0
WATCH_S = 1.0
MOST_REASON_CHARS = 20_000


def main(job_file: str) -> int:
    """Runs one job; returns the process's exit code."""
    job = Job.from_json(Path(job_file).read_text())
    memory.keep_freed()
    if rank() != 0:
        return _follow(job)
    channel = EventChannel(os.environ[ENV_VAR], on_lost=_vanish)
    channel.send("hello", pid=os.getpid())
    threading.Thread(target=_beat, args=(channel,), daemon=True).start()
    if job.lease_s is not None:
        threading.Thread(target=_watch, args=(channel, job.lease_s), daemon=True).start()
    try:
        # artifacts_dir is <root>/<run>/<attempt>: paths are reported relative to the root.
        run(job, SocketReporter(channel, job.artifacts_dir.parent.parent))
    except Interrupted:
        channel.send("finished", status="interrupted")
        return EXIT_INTERRUPTED
    except Exception as error:
        _tell(channel, error)
        return 1
    else:
        channel.send("finished", status="succeeded")
        return 0
    finally:
        channel.close()


def _follow(job: Job) -> int:
    """Runs any rank except 0 of a job on several devices; silent unless it fails."""
    try:
        run(job, SilentReporter())
    except Interrupted:
        return EXIT_INTERRUPTED
    except Exception as error:
        # The launcher ends the other ranks as soon as this one exits: they may never report why.
        channel = EventChannel(os.environ[ENV_VAR])
        _tell(channel, error)
        channel.close()
        return 1
    return 0


def _tell(channel: EventChannel, error: Exception) -> None:
    """Reports why the job failed; an unexpected error goes to the log with its traceback."""
    if isinstance(error, JobError):
        channel.send("error", code=error.code, message=error.message, field=error.field)
        return
    traceback.print_exception(error)
    message = f"{type(error).__name__}: {error}"[:MOST_REASON_CHARS]
    channel.send("error", code="unexpected-error", message=message, field=None)


def _vanish() -> None:
    """Kills the job, which is no longer metered, with the processes that left its group."""
    try:
        below = descendants.descendants(os.getpid())
        for pid in {*below, *leftovers.processes(Path(os.environ[ENV_VAR]))}:
            if pid != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    finally:
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _watch(channel: EventChannel, lease_s: float) -> None:
    """Ends the job when its supervisor is stopped or hangs, which leaves the pipe open.

    It has its own thread, because the heartbeat blocks when nobody reads the pipe.
    """
    limit_s = silence_limit_s(lease_s)
    pause = threading.Event()
    while not channel.lost:
        pause.wait(min(WATCH_S, 0.05 * lease_s))
        if time.monotonic() - channel.heard_s > limit_s:
            _vanish()


def _beat(channel: EventChannel) -> None:
    """Sends a heartbeat for as long as this process is scheduled at all."""
    pause = threading.Event()
    while not channel.lost:
        pause.wait(HEARTBEAT_S)
        try:
            channel.send("heartbeat")
        except ConnectionError:
            return


def leave(code: int) -> NoReturn:
    """Ends the process without tearing down the interpreter.

    During the tear-down, threads of libraries (gloo, CUDA) sometimes abort the process:
    torchrun would then end the other ranks, and a finished job would count as crashed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1]))
