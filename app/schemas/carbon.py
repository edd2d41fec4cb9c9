from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.schemas.common import Moment, Real, Request, Wire
from app.schemas.factors import Cited, Text
from app.schemas.fields import CreatedAt, Items, License, NextCursor, ObjectId, SourceUrl
from app.schemas.sites import Zone


class CarbonImport(Cited):
    """A file of hourly carbon intensities: all hours are imported, or none."""

    zone: Zone
    basis: Text = Field(
        description="What the intensities include; location-based averages only.",
        examples=["lifecycle, consumption"],
    )
    relative_std_ratio: Annotated[Real, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=0.1, description="Relative error of an hourly value, one sigma."
    )
    content: Annotated[str, Field(max_length=5_000_000)] = Field(
        description="CSV with the header line `hour,g_per_kwh`; hours with their offset from UTC.",
        examples=["hour,g_per_kwh\n2026-03-01T12:00Z,231.5\n"],
    )


class CarbonFetch(Request):
    """Hours to fetch from a provider for which the server has a token."""

    provider: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = Field(
        default="electricitymaps",
        description="Provider of the data.",
    )
    zone: Zone
    provider_zone: (
        Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[\w-]+$")] | None
    ) = Field(default=None, description="The provider's name of the zone, e.g. `US-CAL-CISO`.")
    start: Moment = Field(description="First hour (ISO 8601 with time zone).")
    end: Moment = Field(description="End of the hours, exclusive (ISO 8601 with time zone).")


class HourGap(Wire):
    """Consecutive missing hours."""

    first: datetime = Field(description="First missing hour (UTC).")
    hours: int = Field(description="Number of missing hours.")


class CarbonSeriesRead(Wire):
    """A series of hourly carbon intensities of one zone, without its values."""

    id: ObjectId
    zone: str = Field(description="Grid zone: ISO 3166 code of a country or subdivision.")
    basis: str = Field(
        description="What the figure includes, e.g. `lifecycle, location-based, annual mean`."
    )
    source: str = Field(description="Source to cite: publisher and document.")
    source_url: SourceUrl
    licence: License
    relative_std_ratio: float = Field(
        description="Relative standard error, one sigma (0.05 is 5%)."
    )
    content_sha256: str = Field(description="SHA-256 of the content.")
    hours: int = Field(description="Number of hours.")
    first: datetime = Field(description="Beginning of the first hour (UTC).")
    last: datetime = Field(description="Beginning of the last hour.")
    created_at: CreatedAt


class CarbonImported(CarbonSeriesRead):
    """The stored series, with the gaps in it."""

    gaps: list[HourGap] = Field(description="Missing hours within the series.")


class CarbonSeriesPage(Wire):
    """A page of series, newest first."""

    items: Items[CarbonSeriesRead]
    next_cursor: NextCursor
