"""A job's process, however it came to be."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from workers.launch import Launch

ROOT = Path(__file__).resolve().parents[1]


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


class FreshInterpreter:
    """Starts each child in an interpreter of its own: slow, and free of any past."""

    async def start(self, launch: Launch) -> ChildProcess:
        return await asyncio.create_subprocess_exec(
            *launch.argv,
            cwd=ROOT,
            env=launch.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
