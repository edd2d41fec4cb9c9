"""Calls about studies: post, read, cancel, and follow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from pricetag.client.connection import Connection, as_object, path_segment
from pricetag.client.shown import ShownStudy

FOLLOW_EVERY_S = 2.0


class StudyCalls(Connection):
    """Searches over runs of one job."""

    def create_study(
        self, study: Mapping[str, Any] | str, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Posts a study, described as data or as YAML text.

        Args:
            study: The description.
            idempotency_key: The same key and description give the same study; without one,
                this call generates one, so that its retries post the study only once.

        Raises:
            ValueError: If the key cannot be sent: it is empty, too long, or has blanks or
                characters beyond ASCII.
            ApiError: If the server rejects it.
            ServerUnreachable: If the server does not respond.
        """
        return self._post_described("/v1/studies", study, idempotency_key)

    def iter_studies(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """All studies that the filters (project, status) select, newest first."""
        return self._pages("/v1/studies", {**filters, "limit": 200})

    def get_study(self, study_id: str) -> dict[str, Any]:
        """A study with its trials, its price tag and what it saved."""
        return ShownStudy(self._get(f"/v1/studies/{path_segment(study_id)}"))

    def cancel_study(self, study_id: str) -> dict[str, Any]:
        """Ends a study: queued runs are canceled, running ones are asked to stop."""
        return as_object(
            self._send("POST", f"/v1/studies/{path_segment(study_id)}/cancel", retry=False)
        )

    def follow_study(
        self, study_id: str, every_s: float = FOLLOW_EVERY_S
    ) -> Iterator[dict[str, Any]]:
        """The study again and again, until it has ended and none of its runs is open."""
        while True:
            study = self.get_study(study_id)
            yield study
            if study["status"] != "running" and study["open_runs"] == 0:
                return
            time.sleep(every_s)
