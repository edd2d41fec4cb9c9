"""Verification of a price tag: hash, readings and arithmetic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.attempts import executions, measured
from app.repositories.price_tags import price_tags
from app.schemas.price_tags import VerificationRead, VerificationStep
from app.services.attempts import settlement
from app.services.billing.inputs import attempts_of
from app.services.billing.issuing import get_price_tag
from models import PriceTag
from models.packed.codec import DamagedReadingsError
from pricetag.accounting.bill.inputs import AttemptInput, PriceTagInputs
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.canonical import first_difference, known_sha256
from pricetag.accounting.document.factors import read_factors
from pricetag.accounting.document.versions import ACCOUNTING_VERSION, REBUILT_VERSIONS
from pricetag.tag.figures import counted
from pricetag.tag.measured import SLURM

CAME_LATE = "journal-came-late"
COMPARED = (
    "start_s",
    "end_s",
    "energy_j",
    "energy_by_source_j",
    "covered_s",
    "flags",
    "reason",
    "device_energy_j",
    "baseline_j",
    "energy_by_hour_j",
)
SINCE_MIGRATION_2 = ("device_energy_j", "baseline_j", "energy_by_hour_j")
"""Columns that measurements stored before do not have; the rows are as they were."""


async def verify(session: Session, run_id: UUID, version: int | None = None) -> VerificationRead:
    """Verifies a price tag in three independent steps.

    The hash of the content is the issued one; the stored measurements follow from the stored
    readings; the content follows, to the last digit, from these measurements and from the
    factors in the content.

    Args:
        session: Database session, only read.
        run_id: The run.
        version: Version of the price tag; by default the latest.

    Raises:
        RunNotFoundError: If there is no such run.
        PriceTagNotFoundError: If it has no price tag, or not this version.
    """
    tag = await get_price_tag(session, run_id, version)
    numbers = {attempt["number"] for attempt in tag.content["attempts"]}
    steps = [
        check_hash(tag),
        await _check_measurements(session, run_id, numbers),
        await _check_arithmetic(session, tag, numbers),
    ]
    statuses = {step.status for step in steps}
    outcome = "differs" if "differs" in statuses else "not-fully-checked"
    return VerificationRead(
        run_id=run_id,
        version=tag.version,
        accounting_version=tag.accounting_version,
        content_sha256=tag.content_sha256,
        outcome="verified" if statuses == {"ok"} else outcome,
        steps=steps,
    )


def check_hash(tag: PriceTag) -> VerificationStep:
    """Checks that the content is the issued one."""
    expected = known_sha256(tag.content, tag.accounting_version)
    if tag.content_sha256 in expected:
        return VerificationStep(
            step="content-hash", status="ok", detail=f"SHA-256 {tag.content_sha256}"
        )
    return VerificationStep(
        step="content-hash",
        status="differs",
        detail=f"issued with SHA-256 {tag.content_sha256}, stored content has {expected[0]}",
    )


async def _check_measurements(
    session: Session, run_id: UUID, numbers: set[int]
) -> VerificationStep:
    attempts = [a for a in await attempt_rows.of_run(session, run_id) if a.number in numbers]
    checked = 0
    for attempt in attempts:
        stored = await measured.measurements(session, attempt.id)
        try:
            rows, _ = await settlement.measure(session, attempt)
        except DamagedReadingsError as error:
            return VerificationStep(
                step="measurements",
                status="differs",
                detail=f"attempt {attempt.number}: {error}",
            )
        difference = _first_row_difference(
            {(row.stage_key, row.component): _stored(row) for row in stored},
            {(row["stage_key"], row["component"]): _computed(row) for row in rows},
        )
        if difference is not None:
            return VerificationStep(
                step="measurements",
                status="differs",
                detail=f"attempt {attempt.number}: {difference} (stored and recomputed)",
            )
        checked += len(stored)
    # Attempts run one after another, so all attempts before the last one are on the bill too; those
    # of the nodes of a job end in any order.
    run = await executions.get_run(session, run_id)
    is_job = run is not None and run.origin == SLURM
    expected = numbers if is_job else set(range(1, max(numbers, default=0) + 1))
    if missing := expected - {attempt.number for attempt in attempts}:
        return _missing(missing)
    return VerificationStep(
        step="measurements",
        status="ok",
        detail=f"{checked} measurements of {counted(len(attempts), 'attempt')} follow from their "
        "readings",
    )


def _missing(numbers: set[int]) -> VerificationStep:
    listed = ", ".join(map(str, sorted(numbers)))
    return VerificationStep(
        step="measurements", status="differs", detail=f"attempt {listed} is missing"
    )


def _stored(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in COMPARED}


def _computed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in COMPARED}


def _first_row_difference(
    stored: Mapping[tuple[str, str], dict[str, Any]],
    computed: Mapping[tuple[str, str], dict[str, Any]],
) -> str | None:
    for stage, component in sorted(stored.keys() | computed.keys()):
        key = stage, component
        name = f"{component} over {f'stage {stage}' if stage else 'the whole attempt'}"
        if key not in stored or key not in computed:
            return f"{name}: only {'recomputed' if key not in stored else 'stored'}"
        difference = first_difference(stored[key], _as_stored_then(stored[key], computed[key]))
        if difference is not None:
            return f"{name}, {difference}"
    return None


def _as_stored_then(stored: Mapping[str, Any], computed: Mapping[str, Any]) -> dict[str, Any]:
    """A computed measurement with the columns that there were when it was stored."""
    is_earlier = all(stored[column] is None for column in SINCE_MIGRATION_2)
    return {
        column: None if is_earlier and column in SINCE_MIGRATION_2 else value
        for column, value in computed.items()
    }


async def _check_arithmetic(session: Session, tag: PriceTag, numbers: set[int]) -> VerificationStep:
    if tag.accounting_version not in REBUILT_VERSIONS:
        return _unchecked(
            f"it was issued by version {tag.accounting_version} of the accounting; this server "
            f"has version {ACCOUNTING_VERSION}, whose figures may differ"
        )
    attempts = await attempts_of(session, tag.run_id)
    included = tuple(attempt for attempt in attempts if attempt.number in numbers)
    run = await executions.get_run(session, tag.run_id)
    name = tag.content["name"] if run is None else run.name
    try:
        content = await asyncio.to_thread(_rebuild, tag, name, included)
    except (KeyError, TypeError, ValueError) as error:
        detail = f"it cannot be rebuilt ({type(error).__name__}: {error})"
        return VerificationStep(step="arithmetic", status="differs", detail=detail)
    difference = first_difference(tag.content, content)
    if difference is None:
        detail = "the content follows from the measurements and its own factors, digit for digit"
        return VerificationStep(step="arithmetic", status="ok", detail=detail)
    later = await price_tags.later_causes(session, tag.run_id, tag.version)
    late = [number for number, cause in later.items() if cause == CAME_LATE]
    if late:
        return _unchecked(
            f"readings arrived after it was issued: version {late[0]} has them, and this one "
            f"cannot be recomputed ({difference})"
        )
    return VerificationStep(
        step="arithmetic", status="differs", detail=f"{difference} (issued and rebuilt)"
    )


def _unchecked(why: str) -> VerificationStep:
    return VerificationStep(step="arithmetic", status="not-checked", detail=why)


def _rebuild(tag: PriceTag, name: str, attempts: Sequence[AttemptInput]) -> dict[str, Any]:
    content = tag.content
    inputs = PriceTagInputs(
        run_id=str(tag.run_id),
        name=name,
        version=tag.version,
        attempts=tuple(attempts),
        factors=read_factors(content["provenance"]),
        accounting_version=tag.accounting_version,
        seed=content["provenance"]["interval_seed"],
        origin=content["provenance"].get("origin"),
        measured_by=content["provenance"].get("measured_by"),
    )
    return build_price_tag(inputs).as_dict()
