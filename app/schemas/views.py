"""Saved views of the list of runs on the wire."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Name, Request, StoredName, Wire
from app.schemas.fields import CreatedAt, Items, ObjectId

MAX_QUERY = 8_000

QueryText = Annotated[
    str,
    Field(
        max_length=MAX_QUERY,
        pattern=r"^[^\x00-\x20\x7f?#]*$",
        examples=["status=failed&sort=-finished_at&columns=name,it_energy_kwh"],
        description="Query of the address of the runs page: filters, order, columns, groups.",
    ),
]


class ViewCreate(Request):
    """A view to save. One of the same name and place is replaced."""

    name: Name | None = Field(
        default=None,
        description=(
            "Name of the view; null to store a long link, which anybody who has it may open."
        ),
    )
    query: QueryText
    project: StoredName | None = Field(
        default=None, description="Project that shares the view; null for your own."
    )
    is_default: StrictBool = Field(
        default=False,
        description=(
            "Whether the project's runs are shown in this view by default. Requires an owner of "
            "the project."
        ),
    )

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.project is not None and self.name is None:
            raise PydanticCustomError("view_name", "a view of a project needs a name")
        if self.is_default and self.project is None:
            raise PydanticCustomError("view_default", "is_default needs a project")
        return self


class ViewRead(Wire):
    """A saved view."""

    id: ObjectId
    name: str | None = Field(description="Name of the view; null for a stored link.")
    query: QueryText
    project: str | None = Field(description="Project that shares the view; null for your own.")
    is_default: bool = Field(
        description="Whether the project's runs are shown in this view by default."
    )
    is_own: bool = Field(description="Whether you saved it.")
    created_at: CreatedAt


class ViewList(Wire):
    """Your own views, then the shared views of projects, by name."""

    items: Items[ViewRead]
