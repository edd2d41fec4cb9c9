"""Users and their tokens on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from app.schemas.common import Moment, Name, ProjectRole, Request, Role, StoredName, Wire
from app.schemas.fields import CreatedAt, Items, ObjectId, ProjectName


def _address(text: str) -> str:
    name, _, host = text.rpartition("@")
    if not name or not host or any(char.isspace() for char in text):
        raise PydanticCustomError(
            "email", "must be an e-mail address", {"hint": "such as ada@example.org"}
        )
    return text


Email = Annotated[Name, AfterValidator(_address)]
ROLES = (
    "ingest only sends measurements (`/v1/intake` and `GET /v1/me`, and nothing else); "
    "viewer reads; member also submits runs and cancels its own; admin does everything."
)


class ExternalIdentity(Request):
    """The user's identity at an identity provider (OpenID Connect)."""

    issuer: Name = Field(
        examples=["https://login.example.org"],
        description="Address (`iss`) of the OpenID Connect provider.",
    )
    subject: Name = Field(
        examples=["248289761001"], description="The user's stable ID (`sub`) at the provider."
    )


class ExternalIdentityRead(Wire):
    """The user's identity at an identity provider, as it was entered."""

    issuer: str = Field(
        examples=["https://login.example.org"],
        description="Address (`iss`) of the OpenID Connect provider.",
    )
    subject: str = Field(
        examples=["248289761001"], description="The user's stable ID (`sub`) at the provider."
    )


class UserCreate(Request):
    """A user to create."""

    name: Name = Field(examples=["ada"], description="Name of the user.")
    email: Email | None = Field(default=None, description="E-mail address; null if unknown.")
    role: Role = Field(default="member", description=ROLES)
    external_identity: ExternalIdentity | None = Field(
        default=None, description="The user's identity at an identity provider; null without one."
    )


class UserChange(Request):
    """The fields to change; omitted or null fields keep their values."""

    name: Name | None = Field(default=None, description="New name of the user.")
    email: Email | None = Field(default=None, description="New e-mail address.")
    role: Role | None = Field(
        default=None, description="New role, which limits all tokens of the user."
    )
    external_identity: ExternalIdentity | None = Field(
        default=None, description="New identity at an identity provider."
    )
    disabled: StrictBool | None = Field(
        default=None,
        description="Whether the user is disabled; this ends all their tokens at once.",
    )

    def given(self) -> dict[str, Any]:
        """The fields to change."""
        return {name: value for name, value in self if value is not None}


class UserRead(Wire):
    """A user."""

    id: ObjectId
    name: str = Field(description="Name of the user.")
    email: str | None = Field(description="E-mail address; null if unknown.")
    role: Role = Field(
        description="Role: `viewer` reads, `member` also submits runs, `admin` does everything; in "
        "a project, `owner` also manages members."
    )
    external_identity: ExternalIdentityRead | None = Field(
        description="The user's identity at an identity provider; null without one."
    )
    created_at: CreatedAt
    disabled_at: datetime | None = Field(
        description="Time at which the user was disabled (UTC); null for an active user."
    )


class SignInLinkCreate(Request):
    """A sign-in link to create."""

    lifetime_h: int = Field(
        default=24,
        ge=1,
        le=168,
        strict=True,
        description="Number of hours after which the link no longer works.",
    )


class SignInLinkRead(Wire):
    """A link that signs a browser in once."""

    user: str = Field(description="Name of the user whom the link signs in.")
    code: str = Field(description="Secret of the link, shown only once: its SHA-256 is stored.")
    path: str = Field(
        description="Path of the link after the address of the server.",
        examples=["/login/link/mFq8"],
    )
    expires_at: datetime = Field(description="Time after which the link no longer works (UTC).")


class UserPage(Wire):
    """A page of users, by name."""

    items: Items[UserRead]
    next_cursor: str | None = Field(description="Pass as `cursor` for the next page.")


class MembershipRead(Wire):
    """A project of a user."""

    project: ProjectName
    role: ProjectRole = Field(
        description="Role: `viewer` reads, `member` also submits runs, `admin` does everything; in "
        "a project, `owner` also manages members."
    )


class MeToken(Wire):
    """The token of the request."""

    id: ObjectId
    name: str = Field(description="Purpose of the token.")
    project: str | None = Field(description="Project that the token is limited to.")
    expires_at: datetime | None = Field(
        description="Expiry (UTC); null if the token does not expire."
    )


class Me(Wire):
    """The caller."""

    user: UserRead = Field(description="User of the token.")
    role: Role = Field(description="Role of the token, at most the user's role.")
    token: MeToken | None = Field(
        description="Token of the request; null in a browser session without one."
    )
    projects: list[MembershipRead] = Field(
        description="Projects of the user, with the role in each."
    )


class MemberPut(Request):
    """A user to add to a project, or whose role to change."""

    user: StoredName = Field(description="Name or ID of the user.", examples=["ada"])
    role: ProjectRole = Field(
        default="member", description="An owner also manages members and visibility."
    )


class MemberRead(Wire):
    """A member of a project."""

    user_id: uuid.UUID = Field(description="ID of the user.")
    user: str = Field(description="Name of the user.")
    role: ProjectRole = Field(
        description="Role: `viewer` reads, `member` also submits runs, `admin` does everything; in "
        "a project, `owner` also manages members."
    )
    created_at: datetime = Field(description="Time at which the user became a member (UTC).")


class MemberList(Wire):
    """Members of a project, by name."""

    items: Items[MemberRead]


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
