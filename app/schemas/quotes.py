from __future__ import annotations

from pydantic import ConfigDict, Field

from app.schemas.common import Request, Wire


class QuoteCreate(Request):
    """Work that was not metered: so many devices, so much power, so long."""

    # `true` is not one device.
    model_config = ConfigDict(extra="forbid", strict=True)

    devices: int = Field(ge=1, le=10**9, examples=[8])
    device_power_w: float = Field(ge=0, le=1e12, allow_inf_nan=False, examples=[300.0])
    hours: float = Field(ge=0, le=1e9, allow_inf_nan=False, examples=[84.0])
    pue: float = Field(ge=1, le=100, allow_inf_nan=False, examples=[1.58])
    grid_g_per_kwh: float = Field(ge=0, le=1e6, allow_inf_nan=False, examples=[429.0])
    price_low: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Per device-hour."
    )
    price_high: float | None = Field(
        default=None, ge=0, le=1e9, allow_inf_nan=False, description="Per device-hour."
    )
    price_devices: int | None = Field(
        default=None, ge=1, le=10**9, description="Devices that are paid for, if not `devices`."
    )
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")


class QuoteRead(Wire):
    it_energy_kwh: float
    facility_energy_kwh: float = Field(description="IT energy x PUE.")
    co2e_kg: float
    co2e_lb: float
    cost_low: float | None
    cost_high: float | None
    currency: str | None
