"""A site's carbon intensity by hour, the lab's load over it, and what starting later saves."""

from __future__ import annotations

import uuid
from datetime import datetime

from pydantic import ConfigDict, Field

from app.schemas.carbon import HourGap
from app.schemas.common import Quantity, Wire
from app.schemas.fields import License, SourceUrl


class CarbonHourRead(Wire):
    """One hour of a site."""

    hour: datetime = Field(description="Beginning of the hour (UTC).")
    g_per_kwh: float | None = Field(
        description=(
            "Recorded intensity, in g CO2e/kWh; null in a gap, where the annual figure is used "
            "instead."
        )
    )
    it_energy_kwh: float | None = Field(
        description="IT energy metered at the site, in kWh; null where nothing was metered."
    )


class CarbonSource(Wire):
    """A series behind the recorded hours."""

    series_id: uuid.UUID = Field(description="ID of the series.")
    source: str = Field(description="Source to cite: publisher and document.")
    source_url: SourceUrl
    licence: License
    basis: str = Field(description="What the intensities include.")
    relative_std_ratio: float = Field(
        description="Relative standard error, one sigma (0.05 is 5%)."
    )
    hours: int = Field(description="Number of hours of the series in the range.")


class LaterStart(Wire):
    """What starting some hours later would have saved, over the recorded hours."""

    delay_h: int = Field(description="Delay, in hours.")
    saving_ratio: float | None = Field(
        description="Saving of all recorded starts together, as a share of their emissions without "
        "delay; negative if later is worse; null with fewer than 3."
    )
    low: float | None = Field(description="2.5% quantile over the recorded starts.")
    high: float | None = Field(description="97.5% quantile over the recorded starts.")
    starts: int = Field(description="Number of days with a recorded start.")


class CarbonHoursRead(Wire):
    """Carbon intensity of a site by hour."""

    model_config = ConfigDict(populate_by_name=True)

    site: str = Field(description="Name of the site.")
    zone: str | None = Field(description="Grid zone; null if the site has none.")
    start: datetime = Field(alias="from", description="Beginning of the first hour (UTC).")
    stop: datetime = Field(alias="to", description="End of the range, exclusive (UTC).")
    annual: Quantity = Field(
        description="The annual figure, used for hours without a recorded one."
    )
    annual_citation: str = Field(description="Source of the annual figure.")
    hours: list[CarbonHourRead] = Field(description="Every hour of the range, in order.")
    gaps: list[HourGap] = Field(description="Hours without a recorded intensity.")
    sources: list[CarbonSource] = Field(description="Series behind the recorded hours.")
    mean: Quantity = Field(description="Mean of the recorded hours.")
    load_mean: Quantity = Field(
        description="Mean of the recorded hours, weighted by the energy metered in them."
    )
    duration_h: int = Field(description="Length of the runs in `later`, in hours.")
    start_hour: int = Field(description="Hour of the day (UTC) at which they would have started.")
    later: list[LaterStart] = Field(description="What starting later would have saved on average.")
    marginal_reason: str = Field(description="Why no marginal saving is stated.")
    forecast_reason: str = Field(description="Why no forecast is used.")
