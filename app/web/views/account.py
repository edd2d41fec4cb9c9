"""The visitor's account as a view model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.sessions import SessionRead
from app.schemas.users import Me

METHODS = {
    "link": "one-time link",
    "token": "API token",
    "oidc": "identity provider",
    "proxy": "proxy",
}


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser."""

    session: SessionRead
    method: str
    browser: str


@dataclass(frozen=True, slots=True)
class Account:
    """The visitor, with their rights and sessions."""

    me: Me
    sessions: Sequence[SessionRow]


def account(me: Me, sessions: Sequence[SessionRead]) -> Account:
    """The account's view model."""
    rows = [
        SessionRow(session, METHODS[session.method], session.browser or "not stated")
        for session in sessions
    ]
    return Account(me, rows)
