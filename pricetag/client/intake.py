"""Calls that send the journals of local runs."""

from __future__ import annotations

import gzip
from typing import Any

from pricetag.client.connection import Connection, as_object, path_segment
from pricetag.wire import ApiError

NOT_FOUND = 404
LEVEL = 6
"""Level of compression: journals shrink to a tenth, as far as with the highest one."""


class IntakeCalls(Connection):
    """Journals of runs that no queue started."""

    def journal_state(
        self, attempt_id: str, *, retry: bool = True, parts: bool = False
    ) -> dict[str, Any] | None:
        """How far the journal of an attempt has arrived; None if nothing of it has.

        Args:
            attempt_id: The attempt.
            retry: Whether to try again while the server cannot be reached.
            parts: Whether to list the parts in which it arrived.
        """
        path = f"/v1/intake/journals/{path_segment(attempt_id)}"
        query = {"parts": "true"} if parts else {}
        try:
            return as_object(self._send("GET", path, params=query, retry=retry))
        except ApiError as error:
            if error.status == NOT_FOUND and error.code == "journal-not-found":
                return None
            raise

    def send_journal(
        self, attempt_id: str, begin_byte: int, content: bytes, *, project: str | None = None
    ) -> dict[str, Any]:
        """Sends a part of a journal; sending it again changes nothing.

        Args:
            attempt_id: The journal's attempt.
            begin_byte: Where the part begins in the journal.
            content: Whole lines.
            project: Project of a new run, in place of that of the journal.

        Returns:
            How far the journal has arrived.
        """
        query: dict[str, str | int] = {"attempt_id": attempt_id, "begin_byte": begin_byte}
        query |= {} if project is None else {"project": project}
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        return as_object(
            self._send(
                "POST",
                "/v1/intake/journals",
                params=query,
                headers=headers,
                content=gzip.compress(content, LEVEL, mtime=0),
            )
        )
