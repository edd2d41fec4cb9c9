"""Following a run to its end: live on a terminal, in plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pricetag.cli.console import (
    EXIT_DETACHED,
    EXIT_RUN_CANCELLED,
    EXIT_RUN_FAILED,
    CliError,
    complain,
    console,
    emit_json,
    harmless,
    say,
)

if TYPE_CHECKING:
    from pricetag.cli.views.progress import RunProgress

if TYPE_CHECKING:
    from pricetag.client import Client
    from pricetag.wire import Run

LINE_EVERY_S = 10.0
EXIT_CODES = {"succeeded": 0, "failed": EXIT_RUN_FAILED, "cancelled": EXIT_RUN_CANCELLED}


def last_event(client: Client, run_id: str) -> int:
    """The id of the last event of a run that has ended; 0 for any other run."""
    from pricetag.client.runs import FINAL

    if client.get_run(run_id)["status"] not in FINAL:
        return 0
    return max((event["id"] for event in client.events(run_id)), default=0)


def follow(client: Client, run_id: str, *, logs: bool, as_json: bool, after: int = 0) -> int:
    """Waits until a run has ended, showing its progress, then shows its price tag.

    Args:
        client: Of the server that has the run.
        run_id: The run.
        logs: Whether to print its log instead of its progress.
        as_json: Whether to print only JSON, at the end.
        after: Progress only of events after this one, e.g. those of a resumed run.

    Returns:
        The exit code for the run's final status.

    Raises:
        CliError: When interrupted: the run continues, and the message states how to follow it
            again.
    """
    try:
        run = _watch(client, run_id, logs=logs, quiet=as_json, after=after)
    except KeyboardInterrupt:
        raise CliError(
            f"detached; the run continues. To follow it again: pricetag show {run_id} --wait",
            EXIT_DETACHED,
        ) from None
    show(client, run, as_json=as_json)
    if run["status"] == "failed":
        complain(_why(run))
    return EXIT_CODES.get(run["status"], EXIT_RUN_FAILED)


def _why(run: Run) -> str:
    """The reason of a failed run, with the field to fix."""
    reason = run.get("status_reason") or {}
    where = f"{reason['field']}: " if reason.get("field") else ""
    return f"the run failed: {where}{reason.get('message') or 'no reason was reported'}"


def show(client: Client, run: Run, *, as_json: bool, version: int | None = None) -> None:
    """Prints a run and its price tag; by default, its newest version.

    Raises:
        ApiError: If the price tag does not have this version.
    """
    tag = price_tag(client, run["id"], version)
    versions = client.price_tags(run["id"]) if tag is not None else []
    issued = next((v for v in versions if tag and v["version"] == tag["version"]), None)
    if as_json:
        emit_json({"run": run, "price_tag": tag, "price_tag_version": issued})
        return
    from pricetag.cli.views.runs import run_view

    out = console()
    out.print(run_view(run))
    if run.get("lineage") is not None:
        from pricetag.cli.views.lineage import lineage_view

        out.print(lineage_view(run["lineage"] or {}))
        out.print()
    if tag is None:
        say("No price tag yet: it is issued when an attempt ends.")
        return
    from pricetag.cli.views import price_tag_view, strubell_table, variants_view
    from pricetag.tag.measured import OTHER_TOOLS

    if run.get("origin") in OTHER_TOOLS:
        from pricetag.cli.local_runs import say_reported

        listed = client.metrics(run["id"])
        say_reported((each["name"], each["value"], each["unit"]) for each in listed)
    newest = versions[0]["version"] if versions else None
    head = price_tag_view(tag, issued, newest)
    for view in (head, variants_view(tag), strubell_table([tag])):
        if view is not None:
            out.print(view)
            out.print()


def price_tag(client: Client, run_id: str, version: int | None = None) -> dict[str, Any] | None:
    """A version of a run's price tag; None if the newest is requested and none exists."""
    from pricetag.client import ApiError

    try:
        return client.price_tag(run_id, version)
    except ApiError as error:
        if error.code == "price-tag-not-found" and version is None:
            return None
        raise


def _watch(client: Client, run_id: str, *, logs: bool, quiet: bool, after: int) -> Run:
    from pricetag.cli.views.progress import RunProgress, waiting_text

    run = client.get_run(run_id)
    if logs:
        for line in client.iter_logs(run_id, follow=True):
            (sys.stderr if quiet else sys.stdout).write(f"{harmless(line['text'])}\n")
    elif not quiet:
        progress = RunProgress(run["name"], stage_kinds(run))
        progress.waiting = waiting_text(run)
        with _shown(progress) as changed:
            for event in client.events(run_id, last_event_id=after):
                progress.update(event["kind"], event["payload"])
                changed()
        return client.get_run(run_id)
    return client.wait(run_id)


def stage_kinds(run: Run) -> list[str]:
    """Kinds of the recipe's stages, in order."""
    stages = run.get("recipe", {}).get("stages", [])
    return [str(stage.get("name") or stage.get("kind")) for stage in stages]


@contextmanager
def _shown(progress: RunProgress) -> Iterator[Callable[[], None]]:
    out = console()
    if not out.is_terminal:
        yield PlainLines(progress)
        return
    from rich.live import Live

    with Live(progress, console=out, refresh_per_second=4):
        yield lambda: None


class PlainLines:
    """Writes a line when the run changes or a stage begins, and at least every ten seconds."""

    def __init__(
        self,
        progress: RunProgress,
        write: Callable[[str], None] = say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._progress = progress
        self._write = write
        self._clock = clock
        self._state: tuple[object, ...] = ()
        self._written_s = -LINE_EVERY_S

    def __call__(self) -> None:
        """Writes a line if one is due."""
        progress = self._progress
        state = (progress.status, progress.waiting, *(stage.key for stage in progress.stages))
        now_s = self._clock()
        if state != self._state or now_s - self._written_s >= LINE_EVERY_S:
            self._state, self._written_s = state, now_s
            self._write(progress.line())
