"""Who makes a request, and what a role may do."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from app.schemas.common import Role
from app.services.errors import ForbiddenError

RANK: dict[str, int] = {"viewer": 0, "member": 1, "admin": 2}


class RoleRequiredError(ForbiddenError):
    """The token's role does not allow this."""

    code = "role-required"


@dataclass(frozen=True)
class Principal:
    """Who makes a request."""

    token_id: uuid.UUID
    name: str
    role: Role

    def has(self, role: Role) -> bool:
        """Whether the role is at least this one."""
        return RANK[self.role] >= RANK[role]

    def require(self, role: Role, to: str) -> None:
        """Demands at least a role.

        Raises:
            RoleRequiredError: If the token's role is lower.
        """
        if not self.has(role):
            raise RoleRequiredError(
                f"This needs the role {role} (to {to}); '{self.name}' is a {self.role} token."
            )
