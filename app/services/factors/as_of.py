"""The book as it stood: which times can be asked for, and which cannot."""

from __future__ import annotations

from datetime import UTC, datetime

from app.db import Session
from app.repositories import sites
from app.services.errors import ConflictError, InvalidError
from models import Site


class AsOfInTheFutureError(InvalidError):
    """Nobody knows what will have been entered by then."""

    code = "as-of-in-the-future"


class SiteMadeLaterError(ConflictError):
    """The site did not exist then."""

    code = "site-made-later"


def require_past(as_of: datetime | None, now: datetime) -> None:
    """Refuses a time that has not come.

    Raises:
        AsOfInTheFutureError: If it has not.
    """
    if as_of is not None and as_of > now:
        raise AsOfInTheFutureError(
            f"{as_of.isoformat()} has not come yet: give a time that has, or leave it out.",
            field="as_of",
        )


def require_made(site: Site | None, as_of: datetime | None) -> None:
    """Refuses a time at which a site had not been made; one that never was has no such time.

    Raises:
        SiteMadeLaterError: If it was made later; the message has when.
    """
    if site is not None and as_of is not None and as_of < site.created_at:
        raise SiteMadeLaterError(
            f"The site {site.name!r} did not exist on {_utc(as_of)}: it was made on "
            f"{_utc(site.created_at)}. Give that time or a later one.",
            field="as_of",
        )


async def require_made_by(session: Session, name: str, as_of: datetime | None) -> None:
    """The same for the site of a name; a site that nobody has entered has the lab's factors.

    Raises:
        SiteMadeLaterError: If it was made later; the message has when.
    """
    if as_of is not None:
        require_made(await sites.by_name(session, name), as_of)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
