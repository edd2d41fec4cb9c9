"""Slurm: the output of ``sacct -P``, with the energy that its accounting plug-in has read.

``sacct -XP --format=JobIDRaw,JobName,User,Account,State,Start,ElapsedRaw,AllocTRES,NodeList,\
ConsumedEnergyRaw``. The energy is that of the whole nodes of a job: it is the job's own only if the
job had them alone.

Source: sacct(1); ``slurm.h``, ``NO_VAL64``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import Any

from pricetag.imports import fields, tables
from pricetag.imports.imported import MAX_GPUS, Imported, Part
from pricetag.imports.source import Skipped, Source

TOOL = "Slurm"
MARKS = frozenset({"ConsumedEnergyRaw", "ElapsedRaw"})
IDS = ("JobIDRaw", "JobID")
HEADS = (*IDS, "JobName", "State", "Start", "Elapsed")
"""Columns by which a header of sacct is recognized that has not all that are needed."""

COLUMNS = ("State", "Start", "ElapsedRaw", "ConsumedEnergyRaw")
UNKNOWN_J = 2.0**63
"""Slurm writes 2^64 - 2 for a figure that it does not have."""

STATES: Mapping[str, str] = {"COMPLETED": "succeeded", "CANCELLED": "cancelled"}
OPEN = frozenset({"RUNNING", "PENDING", "SUSPENDED", "REQUEUED", "RESIZING", "COMPLETING"})

STEP = "a step of a job, whose energy is in that of the job"
NOT_ENDED = "a job that has not ended"
NO_ENERGY = (
    "a job without energy: Slurm's accounting of energy is not configured, or had no reading"
)
NEVER_RAN = "a job that never ran"
TWICE = "a job that an earlier line has"
SHARED = (
    "energy of all nodes of the job as Slurm read it: also that of other jobs on them, unless the "
    "job had them alone"
)
_PREFIXED = re.compile(r"[\d.]+[KMGTP]")
_GPU = re.compile(r"gres/gpu(?::([^=,]+))?=(\d+)")


def read(source: Source) -> Iterator[Imported | Skipped]:
    """The ended jobs of an output of ``sacct -P`` with its header.

    Raises:
        ImportFileError: If the file or a line is invalid.
        OSError: If it cannot be read.
    """
    yield from jobs(source.lines(), source.zone)


def jobs(lines: Iterable[str], zone: tzinfo | None) -> Iterator[Imported | Skipped]:
    """The ended jobs of lines of ``sacct -P``, of which the first is the header.

    Args:
        lines: The output.
        zone: Time zone of the cluster.

    Raises:
        ImportFileError: If a line is invalid.
    """
    seen: set[int] = set()
    for line, row in tables.rows(lines, "|"):
        tables.require_columns(row, *COLUMNS)
        job = _job(row, line, zone)
        if isinstance(job, Imported) and hash(job.key) in seen:
            job = Skipped(line, TWICE)
        if isinstance(job, Imported):
            seen.add(hash(job.key))
        yield job


def _job(row: Mapping[str, str], line: int, zone: tzinfo | None) -> Imported | Skipped:
    try:
        job_id = fields.text(row, *IDS)
        if job_id is None:
            raise fields.FieldError("JobIDRaw: is missing")
        if "." in job_id:
            return Skipped(line, STEP)
        state = row["State"].strip().partition(" ")[0].rstrip("+").upper()
        if state in OPEN:
            return Skipped(line, NOT_ENDED)
        duration_s = fields.required_amount(row, "ElapsedRaw")
        start = fields.text(row, "Start")
        if duration_s == 0 or start is None:
            return Skipped(line, NEVER_RAN)
        if (energy := fields.text(row, "ConsumedEnergyRaw")) and _PREFIXED.fullmatch(energy):
            raise fields.FieldError(
                f"ConsumedEnergyRaw: must be joules, without a prefix (got {energy!r}): sacct "
                "rounds ConsumedEnergy, and writes the joules as ConsumedEnergyRaw"
            )
        energy_j = fields.amount(row, "ConsumedEnergyRaw")
        if not energy_j or energy_j >= UNKNOWN_J:
            return Skipped(line, NO_ENERGY)
        started_at = fields.moment(start, "Start", zone)
    except fields.FieldError as error:
        raise tables.ImportFileError(str(error), line) from error
    nodes = fields.text(row, "NodeList")
    cluster = fields.text(row, "Cluster") or ""
    status = STATES.get(state, "failed")
    return Imported(
        tool=TOOL,
        measured_by="slurm",
        # A job that was requeued keeps its ID.
        key=f"{cluster} {job_id} {start}",
        name=fields.text(row, "JobName") or f"job {job_id}",
        started_at=started_at,
        duration_s=duration_s,
        parts=[Part("host", nodes or "nodes of the job", energy_j, notes=SHARED)],
        project=fields.text(row, "Account"),
        devices=_devices(fields.text(row, "AllocTRES") or ""),
        node=nodes,
        status=status,
        reason=_reason(status, state),
        remarks=[f"Slurm job {job_id}: {SHARED}"],
        line=line,
    )


def _reason(status: str, state: str) -> dict[str, Any] | None:
    if status == "succeeded":
        return None
    code = "cancelled" if status == "cancelled" else "slurm"
    return {"code": code, "message": f"Slurm reports the state {state}"}


def _devices(resources: str) -> list[dict[str, Any]]:
    """The accelerators in ``billing=8,cpu=8,gres/gpu=2,gres/gpu:a100=2,mem=64G,node=1``."""
    counts = {name or None: int(count) for name, count in _GPU.findall(resources)}
    named = {name: count for name, count in counts.items() if name is not None}
    chosen = named or ({"GPU": counts[None]} if None in counts else {})
    return [
        {"kind": "gpu", "name": name, "uuid": None}
        for name, count in chosen.items()
        for _ in range(min(count, MAX_GPUS))
    ]
