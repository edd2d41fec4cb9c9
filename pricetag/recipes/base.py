"""Base of all parameter classes: strict types, and the allowed forms of text and numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import PydanticCustomError

from pricetag.one_line import hidden_in

MAX_NAME_CHARS = 200
MAX_PATH_CHARS = 1024


class Params(BaseModel):
    """A parameter class: unknown fields, wrong types and non-finite numbers are rejected.

    Types are strict (``"3"`` is not 3, ``true`` is not 1), because a misunderstood run costs
    energy before anybody notices.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, protected_namespaces=()
    )


AS_STORED = {"stored": True}
"""Context of the validation of a recipe that the service has stored."""


def _visible(text: str, info: ValidationInfo) -> str:
    # A run that an earlier version accepted keeps its names.
    if info.context is not AS_STORED and (hidden := hidden_in(text)) is not None:
        raise PydanticCustomError(
            "hidden_character",
            "contains {character}, which is invisible or changes how the name is shown; remove it",
            {"character": hidden},
        )
    return text


VISIBLE_ONLY = AfterValidator(_visible)
"""Rejects names that look like another name."""

Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_CHARS),
    VISIBLE_ONLY,
]
StoredName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_CHARS)
]
"""The name of something that exists, perhaps from a version that accepted all characters."""
HubName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True,
        max_length=MAX_NAME_CHARS,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*(/[A-Za-z0-9][A-Za-z0-9_.\-]*)?$",
    ),
]
"""``name`` or ``owner/name`` on the Hugging Face hub: never a path, a URL or a folder above."""
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME_CHARS)]
Location = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_PATH_CHARS),
    Field(description="A path under the worker's data roots."),
]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Split = Literal["train", "validation", "validation_mismatched", "test"]
MISMATCHED: Split = "validation_mismatched"
"""The second development set of MNLI, with texts of other kinds than the training data."""


def _describe_choice(schema: dict[str, Any]) -> None:
    # Each class declares its own literal of these fields, so that none can inherit a description.
    for name, text in (
        ("kind", "Kind of stage."),
        ("method", "Method of the stage kind."),
    ):
        schema["properties"].get(name, {}).setdefault("description", text)


class StageParams(Params):
    """One stage of a run, with its own price."""

    model_config = ConfigDict(json_schema_extra=_describe_choice)

    kind: str
    name: Name | None = Field(None, description="Name of the stage, shown beside its price.")

    @classmethod
    def stage_kind(cls) -> str:
        """Kind of these stages: ``kind``, or ``kind-method`` where the method must be named."""
        kind = str(cls.model_fields["kind"].default)
        method = cls.model_fields.get("method")
        if method is None or not method.is_required():
            return kind
        return f"{kind}-{get_args(method.annotation)[0]}"
