"""Published figures of other work on the wire: rows that a paper compares its runs with."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Currency, Name, Real, Request, Whole, Wire
from pricetag.accounting.bill.estimate import MOST_DEVICES, MOST_G_PER_KWH, MOST_HOURS, MOST_POWER_W
from pricetag.tag.research import PartName

MOST_ROWS = 100
MOST_PUE = 100.0
MOST_AMOUNT = 1e12
Count = Annotated[Whole, Field(ge=1, le=MOST_DEVICES)]
Amount = Annotated[Real | None, Field(ge=0, le=MOST_AMOUNT)]
Text = Annotated[Name | None, Field()]
PublishedName = Annotated[Name, Field(examples=["strubell2019", "patterson2021-gpt-3"])]
"""ID of a row of the catalog, or the beginning of the IDs of one publication."""


class _Row(BaseModel):
    """The fields of a row: what its source prints, and the inputs to compute it again."""

    model: Name = Field(examples=["Transformer (big)"], description="What was trained.")
    hardware: Name = Field(examples=["P100 x 8"], description="Hardware, as the source names it.")
    part: PartName | None = Field(
        default=None,
        description="The part of the work: one `model`, its `tuning`, or all `research`; null for "
        "one model without more.",
    )
    models: Count = Field(default=1, description="Number of models that were trained.")
    devices: Count = Field(default=1, description="Number of devices with `device_power_w` each.")
    device_power_w: Annotated[Real | None, Field(ge=0, le=MOST_POWER_W)] = Field(
        default=None,
        description="Mean power of one device in W; of all together if `devices` is 1. Null if "
        "the source states none: energy and emissions are then unknown, unless they are printed.",
    )
    hours: Annotated[Real, Field(gt=0, le=MOST_HOURS)] = Field(
        description="Duration in hours; hours of all devices together if `devices` is 1."
    )
    pue: Annotated[Real | None, Field(ge=1, le=MOST_PUE)] = Field(
        default=None, description="Power usage effectiveness; null if unknown."
    )
    g_per_kwh: Annotated[Real | None, Field(ge=0, le=MOST_G_PER_KWH)] = Field(
        default=None, description="Carbon intensity in g CO2e/kWh; null if unknown."
    )
    price_devices: Count | None = Field(
        default=None, description="Number of devices that are paid for; null for `devices`."
    )
    price_low: Amount = Field(default=None, description="Low price of a device-hour.")
    price_high: Amount = Field(default=None, description="High price of a device-hour.")
    electricity_price_per_kwh: Amount = Field(
        default=None, description="Price of a kWh of electricity."
    )
    facility_energy_kwh: Amount = Field(
        default=None, description="Energy with PUE in kWh as printed; null if not printed."
    )
    co2e_kg: Amount = Field(
        default=None, description="Emissions in kg CO2e as printed; null if not printed."
    )
    co2e_lb: Amount = Field(
        default=None, description="Emissions in pounds of CO2e as printed; null if not printed."
    )
    cost_low: Amount = Field(default=None, description="Low cost as printed.")
    cost_high: Amount = Field(default=None, description="High cost as printed.")
    electricity_cost: Amount = Field(default=None, description="Cost of electricity as printed.")
    source: Name = Field(
        examples=["Strubell et al. 2019: Energy and Policy Considerations for Deep Learning"],
        description="Author and title of the publication.",
    )


class PublishedEntry(_Row, Request):
    """A row that is entered by hand."""

    currency: Currency | None = Field(
        default=None, description="ISO 4217 currency of all prices and costs."
    )
    year: Annotated[Whole, Field(ge=1950, le=2200)] = Field(
        examples=[2019], description="Year of the publication, or that the figures describe."
    )
    source_url: Annotated[Name | None, Field(pattern=r"^https?://")] = Field(
        default=None, description="Address of the publication."
    )
    basis: Text = Field(default=None, description="What the figures include.")
    note: Text = Field(default=None, description="Remark on the row.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for low, high in (("price_low", "price_high"), ("cost_low", "cost_high")):
            ends = getattr(self, low), getattr(self, high)
            if (ends[0] is None) != (ends[1] is None):
                raise PydanticCustomError(
                    "published_range", "needs both {low} and {high}", {"low": low, "high": high}
                )
            if ends[0] is not None and ends[0] > ends[1]:
                raise PydanticCustomError(
                    "published_range", "{low} is above {high}", {"low": low, "high": high}
                )
        money = (self.price_low, self.cost_low, self.electricity_cost)
        if self.currency is None and any(
            amount is not None for amount in (*money, self.electricity_price_per_kwh)
        ):
            raise PydanticCustomError("published_currency", "prices and costs need a currency")
        return self


class PublishedRead(_Row, Wire):
    """A published row of a paper."""

    id: str | None = Field(description="ID in the catalog; null for a row entered by hand.")
    origin: Literal["catalog", "entered"] = Field(
        description="Where the row comes from: the `catalog`, or `entered` by hand."
    )
    currency: str | None = Field(description="ISO 4217 currency of all prices and costs.")
    year: int = Field(description="Year of the publication, or that the figures describe.")
    source_url: str | None = Field(description="Address of the publication.")
    basis: str | None = Field(description="What the figures include.")
    note: str | None = Field(description="Remark on the row.")
    licence: str | None = Field(description="License of the figures.")


PublishedNames = Annotated[list[PublishedName], Field(max_length=MOST_ROWS)]
PublishedEntries = Annotated[list[PublishedEntry], Field(max_length=MOST_ROWS)]
