"""Sites: where nodes stand, and so whose factors their energy is multiplied with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from app.db import Session
from app.repositories import sites
from app.repositories.writers import one_at_a_time
from app.schemas.sites import SiteCreate, SiteList, SiteRead, SiteUpdate
from app.services import audit
from app.services.errors import ConflictError, InvalidError, NotFoundError
from app.services.principals import Principal
from models import Site
from pricetag.accounting.budgets.periods import UnknownTimeZone, place_zone
from pricetag.catalog import NotInCatalog, grid_factor

KNOWN = ("description", "grid_zone", "time_zone", "currency")
TO = "enter sites and factors"


class SiteNotFoundError(NotFoundError):
    """There is no site of this name."""

    code = "site-not-found"


class SiteExistsError(ConflictError):
    """There is a site of this name."""

    code = "site-exists"


class UnknownZoneError(InvalidError):
    """The catalog has no such grid zone; the message has names that look like it."""

    code = "unknown-zone"


class UnknownTimeZoneError(InvalidError):
    """There is no time zone of this name."""

    code = "unknown-time-zone"


@dataclass(frozen=True, slots=True)
class SiteState:
    """What was known of a site at a time."""

    id: uuid.UUID
    name: str
    grid_zone: str | None
    time_zone: str
    currency: str


async def state(session: Session, name: str, as_of: datetime | None = None) -> SiteState | None:
    """A site as it stands, or as it stood; None where there is, or was, none of this name.

    Args:
        session: Read alone.
        name: Of the site.
        as_of: As it stood then, by the audit log; None for now.
    """
    site = await sites.by_name(session, name)
    if site is None or (as_of is not None and site.created_at > as_of):
        return None
    values = {key: getattr(site, key) for key in KNOWN}
    if as_of is not None:
        values |= await sites.first_change_after(session, name, as_of) or {}
    return SiteState(
        site.id, site.name, values["grid_zone"], values["time_zone"], values["currency"]
    )


async def require(session: Session, name: str, *, lock: bool = False) -> Site:
    """The site of a name.

    Args:
        session: Database session.
        name: Of the site.
        lock: Whether it is about to be changed.

    Raises:
        SiteNotFoundError: If there is none.
    """
    site = await sites.by_name(session, name, lock=lock)
    if site is None:
        known = ", ".join(other.name for other in await sites.all_sites(session)) or "none yet"
        raise SiteNotFoundError(f"There is no site {name!r}; there is: {known}.", field="site")
    return site


async def create(session: Session, wanted: SiteCreate, by: Principal) -> SiteRead:
    """Makes a site.

    Raises:
        RoleRequiredError: If the token is no admin's.
        SiteExistsError: If there is one of this name.
        UnknownZoneError: If the catalog does not know the zone.
        UnknownTimeZoneError: If there is no such time zone.
    """
    by.require("admin", TO)
    await one_at_a_time(session, "sites")
    if await sites.by_name(session, wanted.name) is not None:
        raise SiteExistsError(f"There is a site {wanted.name!r} already.", field="name")
    site = Site(
        name=wanted.name,
        description=wanted.description,
        grid_zone=known_zone(wanted.grid_zone),
        time_zone=known_time_zone(wanted.time_zone),
        currency=wanted.currency,
    )
    await sites.add(session, site)
    await audit.record(
        session, by, action="created", object_kind="site", object_id=site.name, after=_told(site)
    )
    return SiteRead.model_validate(site)


async def change(session: Session, name: str, wanted: SiteUpdate, by: Principal) -> SiteRead:
    """Changes what is given of a site; the audit log keeps what it was.

    Raises:
        RoleRequiredError: If the token is no admin's.
        SiteNotFoundError: If there is none of this name.
        UnknownZoneError: If the catalog does not know the zone.
        UnknownTimeZoneError: If there is no such time zone.
    """
    by.require("admin", TO)
    site = await require(session, name, lock=True)
    before = _told(site)
    given = wanted.model_dump(exclude_unset=True)
    if "grid_zone" in given:
        given["grid_zone"] = known_zone(given["grid_zone"])
    if "time_zone" in given:
        given["time_zone"] = known_time_zone(given["time_zone"])
    for key, value in given.items():
        setattr(site, key, value)
    after = _told(site)
    if after != before:
        await audit.record(
            session,
            by,
            action="changed",
            object_kind="site",
            object_id=site.name,
            before=before,
            after=after,
        )
    return SiteRead.model_validate(site)


async def list_all(session: Session) -> SiteList:
    """Every site by name."""
    return SiteList(items=[SiteRead.model_validate(s) for s in await sites.all_sites(session)])


def known_zone(zone: str | None, field: str = "grid_zone") -> str | None:
    """A zone as the catalog writes it.

    Raises:
        UnknownZoneError: If the catalog does not know it; it says what looks like it.
    """
    if zone is None:
        return None
    try:
        return grid_factor(zone).zone
    except NotInCatalog as error:
        raise UnknownZoneError(str(error), field=field) from error


def known_time_zone(name: str) -> str:
    """A time zone by its IANA name.

    Raises:
        UnknownTimeZoneError: If there is none of this name.
    """
    try:
        return place_zone(name).key
    except UnknownTimeZone as error:
        raise UnknownTimeZoneError(str(error), field="time_zone") from error


def _told(site: Site) -> dict[str, str | None]:
    return {key: getattr(site, key) for key in KNOWN}
