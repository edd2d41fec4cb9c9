"""Provenance of a price tag: software, hardware, factors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Environment,
    InputFile,
    PriceTagInputs,
)
from pricetag.accounting.bill.scheduled import record_of, restarts
from pricetag.accounting.document.factors import applied_factors
from pricetag.accounting.document.records import (
    DeviceCount,
    Hardware,
    OutsideStages,
    Provenance,
)
from pricetag.accounting.quantity.quantity import Quantity


def provenance(inputs: PriceTagInputs, outside_stages: Quantity) -> Provenance:
    """Version of the accounting, last reported environment, nodes, factors."""
    environment = _environments(inputs.attempts)[-1:] or [Environment()]
    last = environment[0]
    return Provenance(
        accounting_version=inputs.accounting_version,
        git_commit=last.git_commit,
        packages=dict(last.packages),
        seeds=dict(last.seeds),
        python=last.python,
        platform=last.platform,
        # Older attempts have none recorded, and their documents must not change.
        variables=dict(last.variables) or None,
        code=dict(last.code) or None,
        inputs=input_files(inputs.attempts) or None,
        nodes=nodes(inputs.attempts),
        interval_seed=inputs.seed,
        origin=inputs.origin,
        measured_by=inputs.measured_by,
        site=inputs.factors.site,
        as_of=inputs.factors.as_of,
        factors=applied_factors(inputs.factors, hours_used(inputs.attempts)),
        outside_stages=OutsideStages(outside_stages),
    )


def nodes(attempts: Sequence[AttemptInput]) -> tuple[str, ...]:
    """Worker nodes, in the order of the attempts."""
    return tuple(dict.fromkeys(a.node_name for a in attempts if a.node_name is not None))


def input_files(attempts: Sequence[AttemptInput]) -> tuple[InputFile, ...]:
    """Files that the attempts read; one that changed between attempts is listed twice."""
    environments = _environments(attempts)
    return tuple(dict.fromkeys(file for environment in environments for file in environment.inputs))


def hours_used(attempts: Sequence[AttemptInput]) -> set[str]:
    """UTC hours in which energy was charged."""
    windows = [m for a in attempts for m in a.measurements]
    windows += [m for a in attempts for stage in a.stages for m in stage.measurements]
    return {hour for measurement in windows for hour in measurement.energy_by_hour_j}


def environment_changed(attempts: Sequence[AttemptInput]) -> bool:
    """Whether the attempts ran in different software."""
    first, *later = _environments(attempts) or [Environment()]
    return any(
        (environment.git_commit, environment.packages, environment.python)
        != (first.git_commit, first.packages, first.python)
        for environment in later
    )


def hardware(attempts: Sequence[AttemptInput]) -> Hardware:
    """Devices by kind and name, with the maximum number in one attempt or job."""
    alone = [_counted(attempt) for attempt in attempts if record_of(attempt) is None]
    jobs: list[dict[tuple[str, str], int]] = []
    for restart in restarts(attempts):
        job: dict[tuple[str, str], int] = {}
        for on_node in restart.values():
            for key, count in _most(map(_counted, on_node)).items():
                job[key] = job.get(key, 0) + count
        jobs.append(job)
    most = _most([*alone, *jobs])
    devices = tuple(DeviceCount(kind, name, count) for (kind, name), count in most.items())
    return Hardware(devices, nodes(attempts))


def _counted(attempt: AttemptInput) -> dict[tuple[str, str], int]:
    return dict(Counter(_devices(attempt)))


def _most(counts: Iterable[Mapping[tuple[str, str], int]]) -> dict[tuple[str, str], int]:
    most: dict[tuple[str, str], int] = {}
    for here in counts:
        for key, count in here.items():
            most[key] = max(most.get(key, 0), count)
    return most


def _devices(attempt: AttemptInput) -> list[tuple[str, str]]:
    reserved = [("gpu", device.name) for device in attempt.devices]
    return reserved + [
        (component.kind, component.name)
        for component in attempt.components
        if component.kind != "gpu" or not reserved
    ]


def _environments(attempts: Sequence[AttemptInput]) -> list[Environment]:
    return [a.environment for a in attempts if a.environment is not None]
