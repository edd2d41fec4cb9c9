"""What the pages of administrators show on the test site."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlencode

from app.db import Session
from app.schemas.carbon import CarbonImport
from app.schemas.factors import FactorCreate
from app.schemas.prices import PriceCreate
from app.schemas.sites import SiteCreate
from app.schemas.users import UserCreate, UserTokenCreate
from app.services.factors import carbon_series, entry, price_book, sites
from app.services.people import tokens, users
from app.services.principals import Principal

SITE = "hall-2"
FACTOR = {
    "kind": "pue",
    "value": "1.21",
    "year": "2025",
    "basis": "annual mean, by the meter",
    "source": "energy report of hall 2",
    "licence": "the lab's own figure",
    "valid_from": "2026-01-01T00:00Z",
}
PRICE = {
    "price_id": "cloud-h200",
    "provider": "a cloud",
    "accelerator": "H200",
    "amount": "3.35",
    "currency": "USD",
    "kind": "on_demand",
    "source": "price list of March",
    "licence": "public",
    "valid_from": "2026-03-01T00:00Z",
}

ADMIN_PAGES = (
    "/admin",
    "/admin/sites",
    f"/admin/sites/{SITE}",
    "/admin/factors",
    f"/admin/factors/new?{urlencode({**FACTOR, 'value': '1.4'})}",
    "/admin/prices",
    "/admin/prices/import",
    "/admin/carbon",
    "/admin/users",
    "/admin/users/new",
    "/admin/tokens",
    "/admin/sessions",
    "/admin/shares",
    "/admin/audit",
    "/admin/health",
)
"""Paths as an administrator opens them."""


async def fill_admin(session: Session, name: str, names: Sequence[str]) -> None:
    """A site with a factor, a price, an hour of carbon, and users whose names are hard to show.

    Args:
        session: Committed by the caller.
        name: An administrator.
        names: Names of users.
    """
    user = await users.named(session, name)
    by = Principal(user.id, None, user.name, "admin")
    await sites.create(session, SiteCreate(name=SITE, grid_zone="DE", currency="EUR"), by)
    await entry.enter(session, SITE, FactorCreate.model_validate_strings(FACTOR), by)
    await price_book.add(session, PriceCreate.model_validate_strings(PRICE), by)
    hour = "hour,g_per_kwh\n2026-03-01T12:00Z,231.5\n"
    series = {"zone": "DE", "basis": "lifecycle", "source": "s", "licence": "l", "content": hour}
    await carbon_series.import_file(session, CarbonImport.model_validate(series), by)
    for one in names:
        made = await users.create(session, UserCreate(name=one.strip()), by)
        await tokens.create_for(session, made.id, UserTokenCreate(name=one.strip()), by)
