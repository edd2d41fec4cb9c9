"""Entering factors: by admins, for a site or for the lab; entered factors never change."""

from __future__ import annotations

import difflib
import uuid
from datetime import UTC, datetime

from app.db import Session
from app.repositories.factors import factors
from app.repositories.nodes import devices
from app.schemas.factors import FactorCreate, FactorEntered, FactorPage, FactorRead
from app.services import cursors
from app.services.factors import sites
from app.services.factors.kinds import checked
from app.services.factors.plausible import doubts
from app.services.people import audit
from app.services.principals import Principal
from models import Factor

MOST_NEAR = 3


async def enter(
    session: Session, site: str | None, request: FactorCreate, by: Principal
) -> FactorEntered:
    """Enters a factor; it takes precedence over factors entered earlier.

    Args:
        session: Committed by the caller.
        site: Site of the factor; None for a factor of the lab, which every site uses.
        request: The factor to enter.
        by: Who enters it.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        SiteNotFoundError: If the site does not exist.
        InvalidFactorEntryError: If a field is invalid.
    """
    row = await draft(session, site, request, by)
    await factors.add(session, row)
    read = _read(row, site, row.created_at)
    await audit.record(
        session,
        by,
        action="created",
        object_kind="factor",
        object_id=row.id,
        after=read.model_dump(exclude={"id", "created_at", "planned"}),
    )
    return FactorEntered(**read.model_dump(), warnings=await warnings_of(session, row))


async def draft(session: Session, site: str | None, request: FactorCreate, by: Principal) -> Factor:
    """The row of a factor, checked and not stored.

    Args:
        session: Database session, only read.
        site: Site of the factor; None for a factor of the lab, which every site uses.
        request: The factor to enter.
        by: Who would enter it.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        SiteNotFoundError: If the site does not exist.
        InvalidFactorEntryError: If a field is invalid.
    """
    by.require("admin", sites.TO)
    place = await sites.require(session, site) if site is not None else None
    now = datetime.now(UTC)
    fit = checked(request, now, currency=place.currency if place else None, site=site)
    return Factor(
        id=uuid.uuid4(),
        site_id=place.id if place else None,
        kind=request.kind,
        subject=fit.subject,
        value=fit.value,
        unit=fit.unit,
        relative_std_ratio=fit.relative_std_ratio,
        multiplicative=fit.multiplicative,
        evidence=request.evidence,
        source=request.source,
        source_url=request.source_url,
        year=request.year,
        basis=request.basis,
        licence=request.licence,
        details=fit.details,
        valid_from=request.valid_from or now,
        valid_to=request.valid_to,
        entered_by=by.user_id,
        created_at=now,
    )


async def warnings_of(session: Session, row: Factor) -> list[str]:
    """Warns about implausible values, and about a calibration of a device never seen."""
    warnings = list(
        doubts(
            row.kind,
            float(row.value),
            row.relative_std_ratio,
            row.unit,
            multiplicative=row.multiplicative,
            details=row.details,
        )
    )
    return [*warnings, *await _unseen(session, row)]


async def _unseen(session: Session, row: Factor) -> list[str]:
    """Warns about a calibration for a device that has not been seen, which may be a typo."""
    if row.kind != "calibration" or await devices.was_seen(session, row.subject):
        return []
    uuids = sorted(await devices.of_nodes(session))
    similar = difflib.get_close_matches(row.subject, uuids, n=MOST_NEAR) or uuids[:MOST_NEAR]
    hint = f"devices seen: {', '.join(similar)}" if similar else "no node has reported one yet"
    return [
        f"subject: device {row.subject!r} has never been seen, so this calibration applies to "
        f"nothing until a node reports it ({hint})"
    ]


async def list_page(
    session: Session, *, site: str | None, kind: str | None, cursor: str | None, limit: int
) -> FactorPage:
    """A page of factors as entered, newest first.

    Args:
        session: Database session, only read.
        site: Only factors of this site; None for all.
        kind: Only factors of this kind.
        cursor: End of the previous page.
        limit: Maximum number of factors.

    Raises:
        SiteNotFoundError: If the site does not exist.
        CursorError: If the cursor does not belong to this list.
    """
    site_id = (await sites.require(session, site)).id if site is not None else None
    before = cursors.position(cursor, "factors")
    rows = await factors.page(session, site_id=site_id, kind=kind, before=before, limit=limit + 1)
    now = datetime.now(UTC)
    shown, following = cursors.page(rows, limit, lambda row: cursors.place("factors", row[0]))
    return FactorPage(items=[_read(row, name, now) for row, name in shown], next_cursor=following)


def _read(row: Factor, site: str | None, now: datetime) -> FactorRead:
    return FactorRead(
        id=row.id,
        site=site,
        kind=row.kind,
        subject=row.subject,
        value=format(row.value.normalize(), "f"),
        unit=row.unit,
        relative_std_ratio=row.relative_std_ratio,
        multiplicative=row.multiplicative,
        evidence=row.evidence,
        source=row.source,
        source_url=row.source_url,
        year=row.year,
        basis=row.basis,
        licence=row.licence,
        details=row.details,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        created_at=row.created_at,
        planned=row.valid_from > now,
    )
