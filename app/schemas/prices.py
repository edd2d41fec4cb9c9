from __future__ import annotations

import uuid
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from app.schemas.common import (
    ONE_LINE,
    PLAIN_NUMBER,
    VISIBLE_ONLY,
    Currency,
    Moment,
    Request,
    Wire,
)
from app.schemas.factors import Cited
from app.schemas.fields import Items, License, NextCursor, ObjectId, SourceUrl

PriceKind = Literal["on_demand", "spot", "reserved", "internal"]
Amount = Annotated[
    Decimal,
    Field(ge=0, le=10**9, max_digits=30, decimal_places=15, examples=["3.35"]),
    PLAIN_NUMBER,
]
Word = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Field(json_schema_extra=ONE_LINE),
    VISIBLE_ONLY,
]


class Ownership(Request):
    """Cost of an hour of owned hardware: capex divided by the hours in use."""

    capex: Amount = Field(description="Purchase price per accelerator, in the price's currency.")
    lifetime_h: Annotated[Decimal, Field(gt=0, le=10**7), PLAIN_NUMBER] = Field(
        examples=[35040], description="Service life of the hardware (hours)."
    )
    utilisation_ratio: Annotated[Decimal, Field(gt=0, le=1), PLAIN_NUMBER] = Field(
        examples=["0.7"], description="Share of the service life in use (0.7 is 70%)."
    )


class PriceCreate(Cited):
    """A row of the price book; it never changes, but a later row can follow or correct it."""

    price_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = Field(
        description="ID of the price; rows with the same ID follow one another in time.",
        examples=["cloud-h100-spot"],
    )
    provider: Word = Field(description="Cloud or lab that offers the price.")
    region: Annotated[str, Field(max_length=100), VISIBLE_ONLY] = Field(
        default="", description="Provider's region, e.g. `eu-west-1`; empty without one."
    )
    accelerator: Word = Field(description="A word of the device's product name.", examples=["H100"])
    unit: Literal["device_hour"] = Field(
        default="device_hour", description="Unit of the amount: an hour of one device."
    )
    amount: Amount | None = Field(
        default=None, description="Price per unit; omitted for owned hardware."
    )
    currency: Currency
    kind: PriceKind = Field(
        description="`on_demand`, `spot`, `reserved` or `internal` (hardware that the lab owns)."
    )
    ownership: Ownership | None = Field(
        default=None, description="Only for `internal` prices: the amount is derived from it."
    )
    valid_from: Moment = Field(description="Start of validity (ISO 8601 with time zone).")
    valid_to: Moment | None = Field(
        default=None, description="End, exclusive; by default when the next row with its ID begins."
    )
    replaces: uuid.UUID | None = Field(
        default=None,
        description="Row with the same ID to correct; it is kept, but no longer used.",
    )


class PriceImport(Request):
    """A file of prices: all rows are imported, or none."""

    format: Literal["csv", "yaml"] = Field(description="Format of the file.")
    content: Annotated[str, Field(max_length=1_000_000)] = Field(description="Content of the file.")


class PriceRead(Wire):
    """A row of the price book."""

    id: ObjectId
    price_id: str = Field(
        description="ID of the price; rows with the same ID follow one another in time."
    )
    provider: str = Field(description="Cloud or lab that offers the price.")
    region: str = Field(description="Provider's region, e.g. `eu-west-1`; empty without one.")
    accelerator: str = Field(
        description="Word of the accelerator's product name by which devices get this price."
    )
    unit: str = Field(description="Unit of the amount: `device_hour`.")
    amount: str = Field(
        description="Price per device-hour, a decimal number in `currency`.", examples=["3.35"]
    )
    currency: str = Field(description="ISO 4217 code of the currency.")
    kind: str = Field(
        description="`on_demand`, `spot`, `reserved` or `internal` (hardware that the lab owns)."
    )
    source: str = Field(description="Source to cite: publisher and document.")
    source_url: SourceUrl
    licence: License
    details: dict[str, Any] | None = Field(description="Ownership, and the row that it replaces.")
    valid_from: datetime = Field(description="Start of validity (UTC).")
    valid_to: datetime | None = Field(
        description="End of validity, exclusive (UTC); null if it has none."
    )
    created_at: datetime = Field(description="Time of entry.")
    replaced: bool = Field(description="Whether a later row corrects it.")
    holds_until: datetime | None = Field(
        description="`valid_to`, else the beginning of the next row with its ID; null without "
        "either, and for replaced rows."
    )
    planned: bool = Field(
        description="Whether it applies only in the future, from `valid_from` on."
    )


class PriceEntered(PriceRead):
    """A price that was just entered, with warnings."""

    warnings: list[str] = Field(description="Warnings about possible mistakes.")


class PricePage(Wire):
    """A page of the price book, newest first."""

    items: Items[PriceRead]
    next_cursor: NextCursor


class PricesImported(Wire):
    """The rows of an imported file."""

    items: Items[PriceEntered]
