from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, StrictBool, StringConstraints

from app.schemas.common import (
    ONE_LINE,
    PLAIN_NUMBER,
    VISIBLE_ONLY,
    Moment,
    Real,
    Request,
    Unit,
    Whole,
    Wire,
)
from app.schemas.fields import Items, License, NextCursor, ObjectId, SourceUrl
from pricetag.accounting.bill.factor_kinds import FactorKind
from pricetag.accounting.quantity.quantity import Source

Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    Field(json_schema_extra=ONE_LINE),
    VISIBLE_ONLY,
]
"""One non-empty line: surrounding blanks are stripped, blank text is rejected."""
Url = Annotated[str, Field(max_length=500, pattern=r"^(https?://[^\s]+)?$")]
Year = Annotated[Whole, Field(ge=1990, le=2100)]


class Cited(Request):
    """The source of a figure."""

    source: Text = Field(
        description="Source to cite: publisher and document.", examples=["meter of hall 2"]
    )
    source_url: Url = Field(default="", description="Web address of the source.")
    licence: Text = Field(
        description="License of the figure.", examples=["the lab's own figure", "CC BY 4.0"]
    )


class FactorCreate(Cited):
    """One factor; the table in docs/how-to/factors.md has the range and unit of each kind."""

    kind: FactorKind = Field(
        description="Kind of factor, e.g. `pue`; docs/how-to/factors.md lists all kinds."
    )
    subject: Annotated[str, Field(max_length=200), VISIBLE_ONLY] = Field(
        default="",
        description="UUID of the device (calibration), product name or `server` (embodied), "
        "zone (the lab's own carbon_location or water_intensity); empty otherwise.",
    )
    value: Annotated[Decimal, Field(ge=0, le=10**9), PLAIN_NUMBER] | None = Field(
        default=None,
        description="Value of the factor; omit it for a tariff with only `details.periods`.",
    )
    unit: Annotated[str, Field(max_length=40)] | None = Field(
        default=None,
        description="Unit of the kind, which is the default; other units are rejected.",
    )
    relative_std_ratio: Annotated[Real, Field(ge=0, le=10, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Relative error, one sigma: a ratio, e.g. 0.05 for 5%; default of the kind if "
        "omitted. Above 1 only where `multiplicative` is true.",
    )
    multiplicative: StrictBool | None = Field(
        default=None, description="Whether the error is a factor: times or divided by 1 + ratio."
    )
    evidence: Source = Field(
        default="estimated",
        description="How the figure was obtained, from the strongest evidence to the weakest: "
        "`counter`, `integrated`, `modelled`, `estimated` or `assumed`.",
    )
    year: Year = Field(description="Year that the figure describes; not in the future.")
    basis: Text = Field(
        description="What the figure includes.", examples=["annual mean, by the meter"]
    )
    details: dict[str, Any] | None = Field(
        default=None,
        description="tariff: `periods`, each `{days, from, to, price}`; embodied: `lifetime_h`, "
        "`utilisation_ratio`, `accelerators_per_server`.",
    )
    valid_from: Moment | None = Field(
        default=None,
        description="Start of validity; now by default. At most a day ahead, except for tariffs.",
    )
    valid_to: Moment | None = Field(
        default=None, description="End of validity, exclusive; none by default."
    )


class FactorRead(Wire):
    """A factor as it was entered."""

    id: ObjectId
    site: str | None = Field(description="Name of the site; null for a factor of the lab.")
    kind: str = Field(
        description="Kind of factor, e.g. `pue`; docs/how-to/factors.md lists all kinds."
    )
    subject: str = Field(
        description="What the factor applies to: device UUID, product name or grid zone; empty for "
        "all."
    )
    value: str = Field(
        description="Value of the factor, a decimal number in `unit`.", examples=["1.12"]
    )
    unit: Unit
    relative_std_ratio: float = Field(
        description="Relative standard error, one sigma (0.05 is 5%)."
    )
    multiplicative: bool = Field(
        description="Whether the error is a factor: times or divided by 1 + ratio."
    )
    evidence: str = Field(
        description="How the figure was obtained, from the strongest evidence to the weakest: "
        "`counter`, `integrated`, `modelled`, `estimated` or `assumed`."
    )
    source: str = Field(description="Source to cite: publisher and document.")
    source_url: SourceUrl
    year: int = Field(description="Year that the figure describes.")
    basis: str = Field(
        description="What the figure includes, e.g. `lifecycle, location-based, annual mean`."
    )
    licence: License
    details: dict[str, Any] | None = Field(
        description="Further values of the kind, e.g. the `periods` of a tariff; null without any."
    )
    valid_from: datetime = Field(description="Start of validity (UTC).")
    valid_to: datetime | None = Field(
        description="End of validity, exclusive (UTC); null if it has none."
    )
    created_at: datetime = Field(description="Time of entry.")
    planned: bool = Field(
        description="Whether it applies only in the future, from `valid_from` on."
    )


class FactorEntered(FactorRead):
    """A factor that was just entered, with warnings."""

    warnings: list[str] = Field(description="Warnings about possible mistakes.")


class FactorPage(Wire):
    """A page of factors, newest first."""

    items: Items[FactorRead]
    next_cursor: NextCursor
