"""Attempts that a scheduler of a cluster placed: on several nodes at once, beside other jobs.

Such attempts have a record of the job on their node: ``restart``, ``node``, ``nodes`` (of the
whole job), ``is_whole_node``, ``unseen_gpus`` (accelerators that its meter could not read) and
``other_jobs`` (on the node at the same time; None if unknown).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pricetag.accounting.bill.inputs import AttemptInput
from pricetag.accounting.bill.reserved import device_count

NODE_SHARED = "node_shared"
"""Flag: other jobs used a node of the job at the same time, or may have."""

NODES_UNMETERED = "nodes_unmetered"
"""Flag: a node of the job had no meter."""

ACCELERATORS_UNSEEN = "accelerators_unseen"
"""Flag: a meter could not read all accelerators of the job on its node."""

Restart = Mapping[str, Sequence[AttemptInput]]
"""The attempts of one restart of a job, by node."""


def record_of(attempt: AttemptInput) -> Mapping[str, Any] | None:
    """What the scheduler stated of an attempt; None outside a job."""
    return None if attempt.environment is None else attempt.environment.scheduler


def begin_s(attempt: AttemptInput, attempts: Sequence[AttemptInput]) -> float | None:
    """When an attempt of a job began, in s since the first one; None outside a job."""
    if record_of(attempt) is None:
        return None
    first = min(datetime.fromisoformat(each.started_at) for each in attempts)
    return (datetime.fromisoformat(attempt.started_at) - first).total_seconds()


def restarts(attempts: Sequence[AttemptInput]) -> list[Restart]:
    """The restarts of jobs among some attempts, in order."""
    by_restart: dict[int, dict[str, list[AttemptInput]]] = {}
    for attempt in attempts:
        if (record := record_of(attempt)) is not None:
            nodes = by_restart.setdefault(int(record["restart"]), {})
            nodes.setdefault(str(record["node"]), []).append(attempt)
    return [by_restart[number] for number in sorted(by_restart)]


def most_devices(attempts: Sequence[AttemptInput]) -> int:
    """Maximum number of accelerators that were reserved at once: by one attempt, or by a job."""
    alone = [device_count(attempt) for attempt in attempts if record_of(attempt) is None]
    jobs = [
        sum(max(map(device_count, on_node)) for on_node in restart.values())
        for restart in restarts(attempts)
    ]
    return max([*alone, *jobs], default=0)


def flags(attempts: Sequence[AttemptInput]) -> Iterator[str]:
    """The flags of jobs: what their figures do not contain, or contain of others."""
    for attempt in attempts:
        record = record_of(attempt)
        if record is None:
            continue
        others = record.get("other_jobs")
        if others or (others is None and not record.get("is_whole_node")):
            yield NODE_SHARED
        if record.get("unseen_gpus"):
            yield ACCELERATORS_UNSEEN
    for restart in restarts(attempts):
        of_job = [record_of(each) or {} for on_node in restart.values() for each in on_node]
        if len(restart) < max(int(record.get("nodes") or 1) for record in of_job):
            yield NODES_UNMETERED


def elapsed_s(spans: Sequence[tuple[float | None, float]]) -> float:
    """Time in s that some spans cover together.

    Args:
        spans: Begin and length of each; without begins, they follow one another.
    """
    if len(spans) == 1 or any(begin is None for begin, _ in spans):
        return sum(length for _, length in spans)
    total = until = 0.0
    for begin, length in sorted((begin or 0.0, length) for begin, length in spans):
        total += max(begin + length - max(begin, until), 0.0)
        until = max(until, begin + length)
    return total
