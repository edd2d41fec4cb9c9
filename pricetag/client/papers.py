"""Calls about papers: collections of runs, frozen and reported as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pricetag.client.connection import Connection, path_segment
from pricetag.client.shown import ShownPaper


class PaperCalls(Connection):
    """Papers, their reports, their files and their archive."""

    def create_paper(
        self, paper: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Creates a paper; fields as ``POST /v1/papers`` has them.

        Args:
            paper: The paper.
            idempotency_key: The same key and paper give the same paper; without one, this call
                generates one, so that its retries create the paper only once.
        """
        return self._post_described("/v1/papers", paper, idempotency_key)

    def papers(self, *, project: str | None = None) -> Iterator[dict[str, Any]]:
        """All papers, newest first."""
        return self._pages("/v1/papers", {"project": project, "limit": 200})

    def get_paper(self, paper_id: str) -> dict[str, Any]:
        """A paper with its runs and reports."""
        return ShownPaper(self._get(f"/v1/papers/{path_segment(paper_id)}"))

    def change_paper(self, paper_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes title, authors or rule of a paper."""
        return self._json("PATCH", f"/v1/papers/{path_segment(paper_id)}", changes)

    def add_paper_runs(
        self, paper_id: str, runs: Sequence[str], purpose: str | None = None
    ) -> dict[str, Any]:
        """Adds runs to a paper, or states their purpose."""
        body = {"runs": list(runs), "purpose": purpose}
        return self._json("POST", f"/v1/papers/{path_segment(paper_id)}/runs", body)

    def remove_paper_run(self, paper_id: str, run_id: str) -> None:
        """Removes a run that was added to a paper."""
        path = f"/v1/papers/{path_segment(paper_id)}/runs/{path_segment(run_id)}"
        self._send("DELETE", path)

    def delete_paper(self, paper_id: str) -> None:
        """Deletes a paper that is not frozen."""
        self._send("DELETE", f"/v1/papers/{path_segment(paper_id)}")

    def freeze_paper(self, paper_id: str) -> dict[str, Any]:
        """Fixes the runs of a paper and their price tags, and reports on them."""
        return self._json("POST", f"/v1/papers/{path_segment(paper_id)}/freeze", {})

    def report_paper(
        self, paper_id: str, *, profile: str = "site", equivalents: bool = False
    ) -> dict[str, Any]:
        """Creates a report on a paper; download it with ``render_report``."""
        body = {"profile": profile, "equivalents": equivalents}
        return self._json("POST", f"/v1/papers/{path_segment(paper_id)}/reports", body)

    def paper_file(self, paper_id: str, name: str) -> bytes:
        """A file of a paper, e.g. ``paper.bib``, from its newest report."""
        path = f"/v1/papers/{path_segment(paper_id)}/files/{path_segment(name)}"
        return self._send("GET", path).content

    def paper_archive(self, paper_id: str) -> bytes:
        """The archive of a frozen paper, a ZIP file."""
        return self._send("GET", f"/v1/papers/{path_segment(paper_id)}/archive.zip").content
