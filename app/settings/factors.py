"""Factors of the site without entries of its own, and providers of carbon intensities."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

from pricetag.catalog import currency_codes, grid_factor


class FactorSettings(BaseSettings):
    """PUE, carbon intensity, tariff, and providers."""

    pue: Annotated[
        float | None,
        Field(
            ge=1.0,
            le=10.0,
            description="Power usage effectiveness of the site. Default: 1.54, marked `assumed`.",
        ),
    ] = None
    grid_zone: Annotated[
        str | None,
        Field(
            description="Electricity of the site, by ISO country code. Default: the world's "
            "mean, marked `assumed`."
        ),
    ] = None
    grid_g_per_kwh: Annotated[
        float | None,
        Field(
            ge=0.0,
            le=5000.0,
            description="The site's own carbon intensity (g CO2e/kWh), instead of a zone.",
        ),
    ] = None
    grid_year: Annotated[
        int | None,
        Field(ge=1990, le=2100, description="Year of the site's own carbon intensity."),
    ] = None
    grid_source: Annotated[
        str | None, Field(description="Source of the site's own carbon intensity.")
    ] = None
    electricity_per_kwh: Annotated[
        Decimal | None, Field(ge=0, description="Electricity tariff per kWh, in the currency.")
    ] = None
    currency: Annotated[
        str, Field(pattern=r"^[A-Z]{3}$", description="Currency of the tariff (ISO 4217).")
    ] = "USD"
    electricity_maps_token: Annotated[
        SecretStr | None,
        Field(
            description="Electricity Maps token for `pricetag carbon fetch`. Default: the "
            "provider is off."
        ),
    ] = None
    electricity_maps_url: Annotated[
        str, Field(pattern=r"^https?://", description="Address of the Electricity Maps API.")
    ] = "https://api.electricitymaps.com/v3"
    uk_carbon_intensity_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="Address of Great Britain's Carbon Intensity API for forecasts, e.g. "
            "`https://api.carbonintensity.org.uk`; it needs no account. Default: the provider is "
            "off.",
        ),
    ] = None
    watttime_user: Annotated[
        str | None,
        Field(
            description="WattTime account for forecasts of marginal intensities. Default: the "
            "provider is off."
        ),
    ] = None
    watttime_password: Annotated[
        SecretStr | None, Field(description="Password of the WattTime account.")
    ] = None
    watttime_url: Annotated[
        str, Field(pattern=r"^https?://", description="Address of the WattTime API.")
    ] = "https://api.watttime.org"

    @field_validator("currency")
    @classmethod
    def _currency_in_use(cls, value: str) -> str:
        if value not in currency_codes():
            raise ValueError("must be the ISO 4217 code of a currency in use, such as EUR")
        return value

    @field_validator("grid_zone")
    @classmethod
    def _zone_in_catalog(cls, value: str | None) -> str | None:
        return None if value is None else grid_factor(value).zone

    @model_validator(mode="after")
    def _one_grid(self) -> Self:
        if self.grid_zone is not None and self.grid_g_per_kwh is not None:
            raise ValueError("set grid_zone or grid_g_per_kwh, not both")
        if self.grid_g_per_kwh is None and (self.grid_year or self.grid_source):
            raise ValueError("grid_year and grid_source describe grid_g_per_kwh: set that too")
        return self
