"""Runs a script as two ranks: forks of one process, which has imported what both need.

``python -m tests.support.two_ranks SCRIPT ARGUMENTS...``
"""

from __future__ import annotations

import gc
import importlib
import os
import runpy
import socket
import sys
import traceback

from workers.job.nursery_process import TRAINING_MODULES

SHARED = (*TRAINING_MODULES, "tests.support.sockets", "workers.job.pipeline")


def main() -> int:
    """The exit code of the launcher: 0 if both ranks end with 0."""
    for name in SHARED:
        importlib.import_module(name)
    gc.freeze()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = [_fork(rank, port) for rank in (0, 1)]
    return max(_ended(pid) for pid in pids)


def _fork(rank: int, port: int) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        del sys.argv[0]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _ended(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return abs(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    sys.exit(main())
