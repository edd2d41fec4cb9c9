"""A measurement of another tool, whatever its file looked like, and the records of its run."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pricetag.accounting.readings.component import Component, ComponentKind
from pricetag.accounting.readings.reading import Reading
from pricetag.one_line import one_line

KWH_J = 3.6e6
FORMAT = 1
"""Format of the journals."""

GAIN_STD_RATIO: Mapping[ComponentKind, float] = {"gpu": 0.2, "cpu": 0.5, "ram": 1.0, "host": 0.5}
"""Error of an estimate, as a factor, one sigma (assumed).

Tools read or sample the power of accelerators; for processors they take a share of a nominal power
where they have no counter, and for memory a constant by size. Nobody else checks what they report.
"""

MAX_POWER_W = 100_000.0
"""No component of one machine draws more."""

MAX_DURATION_S = 30 * 365 * 86_400.0

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A machine whose clock was never set is in 1970 or 1980."""

MAX_AHEAD = timedelta(days=1)
"""How far the clock of the machine may have been ahead."""

_NAMESPACE = uuid.UUID("6c1b1f2e-6f0e-5d57-9b3c-0d3f6f4b8a51")


class ImpossibleError(ValueError):
    """A figure that no machine can have, or a time that cannot be right."""


@dataclass(frozen=True, slots=True)
class Part:
    """The energy of one component over the whole measurement.

    Attributes:
        kind: Kind of component; ``host`` for a whole machine.
        name: Product name, or what it is.
        energy_j: IT energy, without a PUE.
        id: ID of the component.
        notes: How the tool obtained it, and what it reported.
    """

    kind: ComponentKind
    name: str
    energy_j: float
    id: str = ""
    notes: str | None = None

    def component(self) -> Component:
        """The component of the journal."""
        return estimated(self.kind, self.id or self.kind, self.name, self.notes)


