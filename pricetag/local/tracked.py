"""The meter's process beside a program that uses ``pricetag.track``.

It talks over two pipes: standard input brings the request and the end of the block, one JSON
object a line; standard output takes the result. If the program ends without announcing the end of
the block, the block ended with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pricetag.local.listener import Listener
from pricetag.local.metering import LocalMeter
from pricetag.local.request import Request
from pricetag.local.settings import settings_of_program
from pricetag.metering.machine import git_commit

STDIN, STDOUT = 0, 1
GONE: Mapping[str, Any] = {
    "status": "failed",
    "reason": {"code": "program-ended", "message": "the program ended inside the block"},
}


def main() -> None:
    """Meters until the block ends."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)  # they are for the program, whose end ends this
    try:
        answer = _meter()
    except (OSError, ValueError, RuntimeError) as error:
        answer = {"problem": f"{type(error).__name__}: {error}"}
    with suppress(OSError):  # nobody reads the answer if the program is gone
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    if "problem" not in answer and settings_of_program().push:
        _push(answer["run"]["id"])


def _push(run_id: str) -> None:
    """Becomes the command that pushes the run; the program waits at most a minute for it."""
    nothing = os.open(os.devnull, os.O_RDWR)  # as standard input, if that was closed
    for pipe in (STDIN, STDOUT):  # the program waits for the end of the answer
        os.dup2(nothing, pipe)
        os.set_inheritable(pipe, True)
    code = f"from pricetag.cli.push_at_end import push_ended; push_ended({run_id!r})"
    os.execv(sys.executable, [sys.executable, "-c", code])


def _meter() -> dict[str, Any]:
    # Unbuffered: the next line is read in another way.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as pipe:
        asked = json.loads(pipe.readline())
    listener = Listener(
        Path(asked["socket"]), socket.socket(fileno=asked["listening"], family=socket.AF_UNIX)
    )
    try:
        meter = LocalMeter(
            Request.from_dict(asked["request"]),
            settings_of_program(),
            zero_s=asked["zero_s"],
            listener=listener,
        )
        meter.open(asked["pid"])
        import asyncio  # takes a while, in which the meters are open already

        return asyncio.run(_metered(meter, asked))
    finally:
        listener.close()


async def _metered(meter: LocalMeter, asked: Mapping[str, Any]) -> dict[str, Any]:
    import asyncio

    waiting = asyncio.create_task(_end(asked["pid"]))
    try:
        await meter.serve(asked["environment"] | {"git_commit": git_commit(Path())})
        end = await waiting
        return await meter.close(end["status"], end["reason"], meter.edge())
    except (OSError, ValueError, RuntimeError) as error:
        problem = f"{type(error).__name__}: {error}"
        end = await waiting
        return meter.give_up(end["status"], end["reason"], problem) or {"problem": problem}


async def _end(pid: int) -> Mapping[str, Any]:
    """The end of the block: the program announces it, or is gone."""
    import asyncio

    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    announced = asyncio.create_task(lines.readline())
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    watched = None
    with suppress(OSError):  # gone already, and its pipe is closed
        # A child that the program has forked keeps the pipe open.
        watched = os.pidfd_open(pid)
        loop.add_reader(watched, gone.set)
    left = asyncio.create_task(gone.wait())
    try:
        await asyncio.wait({announced, left}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)  # a program that ends at once may have announced the end before
        return _parsed(announced.result()) if announced.done() else GONE
    finally:
        if watched is not None:
            loop.remove_reader(watched)
            os.close(watched)
        announced.cancel()
        left.cancel()


def _parsed(line: bytes) -> Mapping[str, Any]:
    try:
        end: Mapping[str, Any] = json.loads(line)
    except ValueError:  # the pipe was closed
        return GONE
    return end


if __name__ == "__main__":
    main()
