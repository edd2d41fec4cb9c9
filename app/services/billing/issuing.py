"""Issues price tags: gathers the stored inputs and has the accounting build them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from app.db import Session
from app.repositories.attempts import executions
from app.repositories.factors import sites
from app.repositories.price_tags import price_tags
from app.services.billing import spending
from app.services.billing.documents import unreadable
from app.services.billing.inputs import (
    accelerators_of,
    attempts_of,
    hours_of_use,
    metered_ids,
    year_of_use,
)
from app.services.errors import PriceTagNotFoundError, RunNotFoundError
from app.services.factors import resolution as factors
from app.services.quoting import scoring
from app.settings import Settings, get_settings
from models import Factor as FactorRow
from models import PriceTag, Run
from models.documents.codec import DamagedDocumentError
from pricetag.accounting.bill.inputs import AttemptInput, Factors, PriceTagInputs
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.canonical import content_sha256
from pricetag.accounting.document.versions import ACCOUNTING_VERSION, version_to_reissue
from pricetag.catalog import defaults as catalog_defaults
from pricetag.tag.measured import QUEUE

Cause = Literal["attempt-ended", "journal-came-late", "repriced"]


async def get_price_tag(session: Session, run_id: UUID, version: int | None = None) -> PriceTag:
    """One version of a run's price tag as issued, by default the latest.

    Raises:
        RunNotFoundError: If the run does not exist.
        PriceTagNotFoundError: If it has no price tag yet, or not this version.
        PriceTagUnreadableError: If the stored document is damaged.
    """
    try:
        tag = await price_tags.get(session, run_id, version)
    except DamagedDocumentError as error:
        raise unreadable(error) from error
    if tag is not None:
        return tag
    run = await executions.get_run(session, run_id)
    if run is None:
        raise RunNotFoundError(f"Run {run_id} not found.", field="run_id")
    if version is not None and await price_tags.last_version(session, run_id) > 0:
        raise PriceTagNotFoundError(f"The price tag has no version {version}.", field="version")
    if run.status in ("queued", "running"):
        raise PriceTagNotFoundError("The price tag is issued when an attempt of the run ends.")
    if await executions.last_attempt_number(session, run_id) > 0:
        raise PriceTagNotFoundError(
            "The price tag could not be built; the run's log states the reason."
        )
    raise PriceTagNotFoundError(f"The run {run.status} before any attempt: nothing was used.")


async def issue(
    session: Session,
    run_id: UUID,
    *,
    settings: Settings | None = None,
    cause: Cause = "attempt-ended",
    as_of: datetime | None = None,
) -> PriceTag:
    """Issues the next version of a run's price tag, from all ended attempts.

    The caller holds the run's lock, so that versions are numbered without gaps. Budgets and quotes
    use the latest version, except those with the factors of another day, which only show what would
    have been charged.

    Args:
        session: Committed by the caller.
        run_id: The run.
        settings: Defaults for factors that the site has not entered; by default those of this
            process.
        cause: Why a new version is issued.
        as_of: Use only factors entered by then; None for all.

    Raises:
        RunNotFoundError: If the run does not exist.
        PriceTagNotFoundError: If none of its attempts has ended.
    """
    run, inputs = await _inputs(session, run_id, settings or get_settings(), cause, as_of)
    tag = await _build(run, inputs)
    tag.cause, tag.as_of = cause, as_of
    await price_tags.add(session, tag)
    if as_of is None:
        await spending.book(session, run, tag)
        await scoring.record(session, run, tag)
    return tag


async def drafts(
    session: Session, run_id: UUID, *, settings: Settings, trial: FactorRow
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The price tags that a re-pricing of a run would issue, without and with a factor.

    Nothing is stored.

    Args:
        session: Database session, only read.
        run_id: The run.
        settings: Defaults for factors that the site has not entered.
        trial: A factor that is not entered, to see what it would change.

    Raises:
        RunNotFoundError: If the run does not exist.
        PriceTagNotFoundError: If none of its attempts has ended.
    """
    run, inputs = await _inputs(session, run_id, settings, "repriced", None)
    tried = await _factors(session, run_id, inputs.attempts, settings, None, trial)
    before = await _build(run, inputs)
    after = await _build(run, replace(inputs, factors=tried))
    return before.content, after.content


async def _inputs(
    session: Session,
    run_id: UUID,
    settings: Settings,
    cause: Cause,
    as_of: datetime | None,
) -> tuple[Run, PriceTagInputs]:
    run = await executions.get_run(session, run_id)
    if run is None:
        raise RunNotFoundError(f"Run {run_id} not found.", field="run_id")
    attempts = await attempts_of(session, run_id)
    if not attempts:
        raise PriceTagNotFoundError("No attempt of the run has ended: there is nothing to bill.")
    newest = await price_tags.newest_version(session, run_id)
    inputs = PriceTagInputs(
        run_id=str(run.id),
        name=run.name,
        version=1 if newest is None else newest[0] + 1,
        attempts=attempts,
        factors=await _factors(session, run_id, attempts, settings, as_of),
        accounting_version=_accounting_version(newest, cause),
        origin=None if run.origin == QUEUE else run.origin,
        measured_by=run.measured_by,
    )
    return run, inputs


async def _factors(
    session: Session,
    run_id: UUID,
    attempts: Sequence[AttemptInput],
    settings: Settings,
    as_of: datetime | None,
    trial: FactorRow | None = None,
) -> Factors:
    accelerators = accelerators_of(attempts)
    resolved = await factors.resolve(
        session,
        site=await sites.of_run(session, run_id),
        settings=settings,
        accelerators=accelerators,
        devices=metered_ids(attempts),
        hours=hours_of_use(attempts),
        used_in_year=year_of_use(attempts[-1]),
        as_of=as_of,
        trial=trial,
    )
    return replace(resolved, peaks=catalog_defaults.peaks(accelerators))


def _accounting_version(newest: tuple[int, str] | None, cause: Cause) -> str:
    """Version of the accounting: a re-pricing changes only factors, never the arithmetic."""
    if newest is None or cause != "repriced":
        return ACCOUNTING_VERSION
    return version_to_reissue(newest[1])


async def _build(run: Run, inputs: PriceTagInputs) -> PriceTag:
    # Thousands of stages take seconds, which must not block the event loop.
    return await asyncio.to_thread(_made, run.id, inputs)


def _made(run_id: UUID, inputs: PriceTagInputs) -> PriceTag:
    content = build_price_tag(inputs).as_dict()
    return PriceTag(
        run_id=run_id,
        version=inputs.version,
        accounting_version=inputs.accounting_version,
        content=content,
        content_sha256=content_sha256(content),
    )
