"""Calls about share links, which show results to people without a token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pricetag.client.connection import Connection, as_object, path_segment

Kind = Literal["paper", "report", "run"]


class ShareCalls(Connection):
    """Share links of papers, reports and runs."""

    def create_share(
        self, kind: Kind, target_id: str, *, anonymous: bool = False, days: int = 90
    ) -> dict[str, Any]:
        """Creates a share link.

        Args:
            kind: What to share.
            target_id: Its ID.
            anonymous: Whether to show the variant for blind review.
            days: Number of days after which the link no longer works.

        Returns:
            The link: `secret` is in this response alone; `url` is its whole address.
        """
        share = self._json(
            "POST", "/v1/shares", {kind: target_id, "anonymous": anonymous, "days": days}
        )
        return {**share, "url": f"{self.url}{share['path']}"}

    def shares(self, *, everyone: bool = False) -> Iterator[dict[str, Any]]:
        """The caller's share links, or for administrators those of everyone, newest first."""
        return self._pages("/v1/shares", {"all": "true" if everyone else None, "limit": 200})

    def withdraw_share(self, share_id: str) -> dict[str, Any]:
        """Withdraws a share link at once."""
        return as_object(self._send("DELETE", f"/v1/shares/{path_segment(share_id)}"))
