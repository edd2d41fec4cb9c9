"""``pricetag run -- COMMAND``: starts a program, meters it and ends like it.

The program keeps the terminal, standard input and output, the process group and its exit code.
Signals to this process are forwarded to it. It is started first, so that it does not wait for the
meters, which open in the meantime.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from pricetag import streams
from pricetag.events import ENV_VAR, LOCAL_VAR
from pricetag.local.ended import EXIT_OF_SIGNAL, FORWARDED, Ended
from pricetag.local.listener import Listener
from pricetag.local.request import Request
from pricetag.local.settings import LocalSettings

if TYPE_CHECKING:
    from pricetag.local.begun import Begun

RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Signals that Python ignores and other programs expect with their default action."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit codes of a shell for a program that cannot be started."""


class StartError(RuntimeError):
    """The program cannot be started.

    Attributes:
        exit_code: Exit code of a shell in this case.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_program(
    command: Sequence[str],
    request: Request,
    settings: LocalSettings,
    environ: Mapping[str, str] = os.environ,
) -> Ended:
    """Runs a program to its end, metered; unmetered if its data folder cannot be used.

    Args:
        command: Program and arguments.
        request: Describes the run.
        settings: The data folder and the site's factors.
        environ: Environment of the program.

    Raises:
        StartError: If the program cannot be started; nothing is kept.
    """
    former = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        folder = settings.folder / request.folder_name
        try:
            listener = _prepared(folder)
        except OSError as error:
            return _unmetered(command, environ, former, error)
        try:
            zero_s = time.monotonic()
            own = {ENV_VAR: str(listener.path), LOCAL_VAR: "1"}
            pid = _start(command, {**environ, **own}, former)
        except BaseException:
            listener.close()
            folder.rmdir()
            raise
        begun = _noted(folder, request, settings)
        # Imported here, so that the program does not wait for it.
        from pricetag.local.accompany import accompany

        return accompany(pid, request, settings, listener, zero_s, begun)
    finally:
        _drop_pending()
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _prepared(folder: Path) -> Listener:
    """The socket of a run whose folder was created.

    Raises:
        OSError: If either cannot be created; then neither is there.
    """
    folder.mkdir(parents=True)
    try:
        return Listener.new()
    except OSError:
        folder.rmdir()
        raise


def _noted(folder: Path, request: Request, settings: LocalSettings) -> Begun | None:
    """The note of a program that was just started; None if it cannot be written."""
    from pricetag.local.begun import Begun

    try:
        return Begun(folder, request, settings)
    except OSError:  # the meter meets the same error, and states it
        return None


def _unmetered(
    command: Sequence[str], environ: Mapping[str, str], mask: Any, error: OSError
) -> Ended:
    """Runs a program that cannot be metered: its work must not depend on its meter."""
    problem = (
        f"its files cannot be written ({error.strerror}: {error.filename}); "
        "PRICETAG_DATA_DIR chooses another data folder"
    )
    pid = _start(command, environ, mask)
    streams.write(sys.stderr, f"pricetag: the program runs, but is not metered: {problem}\n")
    from pricetag.local.accompany import await_end

    return await_end(pid, problem)


def _start(command: Sequence[str], environ: Mapping[str, str], mask: Any) -> int:
    try:
        return os.posix_spawnp(
            command[0], list(command), dict(environ), setsigmask=mask, setsigdef=RESTORED
        )
    except FileNotFoundError:
        raise StartError(f"{command[0]}: not found", NOT_FOUND) from None
    except OSError as error:
        raise StartError(f"{command[0]}: {error.strerror}", NOT_EXECUTABLE) from error


def _drop_pending() -> None:
    """Drops signals that were meant for the program, which has ended."""
    while signal.sigtimedwait(FORWARDED, 0) is not None:
        pass


def end_like(ended: Ended) -> NoReturn:
    """Ends this process as the program ended: with its exit code, or by the same signal."""
    for stream in (sys.stdout, sys.stderr):
        streams.flush(stream)
    if ended.signal is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the program has dumped its own
        if ended.signal != signal.SIGKILL:
            signal.signal(ended.signal, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {ended.signal})
        os.kill(os.getpid(), ended.signal)
        os._exit(EXIT_OF_SIGNAL + ended.signal)
    raise SystemExit(ended.exit_code)
