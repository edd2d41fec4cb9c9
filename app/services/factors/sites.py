"""Sites: the locations of nodes, with the factors for their energy."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from app.db import Session
from app.repositories.factors import sites
from app.repositories.factors.writers import one_at_a_time
from app.schemas.sites import SiteCreate, SiteList, SiteRead, SiteUpdate
from app.services.errors import ConflictError, InvalidError, NotFoundError
from app.services.people import audit
from app.services.principals import Principal
from models import Site
from pricetag.accounting.budgets.periods import UnknownTimeZone, place_zone
from pricetag.catalog import NotInCatalog, grid_factor

FIELDS = ("description", "grid_zone", "time_zone", "currency")
TO = "enter sites and factors"


class SiteNotFoundError(NotFoundError):
    """No site has this name."""

    code = "site-not-found"


class SiteExistsError(ConflictError):
    """A site with this name already exists."""

    code = "site-exists"


class UnknownZoneError(InvalidError):
    """The catalog has no such grid zone; the message lists similar names."""

    code = "unknown-zone"


class UnknownTimeZoneError(InvalidError):
    """No time zone has this name."""

    code = "unknown-time-zone"


@dataclass(frozen=True, slots=True)
class SiteState:
    """The properties of a site at a given time."""

    id: uuid.UUID
    name: str
    grid_zone: str | None
    time_zone: str
    currency: str


async def state(session: Session, name: str, as_of: datetime | None = None) -> SiteState | None:
    """A site, now or at an earlier time; None if it did not exist then.

    Args:
        session: Database session, only read.
        name: Name of the site.
        as_of: Time to go back to, by the audit log; None for now.
    """
    site = await sites.by_name(session, name)
    if site is None or (as_of is not None and site.created_at > as_of):
        return None
    values = {key: getattr(site, key) for key in FIELDS}
    if as_of is not None:
        values |= await sites.first_change_after(session, name, as_of) or {}
    return SiteState(
        site.id, site.name, values["grid_zone"], values["time_zone"], values["currency"]
    )


async def exists(session: Session, name: str) -> bool:
    """Whether a site was created with this name."""
    return await sites.by_name(session, name) is not None


async def require(session: Session, name: str, *, lock: bool = False) -> Site:
    """The site with a name.

    Args:
        session: Database session.
        name: Name of the site.
        lock: Whether to lock the site for a change.

    Raises:
        SiteNotFoundError: If the site does not exist.
    """
    site = await sites.by_name(session, name, lock=lock)
    if site is None:
        existing = ", ".join(row.name for row in await sites.all_sites(session)) or "none"
        raise SiteNotFoundError(
            f"Site {name!r} not found; existing sites: {existing}.", field="site"
        )
    return site


async def create(session: Session, request: SiteCreate, by: Principal) -> SiteRead:
    """Creates a site.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        SiteExistsError: If a site with this name exists.
        UnknownZoneError: If the catalog does not know the zone.
        UnknownTimeZoneError: If the time zone does not exist.
    """
    by.require("admin", TO)
    await one_at_a_time(session, "sites")
    if await sites.by_name(session, request.name) is not None:
        raise SiteExistsError(f"Site {request.name!r} already exists.", field="name")
    site = Site(
        name=request.name,
        description=request.description,
        grid_zone=known_zone(request.grid_zone),
        time_zone=known_time_zone(request.time_zone),
        currency=request.currency,
    )
    await sites.add(session, site)
    await audit.record(
        session, by, action="created", object_kind="site", object_id=site.name, after=_values(site)
    )
    return SiteRead.model_validate(site)


async def change(session: Session, name: str, request: SiteUpdate, by: Principal) -> SiteRead:
    """Changes the supplied fields of a site; the audit log keeps the former values.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        SiteNotFoundError: If the site does not exist.
        UnknownZoneError: If the catalog does not know the zone.
        UnknownTimeZoneError: If the time zone does not exist.
    """
    by.require("admin", TO)
    site = await require(session, name, lock=True)
    before = _values(site)
    changes = request.model_dump(exclude_unset=True)
    if "grid_zone" in changes:
        changes["grid_zone"] = known_zone(changes["grid_zone"])
    if "time_zone" in changes:
        changes["time_zone"] = known_time_zone(changes["time_zone"])
    for key, value in changes.items():
        setattr(site, key, value)
    after = _values(site)
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
    """All sites, by name."""
    return SiteList(items=[SiteRead.model_validate(s) for s in await sites.all_sites(session)])


def known_zone(zone: str | None, field: str = "grid_zone") -> str | None:
    """A zone in the catalog's spelling.

    Raises:
        UnknownZoneError: If the catalog does not know the zone; lists similar names.
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
        UnknownTimeZoneError: If no time zone has this name.
    """
    try:
        return place_zone(name).key
    except UnknownTimeZone as error:
        raise UnknownTimeZoneError(str(error), field="time_zone") from error


def _values(site: Site) -> dict[str, str | None]:
    return {key: getattr(site, key) for key in FIELDS}
