from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.schemas.common import Currency, Request, Unit, Wire
from app.schemas.fields import CreatedAt, Items

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
    description: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="Description of the site."
    )
    grid_zone: Zone | None = Field(
        default=None,
        description="Grid zone of the site: a country (`DE`) or a region of one (`US-CA`), ISO "
        "3166.",
    )
    time_zone: TimeZone = "UTC"
    currency: Currency = "USD"


class SiteUpdate(Request):
    """The fields to change; omitted fields keep their values."""

    description: Annotated[str, Field(max_length=2000)] = Field(
        default="", description="New description of the site."
    )
    grid_zone: Zone | None = Field(
        default=None,
        description="Grid zone of the site: a country (`DE`) or a region of one (`US-CA`), ISO "
        "3166.",
    )
    time_zone: TimeZone = "UTC"
    currency: Currency = "USD"


class SiteRead(Wire):
    """A site: where nodes are."""

    name: str = Field(description="Name of the site.")
    description: str = Field(description="Human-readable description.")
    grid_zone: str | None = Field(
        description="Grid zone of the site: a country (`DE`) or a region of one (`US-CA`), ISO "
        "3166."
    )
    time_zone: str = Field(description="IANA time zone, e.g. `Europe/Berlin`.")
    currency: str = Field(description="ISO 4217 code of the currency.")
    created_at: CreatedAt


class SiteList(Wire):
    """Sites, by name."""

    items: Items[SiteRead]


class FactorNow(Wire):
    """A factor that applies now, with its origin."""

    kind: str = Field(
        examples=["pue"],
        description="Kind of factor, e.g. `pue`; docs/how-to/factors.md lists all kinds.",
    )
    subject: str = Field(description="Device, hardware or zone of the factor; empty for none.")
    value: float = Field(description="Value of the factor, in `unit`.")
    unit: Unit
    relative_std_ratio: float = Field(
        description="Relative standard error, one sigma (0.05 is 5%)."
    )
    multiplicative: bool = Field(
        description="Whether the error is a factor: times or divided by 1 + ratio."
    )
    evidence: str = Field(
        description="Kind of evidence; `assumed` for defaults that nobody entered."
    )
    source: str = Field(description="Source to cite: publisher and document.")
    source_url: str | None = Field(description="Web address of the source.")
    year: int | None = Field(description="Year that the figure describes; null if unknown.")
    basis: str | None = Field(
        description="What the figure includes, e.g. `lifecycle, location-based, annual mean`."
    )
    zone: str | None = Field(
        description="Grid zone: ISO 3166 code of a country or subdivision; null if none applies."
    )
    licence: str | None = Field(description="License of the figure.")
    origin: str = Field(description="Origin of the factor: site, lab, settings or catalog.")
    valid_from: datetime | None = Field(description="Start of validity (UTC).")
    valid_to: datetime | None = Field(
        description="End of validity, exclusive (UTC); null if it has none."
    )
    entered_at: datetime | None = Field(
        description="Time at which the factor was entered (UTC); null for defaults."
    )
    by_the_hour: bool = Field(description="Whether this hour has an hourly value.")


class SiteFactors(SiteRead):
    """A site with the factors that apply there."""

    at: datetime = Field(description="Time for which the factors apply (UTC).")
    factors: list[FactorNow] = Field(description="Factors that apply, each with its source.")
    unknown: dict[str, str] = Field(description="Unknown factors, each with the reason.")
