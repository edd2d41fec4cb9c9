"""The visitor's account as a view model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.sessions import SessionRead
from app.schemas.users import Me
from app.web.views.browsers import browser_name

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
    return Account(me, session_rows(sessions))


def session_rows(sessions: Sequence[SessionRead]) -> Sequence[SessionRow]:
    """The rows of a table of signed-in browsers."""
    return [
        SessionRow(session, METHODS[session.method], browser_name(session.browser))
        for session in sessions
    ]
