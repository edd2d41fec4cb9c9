"""Forecasts of carbon intensity, and starts chosen by them."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common import Quantity, Request, Wire
from app.schemas.fields import CreatedAt, License, ObjectId, SourceUrl
from app.schemas.sites import Zone

Signal = Literal["average", "marginal"]


class ForecastFetch(Request):
    """A zone whose forecast is to be fetched from a provider."""

    provider: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,40}$")] = Field(
        default="electricitymaps",
        description="Provider of the forecast: electricitymaps, uk-carbon-intensity or watttime.",
    )
    zone: Zone
    provider_zone: (
        Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[\w-]+$")] | None
    ) = Field(default=None, description="The provider's name of the zone, e.g. `CAISO_NORTH`.")


class ForecastHour(Wire):
    """One hour of a forecast."""

    hour: datetime = Field(description="Beginning of the hour (UTC).")
    g_per_kwh: float = Field(description="Forecast intensity, in g CO2e/kWh.")


class ForecastRead(Wire):
    """A forecast of the carbon intensity of a zone."""

    id: ObjectId
    zone: str = Field(description="Grid zone: ISO 3166 code of a country or subdivision.")
    signal: Signal = Field(
        description="`average`: what the grid emits per kWh (location-based). `marginal`: what one "
        "more kWh would add; stated beside the other and never mixed with it."
    )
    provider: str = Field(description="Provider of the forecast.")
    basis: str = Field(description="What the intensities include.")
    source: str = Field(description="Source to cite.")
    source_url: SourceUrl
    licence: License
    issued_at: datetime | None = Field(
        description="Time at which the provider issued it (UTC); null if it does not say so."
    )
    created_at: CreatedAt
    hours: list[ForecastHour] = Field(description="Hours of the forecast, in order.")


class GreenPlan(Wire):
    """The start with the lowest forecast carbon intensity.

    Forecasts have no interval: providers state no error.
    """

    within_h: float = Field(description="Longest time until the start, in hours.")
    duration_s: float = Field(description="Expected length of the run, in seconds.")
    duration_source: Literal["quote", "request", "assumed"] = Field(
        description="Origin of the length: the run's quote, the request, or one hour assumed "
        "because the quote has no duration."
    )
    earliest: datetime = Field(description="Time of a start at once (UTC).")
    start: datetime = Field(description="Chosen start (UTC).")
    at_once: Quantity = Field(description="Forecast mean intensity of a run started at once.")
    planned: Quantity = Field(description="Forecast mean intensity of a run started then.")
    saving_ratio: Quantity = Field(
        description="Expected saving of location-based emissions, as a share of those of a start "
        "at once."
    )
    marginal_at_once: Quantity = Field(
        description="Forecast marginal intensity of a run started at once."
    )
    marginal_planned: Quantity = Field(
        description="Forecast marginal intensity of a run started at the chosen time."
    )
    marginal_saving_ratio: Quantity = Field(
        description="Expected saving of marginal emissions: what the grid would emit less."
    )


class ForecastsRead(Wire):
    """The latest forecasts of a site's zone, and the greenest start by them."""

    site: str = Field(description="Name of the site.")
    zone: str | None = Field(description="Grid zone; null if the site has none.")
    average: ForecastRead | None = Field(description="The latest location-based forecast.")
    marginal: ForecastRead | None = Field(description="The latest marginal forecast.")
    greenest: GreenPlan | None = Field(
        description="The greenest start; null if no forecast covers one."
    )
    reason: str | None = Field(description="Why no start is stated; null if one is.")


class GreenStartRead(GreenPlan):
    """How the start of a run was chosen, and what that saved."""

    zone: str = Field(description="Grid zone of the pool.")
    forecast_id: uuid.UUID = Field(description="ID of the location-based forecast.")
    provider: str = Field(description="Provider of that forecast.")
    issued_at: datetime | None = Field(
        description="Time at which it was issued (UTC); null if unknown."
    )
    source: str = Field(description="Source to cite.")
    saved_kg: Quantity = Field(
        description="Location-based emissions saved against a start at once, in kg CO2e, by the "
        "recorded hours of the zone and the facility energy of the run; negative if the start was "
        "worse; null with a reason until both are known."
    )
    saved_ratio: Quantity = Field(
        description="The same as a share of the emissions of a start at once."
    )
