"""Users and their tokens on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Moment, Name, ProjectRole, Request, Role, StoredName, Wire


def _address(text: str) -> str:
    name, _, host = text.rpartition("@")
    if not name or not host or any(char.isspace() for char in text):
        raise PydanticCustomError(
            "email", "must be an e-mail address", {"hint": "such as ada@example.org"}
        )
    return text


Email = Annotated[Name, AfterValidator(_address)]
ROLES = (
    "ingest only posts measurements (none can be posted yet: today it can call `GET /v1/me` and "
    "nothing else); viewer reads; member also posts runs and cancels its own; "
    "admin does everything."
)


class ExternalIdentity(Request):
    """The user's identity at an identity provider (OpenID Connect)."""

    issuer: Name = Field(examples=["https://login.example.org"])
    subject: Name = Field(examples=["248289761001"])


class ExternalIdentityRead(Wire):
    """The user's identity at an identity provider, as it was entered."""

    issuer: str = Field(examples=["https://login.example.org"])
    subject: str = Field(examples=["248289761001"])


class UserCreate(Request):
    """A user to create."""

    name: Name = Field(examples=["ada"])
    email: Email | None = None
    role: Role = Field(default="member", description=ROLES)
    external_identity: ExternalIdentity | None = None


class UserChange(Request):
    """The fields to change; omitted or null fields keep their values."""

    name: Name | None = None
    email: Email | None = None
    role: Role | None = None
    external_identity: ExternalIdentity | None = None
    disabled: StrictBool | None = Field(
        default=None,
        description="Whether the user is disabled; this ends all their tokens at once.",
    )

    def given(self) -> dict[str, Any]:
        """The fields to change."""
        return {name: value for name, value in self if value is not None}


class UserRead(Wire):
    """A user."""

    id: uuid.UUID
    name: str
    email: str | None
    role: Role
    external_identity: ExternalIdentityRead | None
    created_at: datetime
    disabled_at: datetime | None


class UserPage(Wire):
    """A page of users, by name."""

    items: list[UserRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")


class MembershipRead(Wire):
    """A project of a user."""

    project: str
    role: ProjectRole


class MeToken(Wire):
    """The token of the request."""

    id: uuid.UUID
    name: str
    project: str | None = Field(description="Project that the token is limited to.")
    expires_at: datetime | None


class Me(Wire):
    """The caller."""

    user: UserRead
    role: Role = Field(description="Role of the token, at most the user's role.")
    token: MeToken
    projects: list[MembershipRead]


class MemberPut(Request):
    """A user to add to a project, or whose role to change."""

    user: StoredName = Field(description="Name or ID of the user.", examples=["ada"])
    role: ProjectRole = Field(
        default="member", description="An owner also manages members and visibility."
    )


class MemberRead(Wire):
    """A member of a project."""

    user_id: uuid.UUID
    user: str
    role: ProjectRole
    created_at: datetime


class MemberList(Wire):
    """Members of a project, by name."""

    items: list[MemberRead]


class UserTokenCreate(Request):
    """A token of the user in the path."""

    name: Name = Field(examples=["laptop"], description="Purpose of the token.")
    role: Role | None = Field(
        default=None, description="Maximum role of the token; null: the user's role."
    )
    project: StoredName | None = Field(
        default=None, validate_default=True, description="Project to limit the token to."
    )
    expires_at: Moment | None = Field(
        default=None, description="Expiry, ISO 8601 with time zone; by default none."
    )

    @field_validator("project")
    @classmethod
    def _not_of_an_admin(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("role") == "admin":
            raise PydanticCustomError(
                "scoped_admin",
                "a token that is limited to a project cannot have the role admin",
                {"hint": "member, viewer or ingest"},
            )
        return value
