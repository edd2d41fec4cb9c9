"""Calls about users, their tokens, and the members of projects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from pricetag.client.connection import Connection, as_object, path_segment


class PeopleCalls(Connection):
    """Users and their tokens; projects, private or open, and their members."""

    def me(self) -> dict[str, Any]:
        """The user and the token that this client uses."""
        return self._get("/v1/me")

    def create_user(self, user: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a user; fields as ``POST /v1/users`` has them."""
        return self._json("POST", "/v1/users", user)

    def users(self) -> Iterator[dict[str, Any]]:
        """All users in order of name, including disabled ones."""
        return self._pages("/v1/users", {"limit": 200})

    def change_user(self, user_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes some fields of a user; ``{"disabled": True}`` ends all of their tokens."""
        return self._json("PATCH", f"/v1/users/{path_segment(user_id)}", changes)

    def user_tokens(self, user_id: str) -> list[dict[str, Any]]:
        """The tokens of a user, without their secrets."""
        return cast(
            list[dict[str, Any]], self._get(f"/v1/users/{path_segment(user_id)}/tokens")["items"]
        )

    def create_user_token(self, user_id: str, token: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a token of a user; `secret` is in this response alone."""
        return self._json("POST", f"/v1/users/{path_segment(user_id)}/tokens", token)

    def revoke_user_token(self, user_id: str, token_id: str) -> dict[str, Any]:
        """Revokes a token of a user at once."""
        path = f"/v1/users/{path_segment(user_id)}/tokens/{path_segment(token_id)}"
        return cast(dict[str, Any], self._send("DELETE", path).json())

    def create_sign_in_link(self, user_id: str, lifetime_h: int = 24) -> dict[str, Any]:
        """Creates a link that signs a browser in once as a user.

        Args:
            user_id: ID of the user.
            lifetime_h: Number of hours after which the link no longer works.

        Returns:
            The link: `code` is in this response alone; `url` is its whole address.
        """
        path = f"/v1/users/{path_segment(user_id)}/sign-in-links"
        link = self._json("POST", path, {"lifetime_h": lifetime_h})
        return {**link, "url": f"{self.url.rstrip('/')}{link['path']}"}

    def sessions(self, *, everyone: bool = False) -> Iterator[dict[str, Any]]:
        """Browsers that the caller is signed in with, or for administrators those of everyone."""
        return self._pages("/v1/sessions", {"all": "true" if everyone else None, "limit": 200})

    def end_session(self, session_id: str) -> dict[str, Any]:
        """Signs a browser out at once."""
        return as_object(self._send("DELETE", f"/v1/sessions/{path_segment(session_id)}"))

    def project(self, name: str) -> dict[str, Any]:
        """A project with its visibility."""
        return self._get(f"/v1/projects/{path_segment(name)}")

    def change_project(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes the visibility (``open`` or ``private``) or the description of a project."""
        return self._json("PATCH", f"/v1/projects/{path_segment(name)}", changes)

    def members(self, name: str) -> list[dict[str, Any]]:
        """The members of a project, by name."""
        path = f"/v1/projects/{path_segment(name)}/members"
        return cast(list[dict[str, Any]], self._get(path)["items"])

    def put_member(self, name: str, user: str, role: str = "member") -> dict[str, Any]:
        """Adds a user to a project, or changes their role in it."""
        path = f"/v1/projects/{path_segment(name)}/members"
        return self._json("POST", path, {"user": user, "role": role})

    def remove_member(self, name: str, user: str) -> dict[str, Any]:
        """Removes a member from a project."""
        path = f"/v1/projects/{path_segment(name)}/members/{path_segment(user)}"
        return cast(dict[str, Any], self._send("DELETE", path).json())
