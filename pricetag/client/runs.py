"""Calls about runs: post, read, cancel, and follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import httpx

from pricetag.atomic_files import replaced
from pricetag.client.connection import (
    RECONNECT_S,
    Connection,
    as_object,
    path_segment,
    raise_for,
    unreachable,
)
from pricetag.client.shown import RunList
from pricetag.wire import ApiError, Event, Page, Run, RunAccepted, ServerUnreachable

FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class RunCalls(Connection):
    """Runs, their events, logs and artifacts."""

    def create_run(
        self, run: Mapping[str, Any] | str, *, idempotency_key: str | None = None
    ) -> RunAccepted:
        """Posts a run, described as data or as YAML text.

        Args:
            run: The description.
            idempotency_key: The same key and description give the same run; without one,
                this call generates one, so that its retries post the run only once.

        Raises:
            ValueError: If the key cannot be sent: it is empty, too long, or has blanks or
                characters beyond ASCII.
            ApiError: If the server rejects it.
            ServerUnreachable: If the server does not respond.
        """
        return cast(RunAccepted, self._post_described("/v1/runs", run, idempotency_key))

    def list_runs(self, *, cursor: str | None = None, limit: int = 50, **filters: Any) -> Page:
        """A page of runs.

        Args:
            cursor: `next_cursor` of the previous page.
            limit: Maximum number of runs, up to 200.
            **filters: project, experiment, user (a name, or `me`), tag, status, kind,
                origin, q (words in names and tags), created_after, created_before,
                finished_after, finished_before, sort (created_at, finished_at, name,
                it_energy_kwh or cost; with `-` before it descending), count; tag, status and
                origin may be lists.
        """
        return cast(Page, self._get("/v1/runs", {**filters, "cursor": cursor, "limit": limit}))

    def runs(self, **filters: Any) -> RunList:
        """All runs that the filters select, with the totals of their price tags.

        A notebook shows them as a table; ``client.runs(project="text").frame()`` is a data frame.

        Args:
            **filters: As `list_runs` has them.
        """
        return RunList(self.iter_runs(**filters))

    def iter_runs(self, **filters: Any) -> Iterator[Run]:
        """All runs that the filters select, page after page."""
        return cast(Iterator[Run], self._pages("/v1/runs", {**filters, "limit": 200}))

    def get_run(self, run_id: str) -> Run:
        """A run with its recipe, attempts and stages."""
        return cast(Run, self._get(f"/v1/runs/{path_segment(run_id)}"))

    def cancel_run(self, run_id: str) -> RunAccepted:
        """Cancels a queued run, or asks a running one to stop."""
        return cast(
            RunAccepted,
            as_object(self._send("POST", f"/v1/runs/{path_segment(run_id)}/cancel", retry=False)),
        )

    def prioritize_run(self, run_id: str, priority: int) -> RunAccepted:
        """Changes the priority of a queued run; higher ones start first."""
        path = f"/v1/runs/{path_segment(run_id)}/priority"
        return cast(RunAccepted, self._json("POST", path, {"priority": priority}))

    def resume_run(self, run_id: str) -> RunAccepted:
        """Queues a canceled or failed run again."""
        return cast(
            RunAccepted,
            as_object(self._send("POST", f"/v1/runs/{path_segment(run_id)}/resume", retry=False)),
        )

    def events(self, run_id: str, *, last_event_id: int = 0) -> Iterator[Event]:
        """Events of a run as they arrive, until it ends; reconnects if the connection breaks.

        Args:
            run_id: The run.
            last_event_id: Only events after this one.

        Raises:
            ApiError: If the server sends an error.
        """
        while True:
            try:
                for message in self._stream(run_id, last_event_id):
                    event = cast(Event, message.json())
                    last_event_id = event["id"]
                    yield event
                # The server ends the stream of a finished run, and every stream when it stops.
                if self.get_run(run_id)["status"] in FINAL:
                    return
            except (httpx.RequestError, ServerUnreachable):
                pass
            except ApiError as error:
                if error.status != 503:
                    raise
            time.sleep(RECONNECT_S)

    def wait(self, run_id: str, on_event: Callable[[Event], None] | None = None) -> Run:
        """Waits until a run has ended; passes every event to ``on_event``."""
        for event in self.events(run_id):
            if on_event is not None:
                on_event(event)
        return self.get_run(run_id)

    def power(
        self, run_id: str, *, attempt: int | None = None, points: int | None = None
    ) -> dict[str, Any]:
        """Power over time per attempt and component, in at most `points` points each."""
        return self._get(
            f"/v1/runs/{path_segment(run_id)}/power", {"attempt": attempt, "points": points}
        )

    def metrics(self, run_id: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """All metrics of a run; filters: attempt, name, split."""
        return self._pages(f"/v1/runs/{path_segment(run_id)}/metrics", {**filters, "limit": 5000})

    def energy_between(
        self, run_id: str, from_s: float, to_s: float, *, attempt: int = 1
    ) -> dict[str, Any]:
        """Energy of a part of an attempt with its interval; times since its meter opened."""
        query = {"from_s": repr(from_s), "to_s": repr(to_s), "attempt": str(attempt)}
        return self._get(f"/v1/runs/{path_segment(run_id)}/energy", query)

    def logs(
        self,
        run_id: str,
        *,
        after: str | None = None,
        attempt: int | None = None,
        limit: int = 500,
        newest: bool | None = None,
        q: str | None = None,
    ) -> dict[str, Any]:
        """Log lines: `items`, and `next_after` to read on from, now or later.

        Args:
            run_id: The run.
            after: Only lines after this position.
            attempt: Only lines of this attempt.
            limit: Maximum number of lines.
            newest: The last lines instead of the first.
            q: Only lines that contain this text, ignoring case.
        """
        query = {"after": after, "attempt": attempt, "limit": limit, "newest": newest, "q": q}
        return self._get(f"/v1/runs/{path_segment(run_id)}/logs", query)

    def iter_logs(self, run_id: str, *, follow: bool = False) -> Iterator[dict[str, Any]]:
        """All log lines of a run; with `follow`, those to come until it is over."""
        after: str | None = None
        while True:
            # Requested first, so that everything written before the end of the run is read.
            over = not follow or self.get_run(run_id)["status"] in FINAL
            page = self.logs(run_id, after=after, limit=5000)
            yield from page["items"]
            after = page["next_after"]
            if page["items"]:
                continue
            if over:
                return
            time.sleep(RECONNECT_S)

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """Artifacts of the run's attempts."""
        return cast(
            list[dict[str, Any]], self._get(f"/v1/runs/{path_segment(run_id)}/artifacts")["items"]
        )

    def download_artifact(self, run_id: str, artifact_id: str, path: Path) -> Path:
        """Writes an artifact to a file; the file appears once it is complete."""
        url = f"/v1/runs/{path_segment(run_id)}/artifacts/{path_segment(artifact_id)}/content"
        try:
            with replaced(path) as part, self._http.stream("GET", url) as response:
                raise_for(response)
                with part.open("wb") as out:
                    for chunk in response.iter_bytes():
                        out.write(chunk)
        except httpx.RequestError as error:
            raise unreachable(self.url, error) from error
        return path
