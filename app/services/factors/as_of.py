"""Factors as known at an earlier time: which times can be requested."""

from __future__ import annotations

from datetime import UTC, datetime

from app.db import Session
from app.repositories import sites
from app.services.errors import ConflictError, InvalidError
from models import Site


class AsOfInTheFutureError(InvalidError):
    """The requested time is in the future."""

    code = "as-of-in-the-future"


class SiteMadeLaterError(ConflictError):
    """The site did not exist at the requested time."""

    code = "site-made-later"


def require_past(as_of: datetime | None, now: datetime) -> None:
    """Rejects a time in the future.

    Raises:
        AsOfInTheFutureError: If the time is in the future.
    """
    if as_of is not None and as_of > now:
        raise AsOfInTheFutureError(
            f"{as_of.isoformat()} is in the future: use a time in the past, or omit it.",
            field="as_of",
        )


def require_made(site: Site | None, as_of: datetime | None) -> None:
    """Rejects a time before a site was created; a site that is not in the database passes.

    Raises:
        SiteMadeLaterError: If the site was created later; the message says when.
    """
    if site is not None and as_of is not None and as_of < site.created_at:
        raise SiteMadeLaterError(
            f"The site {site.name!r} did not exist on {_utc(as_of)}: it was created on "
            f"{_utc(site.created_at)}. Use that time or a later one.",
            field="as_of",
        )


async def require_made_by(session: Session, name: str, as_of: datetime | None) -> None:
    """Same as ``require_made``, for a site by name; an unknown site uses the lab's factors.

    Raises:
        SiteMadeLaterError: If the site was created later; the message says when.
    """
    if as_of is not None:
        require_made(await sites.by_name(session, name), as_of)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
