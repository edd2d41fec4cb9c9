"""Shared wire types: the strict base, problems, quantities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
)
from pydantic_core import PydanticCustomError

from pricetag.catalog import currency_codes
from pricetag.field_messages import quotes_hint
from pricetag.one_line import VISIBLE, hidden_in

STORED_PATTERN = r"^[^\x00-\x1f\x7f]+$"

StoredName = Annotated[str, Field(min_length=1, max_length=200, pattern=STORED_PATTERN)]
"""A name to look up: names stored by earlier versions may have invisible characters."""


def visible(name: str) -> str:
    """A name in which every character can be seen.

    Raises:
        PydanticCustomError: If one is invisible or reorders the text around it.
    """
    if (hidden := hidden_in(name)) is not None:
        raise PydanticCustomError(
            "hidden_character",
            "contains {character}, which is invisible or changes how the name is shown",
            {"character": hidden, "hint": "remove it"},
        )
    return name


ONE_LINE = {"pattern": f"^{VISIBLE}+$"}
VISIBLE_ONLY = AfterValidator(visible)

Name = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=ONE_LINE), VISIBLE_ONLY]
"""A human-readable name: one line, without invisible characters."""

ENCODED_SLASH = "\x1f"
"""Stands for a slash within a segment of a path; no name may have this character."""


def _with_slashes(segment: object) -> object:
    return segment.replace(ENCODED_SLASH, "/") if isinstance(segment, str) else segment


PathName = Annotated[StoredName, BeforeValidator(_with_slashes)]
"""A name in a path; an encoded slash (`%2F`) belongs to it."""

_ISO_8601 = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}")
# In a query, a plus sign that is not encoded as %2B arrives as a space.
_LOST_PLUS = re.compile(r"^((?::\d{2}(?:\.\d+)?)?) (\d{2}:?\d{2})$")


def _iso_8601(value: object) -> object:
    # By default pydantic reads "5" as five seconds after the epoch.
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and _ISO_8601.match(value):
        return value[:16] + _LOST_PLUS.sub(r"\1+\2", value[16:])
    raise PydanticCustomError(
        "iso_8601", "must be an ISO 8601 time with its time zone, e.g. 2026-03-01T12:00:00Z"
    )


def _within_years(value: datetime) -> datetime:
    # 9999-12-31T23:59-14:00 is in the year 10000 of UTC, which Python cannot read back.
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("year", "must be in the years 1 to 9999 in UTC") from None
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_iso_8601), AfterValidator(_within_years)]
"""A time with its time zone, as text."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def is_plain_number(text: str) -> bool:
    """Whether a text is a number in ASCII digits; ``float`` also accepts ``1_0`` and Unicode."""
    return _NUMBER.fullmatch(text) is not None


def _plain_number(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "must be a number")
    if isinstance(value, str) and not is_plain_number(value.strip()):
        raise PydanticCustomError(
            "number",
            "must be a number in the digits 0 to 9, with a decimal point",
            {"hint": "e.g. 3.35"},
        )
    return value


PLAIN_NUMBER = BeforeValidator(_plain_number)
"""Validator of a number that may arrive as text."""


Whole = Annotated[int, Strict()]
"""A whole number of a JSON body: not ``true``, ``1.0`` or ``"1"``, which mean something else."""

Real = Annotated[float, Strict()]
"""A number of a JSON body: neither ``true`` nor ``"1"``."""


def hint_of(error: Mapping[str, Any]) -> str | None:
    """A hint about valid values, if the error provides one.

    Args:
        error: An error of pydantic.
    """
    context: Mapping[str, Any] = error.get("ctx") or {}
    if "hint" in context:
        return str(context["hint"])
    if error.get("type") == "extra_forbidden":
        return "remove it, or check its spelling"
    return quotes_hint(error)


def known_currency(code: str) -> str:
    """A currency code that is in use.

    Raises:
        PydanticCustomError: If the code is unknown.
    """
    if code not in currency_codes():
        raise PydanticCustomError(
            "currency",
            "{code} is not the ISO 4217 code of a currency in use",
            {"code": code, "hint": "e.g. EUR or USD"},
        )
    return code


Currency = Annotated[
    str,
    Field(pattern=r"^[A-Z]{3}$", description="ISO 4217 currency code.", examples=["EUR"]),
    AfterValidator(known_currency),
]
"""A currency in use."""

Role = Literal["ingest", "viewer", "member", "admin"]
ProjectRole = Literal["member", "owner"]
Visibility = Literal["open", "private"]
RunStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
RunOrigin = Literal["queue", "local", "slurm", "codecarbon", "import"]
AttemptStatus = Literal["running", "succeeded", "failed", "cancelled", "interrupted", "lost"]


Unit = Annotated[
    str,
    Field(
        description="Unit of the value, e.g. `kWh`, `kg`, `s`, `1` (a ratio) or an ISO 4217 "
        "currency."
    ),
]


class Request(BaseModel):
    """A request body: an unknown field is rejected by name."""

    model_config = ConfigDict(extra="forbid")


class Wire(BaseModel):
    """A response body."""

    model_config = ConfigDict(from_attributes=True)


class FieldProblem(Wire):
    """One invalid field."""

    field: str | None = Field(description="Path of the field, e.g. `recipe.stages.0.kind`.")
    message: str = Field(description="Error of the field.")
    hint: str | None = Field(default=None, description="Hint about valid values.")


class Problem(Wire):
    """An error according to RFC 9457 (`application/problem+json`)."""

    type: str = Field(
        examples=["urn:pricetag:problem:run-not-found"], description="URN of this kind of error."
    )
    title: str = Field(examples=["Run not found"], description="The error code in words.")
    status: int = Field(examples=[404], ge=400, le=599, description="HTTP status of the response.")
    detail: str = Field(
        examples=["Run 6f0c... not found: it does not exist or is hidden from you."],
        description="Human-readable message: the problem, and what to do.",
    )
    code: str = Field(examples=["run-not-found"], description="Stable error code for programs.")
    errors: list[FieldProblem] = Field(default_factory=list, description="Every invalid field.")


class Reason(Wire):
    """The reason for a status."""

    model_config = ConfigDict(extra="allow", from_attributes=True)

    code: str = Field(
        description="Stable code for programs, e.g. `disk-full`; docs/reference/api.md lists all "
        "codes."
    )
    message: str = Field(description="The reason in words.")
    field: str | None = Field(
        default=None,
        description="Path of the invalid field, e.g. `recipe.stages.0.kind`; null if none applies.",
    )


class Quantity(Wire):
    """A value with its 95% interval and its weakest evidence."""

    model_config = ConfigDict(extra="allow", from_attributes=True)

    value: float | None = Field(description="The value; null if unknown, with a `reason`.")
    low: float | None = Field(description="Lower end of the 95% interval; null if unknown.")
    high: float | None = Field(description="Upper end of the 95% interval; null if unknown.")
    unit: Unit
    source: Literal["counter", "integrated", "modelled", "estimated", "assumed"] | None = Field(
        description="Weakest evidence behind the value, from the strongest kind to the weakest: "
        "`counter`, `integrated`, `modelled`, `estimated` or `assumed`; null if unknown."
    )
    reason: str | None = Field(
        default=None, description="Reason why the value is unknown; null if it is known."
    )
