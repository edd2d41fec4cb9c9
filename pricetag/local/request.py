"""What is to be metered locally, and how its journal describes it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pricetag.installed import installed_version

GPUS = ("visible", "none")
"""Accelerators to meter: those that the program may see, or none."""


def _new_id() -> str:
    """A random UUID, without the module for it: the program waits for what is imported here."""
    digits = bytearray(os.urandom(16))
    digits[6] = digits[6] & 0x0F | 0x40  # version 4
    digits[8] = digits[8] & 0x3F | 0x80  # the variant of RFC 9562
    text = digits.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


@dataclass(frozen=True, slots=True)
class Request:
    """A program, or a part of one, that is metered locally.

    Attributes:
        name: Name of the run.
        kind: ``program``, or ``block`` for a part of a script.
        command: Program and arguments.
        project: Project of the run; None for that of the settings.
        second_opinion: Whether CodeCarbon runs beside the meter.
        gpus: One of ``GPUS``.
        run_id: ID of the run; the same one after it was pushed to a server.
        attempt_id: ID of the attempt that this meter measures: the only one, unless the run is a
            job of a scheduler.
        origin: Who measures it: ``local``, or ``slurm`` in a job.
        job: What the scheduler states of the job on this node; None outside one.
        marks: ``NAME=value`` pairs that the environment of each process of the job on this node
            has; empty if the program's own variable is enough.
    """

    name: str
    kind: str
    command: tuple[str, ...] = ()
    project: str | None = None
    experiment: str = "local"
    tags: tuple[str, ...] = ()
    second_opinion: bool = False
    gpus: str = "visible"
    run_id: str = field(default_factory=_new_id)
    attempt_id: str = field(default_factory=_new_id)
    origin: str = "local"
    job: Mapping[str, Any] | None = None
    marks: tuple[str, ...] = ()

    @property
    def folder_name(self) -> str:
        """Name of the folder of its files: meters of one job may share the data folder."""
        return self.run_id if self.job is None else f"{self.run_id}.{self.attempt_id[:8]}"

    def as_dict(self) -> dict[str, Any]:
        """The request as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Request:
        """Reads what :meth:`as_dict` wrote."""
        lists = {name: tuple(stored[name]) for name in ("command", "tags", "marks")}
        return cls(**{**stored, **lists})

    def as_record(self, project: str) -> dict[str, Any]:
        """The run as the ``start`` record has it.

        Args:
            project: Project of runs that name none.
        """
        return {
            "name": self.name,
            "kind": self.kind,
            "origin": self.origin,
            "measured_by": f"pricetag {installed_version()}",
            "project": self.project or project,
            "experiment": self.experiment,
            "tags": list(self.tags),
            "command": list(self.command),
        }


def readable(argument: str) -> str:
    """An argument as text, with escapes for bytes that are not UTF-8."""
    return os.fsencode(argument).decode("utf-8", "backslashreplace")


def name_of(command: Sequence[str]) -> str:
    """Name of a run from its command line, on one line."""
    from pricetag.one_line import one_line

    return one_line(" ".join(command)) or "program"
