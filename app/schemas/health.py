from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.schemas.common import Wire


class Health(Wire):
    status: Literal["ok"]
    version: str


class Readiness(Wire):
    status: Literal["ready"]
    revision: str = Field(description="Current revision of the database schema.")
    alarms: list[str] = Field(
        default=[],
        description="What is wrong with the stored figures and needs an administrator, in words; "
        "the server works nevertheless.",
    )
