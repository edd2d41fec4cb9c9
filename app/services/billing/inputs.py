"""Inputs of a price tag, read from the database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.attempts import measured
from models import Attempt, Metric, Stage
from models import Measurement as MeasurementRow
from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Device,
    Environment,
    FlopsCount,
    InputFile,
    Measurement,
    QualityInput,
    SecondOpinion,
    StageInput,
)
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.settled import WHOLE_ATTEMPT
from pricetag.accounting.readings.window import WindowEnergy


def year_of_use(attempt: AttemptInput) -> int:
    """Year in which the attempt used energy; a run may have waited into the next year."""
    return datetime.fromisoformat(attempt.started_at).year


def hours_of_use(attempts: Iterable[AttemptInput]) -> list[str]:
    """The UTC hours in which energy was used; without energy, the hour of the attempt's start."""
    used_hours: set[str] = set()
    for attempt in attempts:
        hours = {hour for part in attempt.measurements for hour in part.energy_by_hour_j}
        used_hours |= hours or {attempt.started_at}
    return sorted(used_hours)


def metered_ids(attempts: Iterable[AttemptInput]) -> list[str]:
    """Ids of the components of all attempts, each once."""
    return list(dict.fromkeys(c.id for attempt in attempts for c in attempt.components))


def accelerators_of(attempts: Iterable[AttemptInput]) -> list[str]:
    """Product names of the accelerators of all attempts, each once."""
    names: dict[str, None] = {}
    for attempt in attempts:
        metered = [c.name for c in attempt.components if c.kind == "gpu"]
        names.update(dict.fromkeys([device.name for device in attempt.devices] or metered))
    return list(names)


async def attempts_of(session: Session, run_id: UUID) -> tuple[AttemptInput, ...]:
    """All ended attempts of a run, with their measurements and reports."""
    windows: dict[tuple[UUID, str], list[Measurement]] = defaultdict(list)
    for row in await measured.measurements_of_run(session, run_id):
        windows[row.attempt_id, row.stage_key].append(_measurement(row))
    quality: dict[tuple[UUID, str], list[QualityInput]] = defaultdict(list)
    for metric in await measured.quality_of_run(session, run_id):
        quality[metric.attempt_id, metric.stage_key or WHOLE_ATTEMPT].append(_quality(metric))
    ended = {
        attempt.id: attempt
        for attempt in await attempt_rows.of_run(session, run_id)
        if attempt.ended_at is not None
    }
    stages: dict[UUID, list[StageInput]] = defaultdict(list)
    for stage in await measured.stages_of_run(session, run_id):
        if stage.attempt_id in ended:
            key = (stage.attempt_id, stage.key)
            until_s = ended[stage.attempt_id].duration_s
            stages[stage.attempt_id].append(_stage(stage, windows[key], quality[key], until_s))
    return tuple(
        attempt_input(attempt, windows[attempt.id, WHOLE_ATTEMPT], stages[attempt.id])
        # In the order of time: those of the nodes of a job arrive in any order.
        for attempt in sorted(ended.values(), key=lambda each: (each.started_at, each.number))
    )


def attempt_input(
    attempt: Attempt, windows: Iterable[Measurement], stages: Iterable[StageInput]
) -> AttemptInput:
    """An attempt with its energy and its stages.

    Args:
        attempt: The attempt, as stored.
        windows: Energy of each component over the attempt.
        stages: Its stages.
    """
    return AttemptInput(
        number=attempt.number,
        status=attempt.status,
        reason=attempt.reason,
        started_at=attempt.started_at.isoformat(),
        duration_s=attempt.duration_s,
        components=tuple(Component.from_dict(component) for component in attempt.components),
        measurements=tuple(windows),
        stages=tuple(stages),
        second_opinion=_second_opinion(attempt.second_opinion),
        devices=tuple(Device(d["name"], d.get("uuid")) for d in attempt.devices),
        node_name=attempt.node_name,
        environment=_environment(attempt.environment),
        site=attempt.site,
        unread_j=attempt.unread_j or {},
    )


def _measurement(row: MeasurementRow) -> Measurement:
    window = WindowEnergy(
        start_s=row.start_s,
        end_s=row.end_s,
        energy_j=row.energy_j,
        energy_by_source_j=row.energy_by_source_j,  # type: ignore[arg-type]  # its keys are sources
        covered_s=row.covered_s,
        flags=tuple(row.flags),
        reason=row.reason,
        device_energy_j=row.device_energy_j,
        baseline_j=row.baseline_j,
    )
    return Measurement(row.component, window, row.energy_by_hour_j or {})


def _stage(
    stage: Stage,
    windows: list[Measurement],
    quality: list[QualityInput],
    until_s: float | None,
) -> StageInput:
    """A stage; one without its own end ended with its attempt, like its energy."""
    return StageInput(
        key=stage.key,
        index=stage.index,
        parent_key=stage.parent_key,
        kind=stage.kind,
        name=stage.name,
        status=stage.status,
        start_s=stage.start_s,
        end_s=until_s if stage.end_s is None else stage.end_s,
        measurements=tuple(windows),
        flops=_flops(stage.flops),
        quality=tuple(quality),
    )


def _flops(stored: Mapping[str, Any] | None) -> FlopsCount | None:
    if stored is None:
        return None
    return FlopsCount(
        dense=stored["dense"],
        effective=stored["effective"],
        low_bit=stored["low_bit"],
        method=stored["method"],
        uncounted=tuple(stored["uncounted"]),
    )


def _quality(metric: Metric) -> QualityInput:
    return QualityInput(
        metric.name, metric.value, metric.split, metric.unit, metric.of_class, metric.reason
    )


def _second_opinion(stored: Mapping[str, Any] | None) -> SecondOpinion | None:
    if stored is None:
        return None
    return SecondOpinion(
        tool=stored["tool"],
        version=stored["version"],
        cpu_kwh=stored["cpu_kwh"],
        gpu_kwh=stored["gpu_kwh"],
        ram_kwh=stored["ram_kwh"],
        energy_kwh=stored["energy_kwh"],
        reason=stored["reason"],
        duration_s=stored.get("duration_s"),
    )


def _environment(stored: Mapping[str, Any] | None) -> Environment | None:
    if stored is None:
        return None
    return Environment(
        packages=stored.get("packages", {}),
        seeds=stored.get("seeds", {}),
        python=stored.get("python"),
        platform=stored.get("platform"),
        git_commit=stored.get("git_commit"),
        variables=stored.get("variables", {}),
        code=stored.get("code", {}),
        inputs=tuple(_input_file(file) for file in stored.get("inputs", ())),
        scheduler=stored.get("scheduler"),
    )


def _input_file(stored: Mapping[str, Any]) -> InputFile:
    return InputFile(
        role=stored["role"],
        path=stored["path"],
        size_bytes=stored.get("size_bytes"),
        sha256=stored.get("sha256"),
        reason=stored.get("reason"),
    )
