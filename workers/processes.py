"""A job's process, however it came to be."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from workers.launch import Launch

ROOT = Path(__file__).resolve().parents[1]
LIMIT_BYTES = 1 << 16


class ChildProcess(Protocol):
    """A process that leads a group of its own."""

    @property
    def pid(self) -> int: ...
    @property
    def stdout(self) -> asyncio.StreamReader | None: ...
    @property
    def stderr(self) -> asyncio.StreamReader | None: ...
    async def wait(self) -> int:
        """Its exit code; negative when a signal ended it."""
        ...


class Starter(Protocol):
    """Starts children."""

    async def start(self, launch: Launch) -> ChildProcess: ...


class _Output(asyncio.subprocess.SubprocessStreamProtocol):
    """Tells the exit as such. asyncio's own ``Process.wait`` waits for the pipes as well, which
    something that the process left behind may hold open for ever.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=LIMIT_BYTES, loop=loop)
        self.exited: asyncio.Future[int] = loop.create_future()
        self.process: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.SubprocessTransport)
        self.process = transport

    def process_exited(self) -> None:
        super().process_exited()
        code = None if self.process is None else self.process.get_returncode()
        if code is not None and not self.exited.done():
            self.exited.set_result(code)


@dataclass(frozen=True)
class FreshJob:
    """A job whose parent is the worker."""

    pid: int
    stdout: asyncio.StreamReader | None
    stderr: asyncio.StreamReader | None
    exited: asyncio.Future[int] = field(repr=False)

    async def wait(self) -> int:
        return await asyncio.shield(self.exited)


class FreshInterpreter:
    """Starts each child in an interpreter of its own: slow, and free of any past."""

    async def start(self, launch: Launch) -> ChildProcess:
        loop = asyncio.get_running_loop()
        transport, output = await loop.subprocess_exec(
            lambda: _Output(loop),
            *launch.argv,
            cwd=ROOT,
            env=launch.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return FreshJob(transport.get_pid(), output.stdout, output.stderr, output.exited)