@dataclass(frozen=True, slots=True)
class Reported:
    """A figure as the tool reported it, kept beside those of the price tag."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Imported:
    """One measurement of another tool: a run.

    Attributes:
        tool: Name of the tool.
        measured_by: The tool with its version, as the file states it.
        key: What identifies the measurement in all files that contain it.
        name: Name of the run.
        started_at: When it began, with a time zone.
        duration_s: How long it took, in s.
        parts: Energy by component.
        project: Its project in the tool, if the tool has projects.
        experiment: Its experiment, likewise.
        reported: Figures as the tool reported them.
        devices: Accelerators: ``{kind, name, uuid}``.
        node: Name of the machine, if the file states it.
        status: How the program ended; ``succeeded`` where the file does not say.
        reason: ``{code, message}``, or None.
        remarks: What a reader should know, for the log of the run.
        country: The country that the file states, with its code.
        line: Its line in the file, from 1.
    """

    tool: str
    measured_by: str
    key: str
    name: str
    started_at: datetime
    duration_s: float
    parts: Sequence[Part]
    project: str | None = None
    experiment: str | None = None
    reported: Sequence[Reported] = ()
    devices: Sequence[Mapping[str, Any]] = ()
    node: str | None = None
    status: str = "succeeded"
    reason: Mapping[str, Any] | None = None
    remarks: Sequence[str] = ()
    country: str | None = None
    line: int = field(default=1, compare=False)

    @property
    def energy_j(self) -> float:
        """IT energy of all components."""
        return math.fsum(part.energy_j for part in self.parts)

    @property
    def run_id(self) -> uuid.UUID:
        """ID of the run: the same measurement has the same one."""
        return uuid.uuid5(_NAMESPACE, f"{self.tool}\n{self.key}")

    @property
    def attempt_id(self) -> uuid.UUID:
        """ID of its only attempt."""
        return uuid.uuid5(_NAMESPACE, f"attempt\n{self.run_id}")

    @property
    def content_sha256(self) -> str:
        """Hash of its times and figures, to notice that a file has others than before."""
        figures = [self.started_at.astimezone(UTC).isoformat(), repr(self.duration_s), self.status]
        figures += [f"{part.id or part.kind} {part.energy_j!r}" for part in self.parts]
        return hashlib.sha256("\n".join(figures).encode()).hexdigest()

    def check(self, now: datetime) -> None:
        """Requires that a machine can have measured it.

        Raises:
            ImpossibleError: If not; states the figure.
        """
        if not 0 < self.duration_s <= MAX_DURATION_S:
            raise ImpossibleError(
                f"the duration is {self.duration_s:.9g} s: it must be above 0, and at most 30 years"
            )
        if not EARLIEST <= self.started_at <= now + MAX_AHEAD:
            raise ImpossibleError(
                f"it began at {self.started_at.isoformat()}, which is before 2000 or in the future"
            )
        if self.started_at + timedelta(seconds=self.duration_s) > now + MAX_AHEAD:
            raise ImpossibleError(f"it would end in the future, after {self.duration_s:g} s")
        if not self.parts:
            raise ImpossibleError("it has no energy")
        for part in self.parts:
            if not math.isfinite(part.energy_j) or part.energy_j < 0:
                raise ImpossibleError(f"the energy of {part.name} is {part.energy_j:g} J")
            if part.energy_j > MAX_POWER_W * max(self.duration_s, 1.0):
                raise ImpossibleError(
                    f"the energy of {part.name}, {part.energy_j / KWH_J:.6g} kWh in "
                    f"{self.duration_s:g} s, is more than {MAX_POWER_W / 1000:g} kW"
                )


def estimated(
    kind: ComponentKind, component_id: str, name: str, notes: str | None = None
) -> Component:
    """A component whose energy another tool reports."""
    return Component(
        id=component_id,
        kind=kind,
        name=one_line(name) or kind,
        method="estimated",
        gain_std_ratio=GAIN_STD_RATIO[kind],
        notes=notes,
    )


def gpus(name: str | None, count: float | None) -> list[dict[str, Any]]:
    """The accelerators of a run, from a text such as ``2 x NVIDIA A100`` and their number."""
    if not name or not count or not 1 <= count <= MAX_GPUS:
        return []
    first, times, rest = name.partition(" x ")
    product = rest if times and first.strip().isdecimal() else name
    return [{"kind": "gpu", "name": one_line(product), "uuid": None}] * int(count)


MAX_GPUS = 1024


def reading(component_id: str, t_s: float, energy_j: float, **more: Any) -> dict[str, Any]:
    """A record of the energy that was reported until a time."""
    power_w: float | None = more.pop("power_w", None)
    flags: tuple[str, ...] = more.pop("flags", ())
    return {
        "type": "reading",
        **Reading(t_s, None, energy_j, power_w, flags, component=component_id).as_record(),
    }


def metric(figure: Reported, t_s: float) -> dict[str, Any]:
    """A record of a figure as the tool reported it."""
    about = {"name": figure.name, "value": figure.value, "unit": figure.unit}
    return {"type": "metric", "t_s": t_s, "key": None, **about}


def remark(text: str, t_s: float) -> dict[str, Any]:
    """A record of a line in the log."""
    return {"type": "log", "t_s": t_s, "stream": "pricetag", "text": text}


def records(
    imported: Imported,
    *,
    project: str,
    experiment: str,
    tags: Sequence[str],
    factors: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """The records of the journal of a measurement, without ``seq``.

    Args:
        imported: The measurement.
        project: Project of the run.
        experiment: Its experiment.
        tags: Its tags.
        factors: The site's factors, for its price tag on this machine.
    """
    began = imported.started_at.astimezone(UTC)
    for record in _records(imported, project, experiment, tags, factors):
        yield {**record, "at": (began + timedelta(seconds=record["t_s"])).isoformat()}


def _records(
    imported: Imported,
    project: str,
    experiment: str,
    tags: Sequence[str],
    factors: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    end_s = imported.duration_s
    yield {
        "type": "start",
        "t_s": 0.0,
        "format": FORMAT,
        "run_id": str(imported.run_id),
        "attempt_id": str(imported.attempt_id),
        "attempt_number": 1,
        "worker": "import",
        "node_name": imported.node or imported.tool.lower(),
        "devices": list(imported.devices),
        "components": [part.component().as_dict() for part in imported.parts],
        "shares_overlaps": True,
        "clock": None,
        "run": {
            "name": one_line(imported.name) or imported.tool,
            "kind": "import",
            "origin": "import",
            "measured_by": imported.measured_by,
            "project": project,
            "experiment": experiment,
            "tags": list(tags),
            "command": [],
        },
        "factors": dict(factors),
        "imported": {"key": imported.key, "content_sha256": imported.content_sha256},
    }
    for part in imported.parts:
        yield reading(part.id or part.kind, 0.0, 0.0)
    for part in imported.parts:
        yield reading(part.id or part.kind, end_s, part.energy_j)
    for figure in imported.reported:
        yield metric(figure, end_s)
    for text in imported.remarks:
        yield remark(text, end_s)
    yield {"type": "end", "t_s": end_s, "status": imported.status, "reason": imported.reason}
