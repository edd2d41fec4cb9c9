"""Entering factors: by admins, for a site or for the lab, never to be changed afterwards."""

from __future__ import annotations

import difflib
import uuid
from datetime import UTC, datetime
from typing import Protocol

from app.db import Session
from app.repositories import devices, factors
from app.schemas.factors import FactorCreate, FactorEntered, FactorPage, FactorRead
from app.services import audit, cursors
from app.services.factors import sites
from app.services.factors.kinds import checked
from app.services.principals import Principal
from models import Factor

MOST_NEAR = 3


async def enter(
    session: Session, site: str | None, wanted: FactorCreate, by: Principal
) -> FactorEntered:
    """Enters a factor; it holds before those that were entered earlier.

    Args:
        session: Committed by the caller.
        site: Of which site; None for the lab's own, which every site uses.
        wanted: The factor.
        by: Who enters it.

    Raises:
        RoleRequiredError: If the token is no admin's.
        SiteNotFoundError: If there is no such site.
        InvalidFactorEntryError: If a figure cannot be what it claims to be.
    """
    by.require("admin", sites.TO)
    place = await sites.require(session, site) if site is not None else None
    now = datetime.now(UTC)
    fit = checked(wanted, now, currency=place.currency if place else None, site=site)
    row = Factor(
        site_id=place.id if place else None,
        kind=wanted.kind,
        subject=fit.subject,
        value=fit.value,
        unit=fit.unit,
        relative_std_ratio=fit.relative_std_ratio,
        multiplicative=fit.multiplicative,
        evidence=wanted.evidence,
        source=wanted.source,
        source_url=wanted.source_url,
        year=wanted.year,
        basis=wanted.basis,
        licence=wanted.licence,
        details=fit.details,
        valid_from=wanted.valid_from or now,
        valid_to=wanted.valid_to,
        entered_by=by.user_id,
        created_at=now,
    )
    await factors.add(session, row)
    read = _read(row, site, now)
    await audit.record(
        session,
        by,
        action="created",
        object_kind="factor",
        object_id=row.id,
        after=read.model_dump(exclude={"id", "created_at", "planned"}),
    )
    return FactorEntered(**read.model_dump(), warnings=await _warnings(session, row))


async def _warnings(session: Session, row: Factor) -> list[str]:
    """A calibration may be entered before its device has ever run, or with a slip of the pen."""
    if row.kind != "calibration" or await devices.was_seen(session, row.subject):
        return []
    known = sorted(await devices.of_nodes(session))
    near = difflib.get_close_matches(row.subject, known, n=MOST_NEAR) or known[:MOST_NEAR]
    told = f"known are, among others: {', '.join(near)}" if near else "no node has shown any yet"
    return [
        f"subject: no device {row.subject!r} was ever seen, so this calibration applies to "
        f"nothing until one is ({told})"
    ]


async def list_page(
    session: Session, *, site: str | None, kind: str | None, cursor: str | None, limit: int
) -> FactorPage:
    """A page of factors as they were entered, the newest first.

    Args:
        session: Read alone.
        site: Of this site alone; all without it.
        kind: Of this kind alone.
        cursor: Where the page before ended.
        limit: Most factors.

    Raises:
        SiteNotFoundError: If there is no such site.
        CursorError: If the cursor is not of this list.
    """
    site_id = (await sites.require(session, site)).id if site is not None else None
    before = position(cursor, "factors")
    rows = await factors.page(session, site_id=site_id, kind=kind, before=before, limit=limit + 1)
    now = datetime.now(UTC)
    items = [_read(row, name, now) for row, name in rows[:limit]]
    more = len(rows) > limit
    last = items[-1] if more else None
    return FactorPage(items=items, next_cursor=next_page("factors", last))


def position(cursor: str | None, what: str) -> tuple[datetime, uuid.UUID] | None:
    """Where a page by time of entry begins.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    if cursor is None:
        return None
    told, moment, row_id = map(str, cursors.decode(cursor, str, str, str))
    if told != what or moment == "infinity":
        raise cursors.invalid("cursor")
    cursors.check_time(moment)
    return datetime.fromisoformat(moment), cursors.parse_id(row_id)


class Entered(Protocol):
    """Anything that was entered at a time."""

    id: uuid.UUID
    created_at: datetime


def next_page(what: str, last: Entered | None) -> str | None:
    """The cursor behind the last item of a page; None where there is no more."""
    if last is None:
        return None
    return cursors.encode(what, last.created_at.isoformat(), str(last.id))


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
