"""Re-pricing: new versions of price tags with other factors; old versions stay."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from app.db import Session
from app.repositories.attempts import executions
from app.repositories.factors import sites
from app.repositories.price_tags import price_tags
from app.schemas.common import Quantity
from app.schemas.price_tags import PriceTagVersion, PriceTagVersions
from app.services import access
from app.services.billing import issuing
from app.services.errors import ConflictError, NotYourRunError
from app.services.factors.as_of import require_made, require_past, require_started
from app.services.factors.resolution import DEFAULT_SITE
from app.services.people import audit
from app.services.principals import Principal
from app.services.runs.responses import not_found
from app.settings import Settings
from models import Run
from pricetag.accounting.quantity.checks import InvalidFactor
from pricetag.catalog import NotInCatalog
from pricetag.tag.headline import UNITS, UNREADABLE


class NotPriceableError(ConflictError):
    """The factors of that time cannot be applied to this run."""

    code = "not-priceable"


async def reprice(
    session: Session,
    principal: Principal,
    run_id: UUID,
    as_of: datetime | None,
    *,
    settings: Settings,
) -> PriceTagVersion:
    """Issues a new version of a run's price tag with the factors of a given time.

    Args:
        session: Committed by the caller.
        principal: The run's author, or an admin.
        run_id: Run with at least one finished attempt.
        as_of: Use only factors entered by then; None for all, and then budgets use the new
            version.
        settings: Defaults for factors that the site has not entered.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If the run does not exist.
        NotYourRunError: If the principal is a member and not the run's author.
        AsOfInTheFutureError: If the time is in the future.
        SiteMadeLaterError: If the run's site did not exist then.
        RunStartedLaterError: If the run had not started then.
        PriceTagNotFoundError: If no attempt of it has ended.
        NotPriceableError: If a factor of that time is out of its range.
    """
    principal.require("member", "re-price runs")
    require_past(as_of, datetime.now(UTC))
    await access.require_run(session, principal, run_id)
    run = await executions.lock_run(session, run_id)
    if run is None:
        raise not_found(run_id)
    if run.created_by != principal.user_id and not principal.has("admin"):
        raise NotYourRunError("Only the run's author or an admin can re-price it.")
    await _require_possible(session, run, as_of)
    before = await price_tags.last_version(session, run_id)
    try:
        tag = await issuing.issue(session, run_id, settings=settings, cause="repriced", as_of=as_of)
    except (InvalidFactor, NotInCatalog) as error:
        raise NotPriceableError(f"The run cannot be priced with these factors: {error}") from error
    await audit.record(
        session,
        principal,
        action="repriced",
        object_kind="run",
        object_id=run_id,
        before={"price_tag_version": before},
        after={"price_tag_version": tag.version, "as_of": as_of},
    )
    return (await versions(session, run_id)).items[0]


async def _require_possible(session: Session, run: Run, as_of: datetime | None) -> None:
    """Rejects a time before the run's site or the run itself; the later of them is named."""
    site = await sites.by_name(session, await sites.of_run(session, run.id) or DEFAULT_SITE)
    if site is None or run.started_at is None or site.created_at > run.started_at:
        require_made(site, as_of)
    require_started(run.started_at, as_of)


async def versions(session: Session, run_id: UUID) -> PriceTagVersions:
    """All versions of a run's price tag, newest first.

    Raises:
        RunNotFoundError: If there is no such run.
    """
    if await executions.get_run(session, run_id) is None:
        raise not_found(run_id)
    rows = await price_tags.versions(session, run_id)
    return PriceTagVersions(items=[_version(row) for row in rows])


def _version(row: Mapping[str, Any]) -> PriceTagVersion:
    """A version with its totals; of a price tag that cannot be read they are unknown."""
    try:
        return PriceTagVersion.model_validate(row)
    except ValidationError:
        unknown = {
            name: Quantity(
                value=None, low=None, high=None, unit=unit, source=None, reason=UNREADABLE
            )
            for name, unit in UNITS.items()
            if name in PriceTagVersion.model_fields
        }
        return PriceTagVersion.model_validate({**row, **unknown})
