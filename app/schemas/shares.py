"""Share links on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Request, Wire
from app.schemas.fields import CreatedAt, Items, NextCursor, ObjectId

ShareKind = Literal["paper", "report", "run"]
LONGEST_DAYS = 3650
USUAL_DAYS = 90


class ShareCreate(Request):
    """A link that shows a paper, a report or a run to anybody who has it."""

    paper: uuid.UUID | None = Field(
        default=None, description="ID of the paper to share: its newest report."
    )
    report: uuid.UUID | None = Field(default=None, description="ID of the report to share.")
    run: uuid.UUID | None = Field(
        default=None, description="ID of the run to share: its newest price tag."
    )
    anonymous: bool = Field(
        default=False,
        strict=True,
        description="Whether to show the variant for blind review, in which only figures, "
        "hardware, regions of factors and Pricetag's own words stay.",
    )
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = Field(
        default=USUAL_DAYS,
        strict=True,
        description="Number of days after which the link no longer works.",
    )

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        if sum(each is not None for each in (self.paper, self.report, self.run)) != 1:
            raise PydanticCustomError("share_target", "needs one of paper, report and run")
        return self

    @property
    def target(self) -> tuple[ShareKind, uuid.UUID]:
        """What is to be shared, and its ID."""
        kinds: tuple[ShareKind, ...] = ("paper", "report", "run")
        return next((kind, id_) for kind in kinds if (id_ := getattr(self, kind)) is not None)


class ShareRead(Wire):
    """A share link without its secret."""

    id: ObjectId
    kind: ShareKind = Field(description="What the link shows.")
    target_id: uuid.UUID | None = Field(
        description="ID of the paper, report or run; null if the paper was deleted."
    )
    title: str = Field(description="Its title or name when the link was created.")
    anonymous: bool = Field(description="Whether it shows the variant for blind review.")
    user_id: uuid.UUID = Field(description="ID of the user who created the link.")
    user: str = Field(description="Name of that user.")
    created_at: CreatedAt
    expires_at: datetime = Field(description="Time after which the link no longer works (UTC).")
    withdrawn_at: datetime | None = Field(
        description="Time at which the link was withdrawn (UTC); null if it was not."
    )
    in_force: bool = Field(
        description="Whether it works: it is neither expired nor withdrawn, and its user is not "
        "disabled and may still see what it shows."
    )
    use_count: int = Field(description="Number of times that the page or a file was opened.")
    last_used_at: datetime | None = Field(description="Time of the latest use (UTC).")
    content_sha256: str = Field(description="Hash of the data that the link shows.")


class ShareCreated(ShareRead):
    """A new share link with its secret."""

    secret: str = Field(description="Secret of the link, shown only once: its SHA-256 is stored.")
    path: str = Field(description="Path of the page that the link opens.")


class SharePage(Wire):
    """A page of share links, newest first."""

    items: Items[ShareRead]
    next_cursor: NextCursor
