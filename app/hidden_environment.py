"""Hides a service's environment from the jobs that run beside it.

``/proc/PID/environ`` shows the environment with which a process was started, regardless of later
changes. The service therefore restarts itself with the harmless part, and passes the rest to
itself through anonymous memory; then it closes ``/proc/PID/{environ,mem,fd}`` to other processes
of its user. Root, and programs that may trace any process, can still read its memory.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Mapping

HANDED_OVER = "PRICETAG_HANDED_OVER_FD"
_PR_SET_DUMPABLE = 4

_VISIBLE = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TERM"}
    | {"TMPDIR", "TMP", "TEMP", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV"}
)
_VISIBLE_PREFIXES = ("LC_", "PYTHON")


def hide_environment(*commands: str) -> None:
    """Restarts a service with a hidden environment; call it before all else.

    In the process in which it returns, ``os.environ`` is unchanged, but other processes see
    only harmless variables.

    Args:
        commands: Names of the service in this process's command line; without any of them,
            another program is the caller and nothing is done.
    """
    if not set(commands) & set(sys.orig_argv):
        return
    handed_over = os.environ.pop(HANDED_OVER, None)
    if handed_over is not None:
        os.environ.update(_take(int(handed_over)))
    elif hidden := hidden_part(os.environ):
        _start_again(hidden)
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def visible_part(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that jobs may see."""
    hidden = hidden_part(environ)
    return {name: value for name, value in environ.items() if name not in hidden}


def hidden_part(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that no other process may see."""
    return {
        name: value
        for name, value in environ.items()
        if name not in _VISIBLE and not name.startswith(_VISIBLE_PREFIXES)
    }


def _start_again(hidden: Mapping[str, str]) -> None:
    descriptor = os.memfd_create("pricetag", 0)  # without close-on-exec
    with os.fdopen(descriptor, "w", errors="surrogateescape", closefd=False) as memory:
        json.dump(dict(hidden), memory, ensure_ascii=True)
    os.lseek(descriptor, 0, os.SEEK_SET)
    visible = visible_part(os.environ)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, {**visible, HANDED_OVER: str(descriptor)})


def _take(descriptor: int) -> dict[str, str]:
    with os.fdopen(descriptor) as memory:
        return dict(json.load(memory))
