"""Users, tokens, projects and members on the terminal, as lists with headings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pricetag.cli.views.tables import ListTable


def users_view(users: Iterable[Mapping[str, Any]]) -> ListTable:
    """A list of users, one per row."""
    heads = ("~User", "Role", "State", "~E-mail", "ID")
    return ListTable(
        heads,
        [
            (
                user["name"],
                user["role"],
                "disabled" if user["disabled_at"] else "active",
                user["email"] or "",
                user["id"],
            )
            for user in users
        ],
    )


def user_tokens_view(tokens: Iterable[Mapping[str, Any]]) -> ListTable:
    """The tokens of one user, one per row."""
    heads = ("~Token", "Role", "State", "Expires", "~Only project", "ID")
    return ListTable(heads, [(token["name"], *_token_cells(token)) for token in tokens])


def tokens_view(tokens: Iterable[Mapping[str, Any]]) -> ListTable:
    """The tokens of all users, one per row."""
    heads = ("~User", "~Token", "Role", "State", "Expires", "~Only project", "ID")
    rows = [
        (
            token["user"],
            "" if token["name"] == token["user"] else token["name"],
            *_token_cells(token),
        )
        for token in tokens
    ]
    return ListTable(heads, rows)


def _token_cells(token: Mapping[str, Any]) -> tuple[str, ...]:
    # The day is enough to see which tokens expire soon; --json has the time.
    expires = str(token["expires_at"] or "")[:10]
    return (token["role"], token_state(token), expires, token["project"] or "", token["id"])


def minute(moment: str) -> str:
    """A time to the minute, in UTC."""
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def token_state(token: Mapping[str, Any]) -> str:
    """Whether a token works; if not, the reason."""
    if token["in_force"]:
        return "active"
    if token["revoked_at"] is not None:
        return "revoked"
    end = token["expires_at"]
    is_over = end is not None and datetime.fromisoformat(end) <= datetime.now(UTC)
    return "expired" if is_over else "disabled"


def projects_view(projects: Iterable[Mapping[str, Any]]) -> ListTable:
    """A list of projects, one per row."""
    heads = ("~Project", "Visibility", ">Experiments", ">Runs")
    return ListTable(
        heads,
        [
            (
                project["name"],
                project["visibility"],
                f"{project['experiments']:,}",
                f"{project['runs']:,}",
            )
            for project in projects
        ],
    )


def members_view(members: Iterable[Mapping[str, Any]]) -> ListTable:
    """Members of a project, one per row."""
    return ListTable(("~User", "Role"), [(member["user"], member["role"]) for member in members])
