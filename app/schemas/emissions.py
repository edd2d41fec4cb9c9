"""Scope 2 emissions of the lab on the wire."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from app.schemas.common import Quantity, Wire
from app.schemas.fields import Items


class EmissionFigures(Wire):
    """Energy and emissions, idle energy included."""

    it_energy_kwh: Quantity = Field(description="Energy metered on the nodes.")
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE.")
    co2e_location_kg: Quantity = Field(
        description="Location-based emissions: facility energy x intensity of the grid, in kg CO2e."
    )
    co2e_market_kg: Quantity = Field(
        description="Market-based emissions: facility energy x intensity of the site's contracts, "
        "in kg CO2e; unknown without one."
    )


class EmissionFactor(Wire):
    """A factor as it was applied to one month."""

    value: float = Field(description="Value of the factor, in `unit`.")
    unit: str = Field(description="Unit of the value.", examples=["g/kWh"])
    source: str = Field(description="Evidence: `estimated` or `assumed`.")
    citation: str = Field(description="Publisher and document.")
    basis: str | None = Field(description="What the factor includes; null if not stated.")
    licence: str | None = Field(description="License of the data; null if not stated.")


class EmissionMonth(EmissionFigures):
    """One site in one UTC month, or in the part of it that is in the range."""

    month: str = Field(description="Month (UTC).", examples=["2026-03"])
    pue: EmissionFactor = Field(description="Power usage effectiveness.")
    carbon_location: EmissionFactor = Field(description="Carbon intensity of the grid.")
    carbon_market: EmissionFactor | None = Field(
        description="Carbon intensity of the contracts; null if none is entered."
    )
    recorded_hours: int = Field(
        description=(
            "Number of hours with a recorded intensity. The month uses their mean, and the annual "
            "figure for the other hours."
        )
    )
    hours: int = Field(description="Number of hours of the month in the range.")


class EmissionSite(EmissionFigures):
    """One site over the range."""

    site: str | None = Field(description="Name of the site; null for nodes without one.")
    months: list[EmissionMonth] = Field(description="Its months, in order.")


class EmissionsRead(Wire):
    """Scope 2 emissions of all metered energy, by the GHG Protocol's two methods."""

    model_config = ConfigDict(populate_by_name=True)

    start: datetime = Field(alias="from", description="Beginning of the first hour (UTC).")
    stop: datetime = Field(alias="to", description="End of the range, exclusive (UTC).")
    total: EmissionFigures = Field(description="Sum over all sites.")
    items: Items[EmissionSite]
