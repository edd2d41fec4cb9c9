"""Users, tokens and sessions as rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.schemas.tokens import TokenRead
from app.schemas.users import UserRead
from app.web.views.forms import FormView

ROLES = (
    ("viewer", "viewer: reads"),
    ("member", "member: also submits runs"),
    ("admin", "admin: does everything"),
    ("ingest", "ingest: only sends measurements"),
)
"""Roles with what they may do, for forms."""

SOON_DAYS = 14
"""A token that expires within this number of days needs attention."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token of a table.

    Attributes:
        token: The token.
        state: Whether it works, in words.
        works: Whether it does.
    """

    token: TokenRead
    state: str
    works: bool


def token_rows(
    tokens: Sequence[TokenRead], *, every: bool, now: datetime | None = None
) -> Sequence[TokenRow]:
    """The rows of tokens, those that work first.

    Args:
        tokens: The tokens, newest first.
        every: Whether to show those that do not work any more.
        now: Present time.
    """
    moment = now or datetime.now(UTC)
    rows = [_row(token, moment) for token in tokens if every or token.in_force]
    return sorted(rows, key=lambda row: not row.works)


def _row(token: TokenRead, now: datetime) -> TokenRow:
    if token.revoked_at is not None:
        return TokenRow(token, "revoked", False)
    if token.expires_at is not None and token.expires_at <= now:
        return TokenRow(token, "expired", False)
    if not token.in_force:
        return TokenRow(token, "user disabled", False)
    is_soon = token.expires_at is not None and (token.expires_at - now).days < SOON_DAYS
    return TokenRow(token, "expires soon" if is_soon else "active", True)


def user_form(user: UserRead) -> FormView:
    """The form that changes a user, as the user is now."""
    identity = user.external_identity
    return FormView(
        {
            "name": user.name,
            "email": user.email or "",
            "role": user.role,
            "external_identity.issuer": identity.issuer if identity else "",
            "external_identity.subject": identity.subject if identity else "",
        }
    )
