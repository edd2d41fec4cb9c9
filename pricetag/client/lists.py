"""Calls about lists of runs: groups, files, saved views; and verification by hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import httpx

from pricetag.atomic_files import replaced
from pricetag.client.connection import Connection, path_segment, raise_for, unreachable


class ListCalls(Connection):
    """Lists of runs, their views, and verification by hash."""

    def group_runs(self, by: str, *, limit: int = 200, **filters: Any) -> dict[str, Any]:
        """The newest runs in groups, with means and spread.

        Args:
            by: tag, experiment, recipe or seeds (recipes apart from their seeds).
            limit: Maximum number of runs, up to 1,000.
            **filters: As `list_runs` has them, without sort and count.
        """
        return self._get("/v1/runs/groups", {**filters, "by": by, "limit": limit})

    def download_runs(self, path: Path, **filters: Any) -> Path:
        """Writes all runs that the filters select to a CSV file, which appears once complete.

        Args:
            path: The file.
            **filters: As `list_runs` has them, without count.
        """
        query = {name: value for name, value in filters.items() if value is not None}
        try:
            with (
                replaced(path) as part,
                self._http.stream("GET", "/v1/runs.csv", params=query) as response,
            ):
                raise_for(response)
                with part.open("wb") as out:
                    for chunk in response.iter_bytes():
                        out.write(chunk)
        except httpx.RequestError as error:
            raise unreachable(self.url, error) from error
        return path

    def tabulate_runs(self, run_ids: Sequence[str], fmt: Literal["md", "tex"] = "md") -> str:
        """Selected runs as a table with 95% intervals, in Markdown or LaTeX."""
        query = {"run": list(run_ids)}
        return self._send("GET", f"/v1/runs/table.{fmt}", params=query).text

    def views(self) -> list[dict[str, Any]]:
        """The caller's own saved views of the list of runs, then the shared ones of projects."""
        items: list[dict[str, Any]] = self._get("/v1/views")["items"]
        return items

    def get_view(self, view_id: str) -> dict[str, Any]:
        """A saved view, or a stored link."""
        return self._get(f"/v1/views/{path_segment(view_id)}")

    def save_view(self, view: Mapping[str, Any]) -> dict[str, Any]:
        """Saves a view; fields as ``POST /v1/views`` has them."""
        return self._json("POST", "/v1/views", view)

    def delete_view(self, view_id: str) -> None:
        """Deletes a view."""
        self._send("DELETE", f"/v1/views/{path_segment(view_id)}")

    def verify_hash(self, sha256: str) -> dict[str, Any]:
        """The price tag or report with a hash, checked by the server."""
        return self._get(f"/v1/verifications/{path_segment(sha256)}")

    def verify_document(self, text: str) -> dict[str, Any]:
        """A price tag or report in JSON, or a text with hashes, checked by the server."""
        return self._json("POST", "/v1/verifications", {"text": text})
