"""Principals, who make requests, and the order of roles."""

from __future__ import annotations

import os
import pwd
import uuid
from dataclasses import dataclass
from datetime import datetime

from app.repositories.people.visibility import Viewer
from app.schemas.common import Role
from app.services.errors import ForbiddenError

RANK: dict[Role, int] = {"ingest": 0, "viewer": 1, "member": 2, "admin": 3}


INGEST = (
    "The role ingest is for clients that only send measurements: such a token can call "
    "/v1/intake and GET /v1/me, and nothing else."
)


class RoleRequiredError(ForbiddenError):
    """The token's role does not allow this."""

    code = "role-required"


@dataclass(frozen=True)
class Principal:
    """The user of a request, with the token or the browser session it was made with.

    Attributes:
        user_id: The user.
        token_id: The token of the request or of its session; None for other sessions.
        name: The user's name.
        role: Role of the token, at most the user's role.
        project_id: Project that the token is limited to; None without a limit.
        expires_at: Expiry of the token; None without one.
        session_id: The browser session of the request; None for a token.
    """

    user_id: uuid.UUID
    token_id: uuid.UUID | None
    name: str
    role: Role
    project_id: uuid.UUID | None = None
    expires_at: datetime | None = None
    session_id: uuid.UUID | None = None

    @property
    def viewer(self) -> Viewer:
        """Visibility for queries: administrators also see private projects of others."""
        return Viewer(self.user_id, sees_all=self.has("admin"), project_id=self.project_id)

    def has(self, role: Role) -> bool:
        """Whether the role is at least this one."""
        return RANK[self.role] >= RANK[role]

    @property
    def _means(self) -> str:
        return "token" if self.session_id is None else "session"

    def require(self, role: Role, to: str) -> None:
        """Requires at least a role.

        Raises:
            RoleRequiredError: If the token's role is lower.
        """
        if not self.has(role):
            hint = f" {INGEST}" if self.role == "ingest" else ""
            raise RoleRequiredError(
                f"This needs the role {role} (to {to}); this {self._means} of '{self.name}' has the"
                f" role {self.role}.{hint}"
            )

    def require_to_send(self) -> None:
        """Requires the right to send measurements: the role ingest, or member or higher.

        Raises:
            RoleRequiredError: If the token's role is viewer.
        """
        if self.role != "ingest":
            self.require("member", "send measurements")


@dataclass(frozen=True)
class DirectAccess:
    """A command that writes to the database directly, without a token.

    Attributes:
        os_user: Account of the operating system that runs the command.
    """

    os_user: str

    @classmethod
    def of_this_process(cls) -> DirectAccess:
        """Access with the account of this process, whatever its environment says."""
        uid = os.getuid()
        try:
            return cls(pwd.getpwuid(uid).pw_name)
        except KeyError:
            return cls(f"uid {uid}")


Actor = Principal | DirectAccess
"""Author of a change; None stands for the service itself."""


def lowest(*roles: Role | None) -> Role:
    """The lowest of some roles; None sets no limit.

    Raises:
        ValueError: If all roles are None.
    """
    return min((role for role in roles if role is not None), key=RANK.__getitem__)
