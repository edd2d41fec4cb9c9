from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.schemas.common import Moment, Request, Wire
from app.schemas.factors import Cited, Text
from app.schemas.sites import Zone


class CarbonImport(Cited):
    """A whole file: either all of its hours are taken, or none."""

    zone: Zone
    basis: Text = Field(
        description="What the figures count; location-based means only.",
        examples=["lifecycle, consumption"],
    )
    relative_std_ratio: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = Field(
        default=0.1, description="Relative error of an hour, one sigma."
    )
    content: Annotated[str, Field(max_length=5_000_000)] = Field(
        description="CSV with the head line `hour,g_per_kwh`; each hour with its offset from UTC.",
        examples=["hour,g_per_kwh\n2026-03-01T12:00Z,231.5\n"],
    )


class CarbonFetch(Request):
    """Hours to be fetched from a provider that the server has been given access to."""

    provider: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = "electricitymaps"
    zone: Zone
    provider_zone: (
        Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[\w-]+$")] | None
    ) = Field(default=None, description="The provider's own name of it, such as `US-CAL-CISO`.")
    start: Moment
    end: Moment = Field(description="Exclusive.")


class HourGap(Wire):
    first: datetime
    hours: int


class CarbonSeriesRead(Wire):
    id: uuid.UUID
    zone: str
    basis: str
    source: str
    source_url: str
    licence: str
    relative_std_ratio: float
    content_sha256: str
    hours: int
    first: datetime
    last: datetime = Field(description="Beginning of the last hour.")
    created_at: datetime


class CarbonImported(CarbonSeriesRead):
    gaps: list[HourGap] = Field(description="Hours that are missing within it.")


class CarbonSeriesPage(Wire):
    items: list[CarbonSeriesRead]
    next_cursor: str | None
