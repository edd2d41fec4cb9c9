"""A task of a Slurm job: which run it belongs to, who meters its node, and what the job holds.

A run is a job: cluster and job ID name it, so that all nodes, steps and restarts of a job are
attempts of one run. On each node, the first task of a step meters; its meter knows the
processes of the others by Slurm's variables in their environment.

Source: output environment variables of ``srun`` and ``sbatch``,
https://slurm.schedmd.com/srun.html and https://slurm.schedmd.com/sbatch.html.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ORIGIN = "slurm"
BATCH = "batch"
"""Step of what the batch script runs by itself."""

EARLY_S = 60.0
"""A step's tasks begin at about the same time: before or after the one that meters, in s."""

UNNAMED = "unnamed"
"""Cluster of a job whose environment names none."""

_REPEATED = re.compile(r"(?P<number>\d+)(?:\(x(?P<times>\d+)\))?")

_RUNS = uuid.UUID("7c0b1a52-8a0e-5d0c-9a2e-0f5f3f7e6a11")
"""Namespace of the IDs of runs."""


@dataclass(frozen=True, slots=True)
class SlurmTask:
    """One task of a job, from its environment.

    Attributes:
        cluster: Name of the cluster.
        job_id: ID of the job; each task of an array has its own.
        restart: How often the job was requeued.
        step: ID of the step, or ``batch``.
        node: Name of the node.
        node_index: Index of the node in the step.
        nodes: Number of nodes of the job.
        local_id: Index of the task on its node.
        tasks: Number of tasks of the step on its node.
        cpus: CPUs of the job on the node; None if unknown.
        gpus: Accelerators of the job on the node; None if Slurm states none.
        gpu_indices: Their indices on the node; empty if unknown.
        account: Account that is charged; None if there is none.
        partition: Partition.
        array_job_id: ID of the array; None outside one.
        array_index: Index in the array.
    """

    cluster: str
    job_id: str
    restart: int
    step: str
    node: str
    node_index: int
    nodes: int
    local_id: int
    tasks: int
    cpus: int | None = None
    gpus: int | None = None
    gpu_indices: tuple[int, ...] = ()
    account: str | None = None
    partition: str | None = None
    array_job_id: str | None = None
    array_index: str | None = None

    @property
    def meters(self) -> bool:
        """Whether this task meters its node for its step."""
        return self.local_id == 0

    @property
    def run_id(self) -> str:
        """ID of the run: the same for all tasks, nodes and restarts of the job."""
        return str(uuid.uuid5(_RUNS, f"{self.cluster}/{self.job_id}"))

    @property
    def marks(self) -> tuple[str, ...]:
        """``NAME=value`` pairs of all processes of the step on this node.

        Those of a program in the batch script are of the job: it may start steps.
        """
        of_job = (f"SLURM_JOB_ID={self.job_id}", f"SLURMD_NODENAME={self.node}")
        return of_job if self.step == BATCH else (*of_job, f"SLURM_STEP_ID={self.step}")

    @property
    def tags(self) -> tuple[str, ...]:
        """Tags of the run: the job, and the array and index of a task of an array."""
        tags = [f"slurm-job:{self.job_id}"]
        if self.array_job_id is not None:
            tags += [f"slurm-array:{self.array_job_id}", f"slurm-index:{self.array_index}"]
        return tuple(tags)

    def as_record(self) -> dict[str, Any]:
        """What the price tag states of the job on this node."""
        return {
            "name": ORIGIN,
            "cluster": self.cluster,
            "job_id": self.job_id,
            "restart": self.restart,
            "step": self.step,
            "node": self.node,
            "node_index": self.node_index,
            "nodes": self.nodes,
            "local_id": self.local_id,
            "tasks": self.tasks,
            "cpus": self.cpus,
            "gpus": self.gpus,
            "gpu_indices": list(self.gpu_indices),
            "account": self.account,
            "partition": self.partition,
            "array_job_id": self.array_job_id,
            "array_index": self.array_index,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SlurmTask:
        """Reads what :meth:`as_record` wrote."""
        fields = {name: record[name] for name in cls.__slots__}
        return cls(**{**fields, "gpu_indices": tuple(fields["gpu_indices"])})


def read_task(environ: Mapping[str, str] = os.environ) -> SlurmTask | None:
    """The task that this process is; None outside a node of a job.

    The shell of ``salloc`` on a login node has a job, but runs on none of its nodes.
    """
    job_id, node = environ.get("SLURM_JOB_ID"), environ.get("SLURMD_NODENAME")
    if not job_id or not node:
        return None
    step = environ.get("SLURM_STEP_ID") or BATCH
    index = _number(environ, "SLURM_NODEID") or 0
    nodes = _number(environ, "SLURM_JOB_NUM_NODES") or _number(environ, "SLURM_NNODES") or 1
    is_everywhere = (_number(environ, "SLURM_STEP_NUM_NODES") or nodes) == nodes
    of_job = _at(environ.get("SLURM_JOB_CPUS_PER_NODE"), index) if is_everywhere else None
    of_step = environ.get("SLURM_STEP_TASKS_PER_NODE") if step != BATCH else None
    array = environ.get("SLURM_ARRAY_JOB_ID") or None
    return SlurmTask(
        cluster=environ.get("SLURM_CLUSTER_NAME") or UNNAMED,
        job_id=job_id,
        restart=_number(environ, "SLURM_RESTART_COUNT") or 0,
        step=step,
        node=node,
        node_index=index,
        nodes=nodes,
        local_id=_number(environ, "SLURM_LOCALID") or 0,
        tasks=_at(of_step, index) or 1,
        cpus=of_job or _number(environ, "SLURM_CPUS_ON_NODE"),
        gpus=_number(environ, "SLURM_GPUS_ON_NODE"),
        gpu_indices=_indices(environ.get("SLURM_JOB_GPUS") or environ.get("SLURM_STEP_GPUS")),
        account=environ.get("SLURM_JOB_ACCOUNT") or None,
        partition=environ.get("SLURM_JOB_PARTITION") or None,
        array_job_id=array,
        array_index=None if array is None else environ.get("SLURM_ARRAY_TASK_ID"),
    )


def per_node(text: str) -> list[int]:
    """Numbers of all nodes as Slurm abbreviates them: ``2(x2),1`` is 2, 2 and 1.

    Raises:
        ValueError: If the text is not of this form.
    """
    numbers: list[int] = []
    for part in text.split(","):
        match = _REPEATED.fullmatch(part)
        if match is None:
            raise ValueError(f"{text!r} is not a list of numbers by node")
        numbers += [int(match["number"])] * int(match["times"] or 1)
    return numbers


def _at(text: str | None, index: int) -> int | None:
    try:
        numbers = per_node(text or "")
    except ValueError:
        return None
    return numbers[index] if index < len(numbers) else None


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else None


def _indices(text: str | None) -> tuple[int, ...]:
    parts = (text or "").split(",")
    return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()
