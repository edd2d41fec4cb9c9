"""Factors as known at an earlier time: which times can be requested."""

from __future__ import annotations

from datetime import UTC, datetime

from app.services.errors import ConflictError, InvalidError
from models import Site


class AsOfInTheFutureError(InvalidError):
    """The requested time is in the future."""

    code = "as-of-in-the-future"


class SiteMadeLaterError(ConflictError):
    """The site did not exist at the requested time."""

    code = "site-made-later"


class RunStartedLaterError(ConflictError):
    """The run had not started at the requested time."""

    code = "run-started-later"


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


def require_started(started_at: datetime | None, as_of: datetime | None) -> None:
    """Rejects a time before the first attempt of a run began.

    Raises:
        RunStartedLaterError: If it began later; the message says when.
    """
    if started_at is not None and as_of is not None and as_of < started_at:
        raise RunStartedLaterError(
            f"The run started on {_utc(started_at)}: factors as of {_utc(as_of)} are older than "
            f"its measurements. Use that time or a later one; {started_at.astimezone(UTC).date()} "
            "is the first possible day.",
            field="as_of",
        )


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
