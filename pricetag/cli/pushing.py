"""``pricetag push``: sends local runs to a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.answering import answer, each
from pricetag.cli.console import EXIT_FAILURE, EXIT_USAGE, CliError, complain
from pricetag.cli.local_runs import NO_LOCAL_RUNS, find_local, local_runs
from pricetag.cli.options import Json, open_client

if TYPE_CHECKING:
    from pricetag.client import Client
    from pricetag.local.pushing import Progress
    from pricetag.local.runs import LocalRun

PUSH_EXAMPLES = (
    "Examples:\n\npricetag push last\n\npricetag push --all\n\n"
    "pricetag run --push -- python train.py"
)
SHOWN_BYTES = 1_000_000
"""Size of a journal from which on the progress is shown."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("push", epilog=PUSH_EXAMPLES)(push)


def push(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="Local runs: run IDs, their first characters (at least 4), or 'last' for your "
            "newest run.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Push all local runs that are not on the server yet.")
    ] = False,
    project: Annotated[
        str | None,
        typer.Option(help="Project of the runs on the server. Default: each run's own."),
    ] = None,
    json: Json = False,
) -> None:
    """Send local runs to the server, which computes their price tags from their readings.

    A push that is interrupted loses nothing: push again, and it continues. What has arrived is not
    sent or counted twice. `pricetag runs --local` shows where each run was pushed, and when.
    """
    if bool(runs) == every:
        raise CliError("name local runs, or use --all for all that are not pushed", EXIT_USAGE)
    chosen = _chosen(ctx, runs or ())
    results: list[dict[str, Any]] = []
    failures = 0
    with open_client(ctx) as client:
        for run in chosen if runs else _missing(client):
            result = _pushed(ctx, client, run, project)
            failures += "problem" in result
            results.append(result)
    answer(ctx, json, results, each(_line), nothing="" if results else _nothing())
    if failures:
        raise typer.Exit(EXIT_FAILURE)


def _nothing() -> str:
    """Why there is nothing to push."""
    runs = local_runs().all()
    running = sum(run.price_tag is None for run in runs)
    if not runs:
        return NO_LOCAL_RUNS
    if not running:
        return "All local runs are on the server."
    text = "1 is running: push it" if running == 1 else f"{running:,} are running: push them"
    return f"All local runs that have ended are on the server; {text} when it has ended."


def _chosen(ctx: typer.Context, texts: Sequence[str]) -> list[LocalRun]:
    runs = {text: find_local(ctx, text, is_local=True) for text in texts}
    return [run for run in runs.values() if run is not None]


def _missing(client: Client) -> Iterator[LocalRun]:
    """The ended local runs that are not known to be on the server, oldest first."""
    from pricetag.local.pushing import is_pushed

    for run in reversed(local_runs().all()):
        if run.price_tag is not None and not is_pushed(run, client.url):
            yield run


def _pushed(
    ctx: typer.Context, client: Client, run: LocalRun, project: str | None
) -> dict[str, Any]:
    """The result of one run; errors of the network or of the token end the whole command."""
    from pricetag.cli.naming import refusal
    from pricetag.local.pushing import UNAUTHENTICATED, IncompleteError, PushError
    from pricetag.local.pushing import push as send
    from pricetag.wire import ApiError

    about = {"run_id": run.run["id"], "name": run.run["name"]}
    try:
        with _progress(run) as progress:
            state = send(run, client, project=project, progress=progress)
    except IncompleteError as error:
        complain(f"{run.run['id'][:8]} is {error}")
        return {**about, "status": "running", "problem": str(error)}
    except (PushError, ApiError) as error:
        if isinstance(error, ApiError) and error.status == UNAUTHENTICATED:
            raise
        lines = refusal(ctx, error) if isinstance(error, ApiError) else [str(error)]
        complain(f"{run.run['id'][:8]} is not pushed: {lines[0]}", lines[1:])
        return {**about, "problem": " ".join(lines)}
    for warning in state["warnings"]:
        complain(warning)
    names = ("status", "size_bytes", "records", "rejected", "price_tag_version", "warnings")
    return {**about, "url": f"{client.url}/runs/{run.run['id']}"} | {
        name: state[name] for name in names
    }


def _line(result: Mapping[str, Any]) -> str:
    short = str(result["run_id"])[:8]
    if "problem" in result:
        return f"{short}  {'incomplete' if 'status' in result else 'not pushed'}"
    count = result["rejected"]
    noun = "line was" if count == 1 else "lines were"
    rejected = f" ({count:,} {noun} rejected: pricetag show {short})" if count else ""
    return f"{short}  pushed  {result['url']}{rejected}"


@contextmanager
def _progress(run: LocalRun) -> Iterator[Progress]:
    """Shows the progress of a large journal on a terminal."""
    import sys

    try:
        is_large = run.journal.stat().st_size >= SHOWN_BYTES
    except OSError:
        is_large = False
    if not (is_large and sys.stderr.isatty()):
        yield lambda sent, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bars:
        task = bars.add_task(str(run.run["id"])[:8])
        yield lambda sent, total: bars.update(task, completed=sent, total=total)
