"""The workers of one machine: their capacities, and the components that their jobs hold.

Every live worker keeps a small locked file; together they give a job's share of the host and
whether a component is idle. A dead worker's lock is free, and its file is ignored.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from pricetag.metering.machine import boot_id, machine_id

logger = logging.getLogger(__name__)

ENTRY_BYTES = 4096

HOST = "host"
"""Name of the pseudo-component for everything that all jobs of a machine share."""


@dataclass
class _Entry:
    """State of one worker, written by that worker.

    Attributes:
        capacity: Maximum number of its jobs at the same time.
        held: For each attempt, its share of the host and the components that it holds.
        released_s: For each component, when a job last released it (monotonic since boot).
    """

    capacity: int
    held: dict[str, tuple[float, list[str]]] = field(default_factory=dict)
    released_s: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Use:
    """Use of the machine's components.

    Attributes:
        held: Components that a job holds now.
        released_s: For each component, when a job last released it (monotonic since boot).
    """

    held: frozenset[str]
    released_s: dict[str, float]

    def idle_since_s(self, component: str) -> float | None:
        """Time since when the component is unused: None while in use, 0 if it never was."""
        return None if component in self.held else self.released_s.get(component, 0.0)


class Machine:
    """This worker's entry among the workers that share its machine and data folder.

    Args:
        data_dir: The data folder.
        capacity: Maximum number of this worker's jobs at the same time.
        cores_per_job: Cores reserved for one job; by default, jobs get equal shares.
        cores: Cores of the machine.
        clock: Monotonic seconds since boot, the same in every process.
    """

    def __init__(
        self,
        data_dir: Path,
        capacity: int,
        *,
        cores_per_job: float | None = None,
        cores: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = data_dir / "workers"
        self._prefix = f"{machine_id()}-{boot_id()}"
        self._entry = _Entry(capacity)
        self._cores_per_job = cores_per_job
        self._cores = cores or os.cpu_count() or 1
        self._clock = clock
        self._file: IO[str] | None = None
        self._size = ENTRY_BYTES

    def open(self) -> None:
        """Register this worker with the others of the machine.

        Raises:
            OSError: If the data folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._all_locked():
            path = self._folder / f"{self._prefix}.{os.getpid()}-{id(self)}.share"
            self._file = path.open("w+")
            fcntl.flock(self._file, fcntl.LOCK_EX)
            self._write()

    def close(self) -> None:
        """Remove this worker's file."""
        if self._file is not None:
            Path(self._file.name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # on a full disk; the content is not needed
                self._file.close()
            self._file = None

    def neighbors(self) -> int:
        """Number of other live workers of this machine."""
        with self._all_locked():
            return len(self._others())

    def reserve(self, attempt: str, *, units: int, components: Sequence[str]) -> float:
        """Register a job; returns its share of the host.

        The shares of all jobs never exceed the whole: if a job has already reserved the
        machine, a later one gets the rest.

        Args:
            attempt: Id of the job's attempt.
            units: Number of this worker's places that it takes: its devices, at least one.
            components: Components that it holds, for :meth:`use`.
        """
        with self._all_locked():
            neighbors = self._others()
            places = self._entry.capacity + sum(entry.capacity for entry in neighbors)
            share = units / max(places, units)
            if self._cores_per_job is not None:
                share = min(share, self._cores_per_job / self._cores)
            reserved = sum(
                ratio for entry in [self._entry, *neighbors] for ratio, _ in entry.held.values()
            )
            share = max(0.0, min(share, 1.0 - reserved))
            self._entry.held[attempt] = (share, [HOST, *components])
            self._write()
            return share

    def is_taken(self) -> bool:
        """Whether a job has reserved the whole host."""
        with self._all_locked():
            entries = [self._entry, *self._others()]
        return any(part >= 1.0 for entry in entries for part, _ in entry.held.values())

    def release(self, attempt: str) -> None:
        """Unregister a job."""
        with self._all_locked():
            _, components = self._entry.held.pop(attempt, (0.0, []))
            self._entry.released_s.update(dict.fromkeys(components, self._clock()))
            self._write()

    def use(self) -> Use:
        """The components held by jobs of all workers of this machine."""
        with self._all_locked():
            entries = [self._entry, *self._others()]
        released_s: dict[str, float] = {}
        for entry in entries:
            for component, at_s in entry.released_s.items():
                released_s[component] = max(at_s, released_s.get(component, 0.0))
        held_components = frozenset(
            name for entry in entries for _, names in entry.held.values() for name in names
        )
        return Use(held_components, released_s)

    @contextmanager
    def _all_locked(self) -> Iterator[None]:
        with (self._folder / f"{self._prefix}.shares.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _others(self) -> list[_Entry]:
        """The entries of this machine's other live workers."""
        own = None if self._file is None else Path(self._file.name)
        entries = []
        for path in self._folder.glob(f"{self._prefix}.*.share"):
            if path != own and (entry := _read_live(path)) is not None:
                entries.append(entry)
        return entries

    def _write(self) -> None:
        if self._file is None:
            raise RuntimeError("the worker is not registered: call open() first")
        # Written in place with a constant length, so that it works on a full disk.
        text = json.dumps(asdict(self._entry)).ljust(self._size)
        self._size = max(len(text), ENTRY_BYTES)
        try:
            self._file.seek(0)
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            logger.warning("this worker's jobs are not visible to the other workers: %s", error)


def _read_live(path: Path) -> _Entry | None:
    """A live worker's entry; a dead worker's file is removed."""
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                entry = json.load(file)
                parts = {name: (part, names) for name, (part, names) in entry.pop("held").items()}
                return _Entry(held=parts, **entry)
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return None
    return None


@contextmanager
def only_one(path: Path) -> Iterator[bool]:
    """A lock held by one process of a machine; yields whether it is this one."""
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
