from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.schemas.common import Currency, Request, Wire

Zone = Annotated[
    str,
    Field(
        min_length=2,
        max_length=40,
        description="Grid zone of the catalog: ISO 3166 code of a country or subdivision.",
        examples=["DE", "US-CA"],
    ),
]
TimeZone = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        description="IANA time zone; periods of time-of-use tariffs are in its local time.",
        examples=["Europe/Berlin"],
    ),
]
SiteName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=["berlin"])]


class SiteCreate(Request):
    """A site to create."""

    name: SiteName = Field(description="Name of the site, as in `PRICETAG_SITE` of its workers.")
    description: Annotated[str, Field(max_length=2000)] = ""
    grid_zone: Zone | None = None
    time_zone: TimeZone = "UTC"
    currency: Currency = "USD"


class SiteUpdate(Request):
    """The fields to change; omitted fields keep their values."""

    description: Annotated[str, Field(max_length=2000)] = ""
    grid_zone: Zone | None = None
    time_zone: TimeZone = "UTC"
    currency: Currency = "USD"


class SiteRead(Wire):
    """A site: where nodes are."""

    name: str
    description: str
    grid_zone: str | None
    time_zone: str
    currency: str
    created_at: datetime


class SiteList(Wire):
    """Sites, by name."""

    items: list[SiteRead]


class FactorNow(Wire):
    """A factor that applies now, with its origin."""

    kind: str = Field(examples=["pue"])
    subject: str = Field(description="Device, hardware or zone of the factor; empty for none.")
    value: float
    unit: str
    relative_std_ratio: float
    multiplicative: bool
    evidence: str = Field(
        description="Kind of evidence; `assumed` for defaults that nobody entered."
    )
    source: str
    source_url: str | None
    year: int | None
    basis: str | None
    zone: str | None
    licence: str | None
    origin: str = Field(description="Origin of the factor: site, lab, settings or catalog.")
    valid_from: datetime | None
    valid_to: datetime | None
    entered_at: datetime | None
    by_the_hour: bool = Field(description="Whether this hour has an hourly value.")


class SiteFactors(SiteRead):
    """A site with the factors that apply there."""

    at: datetime
    factors: list[FactorNow]
    unknown: dict[str, str] = Field(description="Unknown factors, each with the reason.")
