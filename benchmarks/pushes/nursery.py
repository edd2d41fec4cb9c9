"""Forks servers and clients that have loaded everything, so that killing them is cheap.

``python -m benchmarks.pushes.nursery DATABASE_URL DATA_DIR FD`` serves on the listening socket FD;
a server that dies is replaced at once. Each line of standard input is a command, a JSON object;
each child that ends is reported on standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from app.db import Session
from app.main import create_app
from app.repositories.attempts import journals as journal_rows
from app.services.attempts import settlement
from app.services.intake import journals
from app.settings import Settings
from pricetag.client import Client
from pricetag.local import pushing
from pricetag.local.runs import read_run

SERVER_POINTS = ("asked", "applied", "written", "committed", "settled")
CLIENT_POINTS = ("before", "sent", "noted")
TICK_S = 0.01


def die() -> None:
    """Ends this process as a power failure would."""
    os.kill(os.getpid(), signal.SIGKILL)


class Planted:
    """Kills this server at a point of the handling of its n-th part.

    Args:
        plan: ``{point, part}``.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._point = str(plan["point"])
        self._part = int(plan["part"])
        self._parts = 0
        self._is_written = False

    def install(self) -> None:
        """Replaces the functions at the points."""
        take, add_chunk = journals.take, journal_rows.add_chunk
        close_attempt, commit = settlement.close_attempt, Session.commit

        async def counted(*arguments: Any, **named: Any) -> Any:
            self._parts += 1
            self._at("asked")
            return await take(*arguments, **named)

        async def added(*arguments: Any) -> None:
            self._at("applied")
            await add_chunk(*arguments)
            self._at("written")
            self._is_written = True

        async def closed(*arguments: Any, **named: Any) -> None:
            await close_attempt(*arguments, **named)
            self._at("settled")

        async def committed(session: Session) -> None:
            await commit(session)
            if self._is_written:
                self._at("committed")
            self._is_written = False

        _replace(journals, "take", counted)
        _replace(journal_rows, "add_chunk", added)
        _replace(settlement, "close_attempt", closed)
        _replace(Session, "commit", committed)

    def _at(self, point: str) -> None:
        if point == self._point and self._parts == self._part:
            die()


def _replace(owner: Any, name: str, function: Callable[..., Any]) -> None:
    setattr(owner, name, function)


class DyingClient(Client):
    """A client that ends at a point of its n-th request with a part."""

    plan: Mapping[str, Any]
    parts = 0

    def send_journal(
        self, attempt_id: str, begin_byte: int, content: bytes, *, project: str | None = None
    ) -> dict[str, Any]:
        """As the client's."""
        self.parts += 1
        self._at("before")
        state = super().send_journal(attempt_id, begin_byte, content, project=project)
        self._at("sent")
        return state

    def _at(self, point: str) -> None:
        if self.plan.get("point") == point and self.plan.get("part") == self.parts:
            die()


def push(command: Mapping[str, Any]) -> int:
    """Pushes a run; returns the exit code."""
    pushing.PART_BYTES = int(command["part_bytes"])
    run = read_run(Path(command["folder"]))
    if run is None:
        return 2
    if command["plan"].get("point") == "noted":
        _replace_note()
    client = DyingClient(command["url"], command["token"])
    client.plan = command["plan"]
    with client:
        try:
            pushing.push(run, client)
        except Exception as error:  # a client that meets a dying server tries again later
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            return 1
    return 0


def _replace_note() -> None:
    def dies(*arguments: Any) -> None:
        die()

    _replace(pushing, "_note", dies)


def serve(settings: Settings, listener: socket.socket, app: Any, plan: Mapping[str, Any]) -> None:
    """Serves until it is killed."""
    if plan:
        Planted(plan).install()
    config = uvicorn.Config(app, log_level="error", access_log=False)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def main() -> None:
    """Takes commands until standard input ends."""
    url, data_dir, descriptor = sys.argv[1:]
    listener = socket.socket(fileno=int(descriptor))
    settings = Settings(database_url=url, data_dir=Path(data_dir), sweep_s=3600)
    app = create_app(settings)
    children: dict[int, str] = {}

    def fork(of: str, work: Callable[[], int | None]) -> int:
        pid = os.fork()
        if pid == 0:
            code = 3
            try:
                code = work() or 0
            finally:
                os._exit(code)
        children[pid] = of
        return pid

    def start_server(plan: Mapping[str, Any]) -> None:
        pid = fork("server", partial(serve, settings, listener, app, plan))
        _report({"server": pid})

    start_server({})
    plan: Mapping[str, Any] = {}
    is_over = False
    while not is_over:
        ready, _, _ = select.select([sys.stdin], [], [], TICK_S)
        if ready:
            line = sys.stdin.readline()
            is_over = not line
            command: dict[str, Any] = json.loads(line) if line else {"do": "end"}
            if command["do"] == "push":
                pid = fork(command["name"], partial(push, command))
                _report({"client": pid, "name": command["name"]})
            elif command["do"] == "plan":
                plan = command["plan"]
                for pid in [pid for pid, of in children.items() if of == "server"]:
                    os.kill(pid, signal.SIGKILL)
        while children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            of = children.pop(pid)
            _report({"ended": of, "pid": pid, "code": os.waitstatus_to_exitcode(status)})
            if of == "server" and not is_over:
                start_server(plan)
                plan = {}
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _report(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
