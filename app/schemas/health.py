from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.schemas.common import Wire


class Health(Wire):
    """The server is alive."""

    status: Literal["ok"] = Field(description="`ok` while the server runs.")
    version: str = Field(description="Version of Pricetag.")


class Readiness(Wire):
    """The server can serve requests."""

    status: Literal["ready"] = Field(description="`ready` when the server can serve requests.")
    revision: str = Field(description="Current revision of the database schema.")
    alarms: list[str] = Field(
        default=[],
        description="Problems with the stored figures that an administrator should solve; the "
        "server works nevertheless.",
    )
    notices: list[str] = Field(
        default=[],
        description="Work in the background that makes some requests slow until it is done, as "
        "after an upgrade; nobody needs to do anything.",
    )
