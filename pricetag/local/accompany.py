"""Meters a program that has just been started, forwards signals to it and settles its run."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from pricetag.local.begun import Begun
from pricetag.local.ended import EXIT_OF_SIGNAL, FORWARDED, Ended
from pricetag.local.listener import Listener
from pricetag.local.metering import LocalMeter
from pricetag.local.request import Request
from pricetag.local.settings import LocalSettings
from pricetag.metering.machine import git_commit

ENDING = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
"""Signals by which a program is ended on purpose."""


def accompany(
    pid: int,
    request: Request,
    settings: LocalSettings,
    listener: Listener,
    zero_s: float,
    begun: Begun | None,
) -> Ended:
    """Meters a program to its end; if it cannot be metered, it runs on, and the result says why.

    Args:
        pid: The program, a child of this process.
        request: Describes the run.
        settings: The data folder and the site's factors.
        listener: The socket for its events.
        zero_s: When it was started, on the monotonic clock.
        begun: The note of the program, which is removed when the journal has begun.
    """
    forwarder = Forwarder(pid)
    child = Child(pid, forwarder)
    meter: LocalMeter | None = None
    try:
        meter = LocalMeter(request, settings, zero_s=zero_s, listener=listener)
        meter.open(pid)
        if begun is not None:
            begun.drop()
        import asyncio  # takes a while, in which the meters are open already

        return asyncio.run(_metered(meter, child))
    except (OSError, ValueError, RuntimeError) as error:
        problem = f"{type(error).__name__}: {error}"
        code, _ = child.reap()
        if begun is not None:
            begun.drop()
        if meter is None:
            listener.close()
            return _ended(code, None, problem)
        status, reason = outcome(code, forwarder.received)
        return _ended(code, meter.give_up(status, reason, problem), problem)


def await_end(pid: int, problem: str) -> Ended:
    """Waits for a program that is not metered, and forwards signals to it.

    Args:
        pid: The program, a child of this process.
        problem: Why it is not metered.
    """
    code, _ = Child(pid, Forwarder(pid)).reap()
    return _ended(code, None, problem)


async def _metered(meter: LocalMeter, child: Child) -> Ended:
    import asyncio

    waiting = asyncio.create_task(asyncio.to_thread(_end_s, meter, child.pid))
    await meter.serve(await asyncio.to_thread(environment))
    end_s = await waiting
    code, cpu_s = child.reap()
    meter.ended(child.pid, cpu_s)
    status, reason = outcome(code, child.forwarder.received)
    return _ended(code, await meter.close(status, reason, end_s), None)


def _end_s(meter: LocalMeter, pid: int) -> float:
    """Waits for the program's end and reads the meters at once; returns the time of the reading."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return meter.edge()


def _ended(code: int, document: dict[str, Any] | None, problem: str | None) -> Ended:
    if code < 0:
        return Ended(None, signal.Signals(-code), document, problem)
    return Ended(code, None, document, problem)


def environment() -> dict[str, Any]:
    """The software around the program, as far as this process knows it."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    try:
        packages = {"pricetag": version("pricetag")}
    except PackageNotFoundError:  # run from a checkout that was never installed
        packages = {}
    return {
        "packages": packages,
        "platform": platform.platform(),
        "git_commit": git_commit(Path()),
    }


def outcome(code: int, received: frozenset[signal.Signals]) -> tuple[str, dict[str, Any] | None]:
    """Status and reason of an attempt by its program's exit code.

    Args:
        code: Exit code; negative if a signal ended the program.
        received: Signals that were sent to end it.
    """
    if code == 0:
        return "succeeded", None
    killer = -code if code < 0 else code - EXIT_OF_SIGNAL
    asked = {int(each) for each in received & ENDING}
    if killer in asked or (code < 0 and killer in {int(each) for each in ENDING}):
        name = signal.Signals(killer).name
        return "cancelled", {"code": "cancelled", "message": f"the program was ended by {name}"}
    if code < 0:
        name = signal.Signals(killer).name
        return "failed", {"code": "program-killed", "message": f"the program died of {name}"}
    message = f"the program ended with exit code {code}"
    return "failed", {"code": "program-failed", "message": message}


class Child:
    """The program, a child of this process.

    Args:
        pid: Its process ID.
        forwarder: Forwards signals to it.
    """

    def __init__(self, pid: int, forwarder: Forwarder) -> None:
        self.pid = pid
        self.forwarder = forwarder
        self._ended: tuple[int, float] | None = None

    def reap(self) -> tuple[int, float]:
        """Waits for the program; returns its exit code and CPU time in s. Repeatable."""
        if self._ended is None:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.forwarder.stop()  # before the program's ID may belong to another one
            _, waited, usage = os.wait4(self.pid, 0)
            self._ended = os.waitstatus_to_exitcode(waited), usage.ru_utime + usage.ru_stime
        return self._ended


class Forwarder:
    """Forwards signals to the program.

    Those of the terminal (Ctrl-C) reach the program directly, as a member of the same process
    group, and are not sent again.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._received: set[signal.Signals] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pricetag-signals", daemon=True)
        self._thread.start()

    @property
    def received(self) -> frozenset[signal.Signals]:
        """All signals so far."""
        return frozenset(self._received)

    def stop(self) -> None:
        """Forwards nothing from now on."""
        self._is_over.set()
        if self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, signal.SIGUSR2)  # ends the wait
        self._thread.join()

    def _run(self) -> None:
        while True:
            info = signal.sigwaitinfo(FORWARDED)
            if self._is_over.is_set():
                return
            self._received.add(signal.Signals(info.si_signo))
            if info.si_code <= 0:  # sent by a process
                os.kill(self._pid, info.si_signo)
