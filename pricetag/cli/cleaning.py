"""``pricetag clean``: deletes old local runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError
from pricetag.cli.lifetimes import InvalidLifetimeError, end_of
from pricetag.cli.local_runs import local_runs
from pricetag.cli.options import Json


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("clean", epilog="Example: pricetag clean --older-than 90d --delete")(clean)


def clean(
    ctx: typer.Context,
    older_than: Annotated[
        str,
        typer.Option(help="Age of the runs since their end, e.g. 90d or 8w, or a date (UTC)."),
    ],
    not_pushed: Annotated[
        bool,
        typer.Option("--not-pushed", help="Include runs that are on no server: they are lost."),
    ] = False,
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the runs. Default: only list them.")
    ] = False,
    json: Json = False,
) -> None:
    """List the old local runs of this machine, or delete them with their journals.

    Without --delete nothing changes. Runs that are not wholly on a server stay, unless
    --not-pushed is given; so do runs that have not ended. Price tags on the server stay.
    """
    from pricetag.local import cleaning

    runs = local_runs()
    old = list(cleaning.ended_before(runs, _limit(older_than)))
    chosen = [each for each in old if each.is_pushed or not_pushed]
    if delete:
        cleaning.clear(runs)
        for each in chosen:
            _delete(each)
    result = {
        "deleted": delete,
        "size_bytes": sum(each.size_bytes for each in chosen),
        "runs": [
            {
                **{name: each.run.run[name] for name in ("id", "name", "project", "finished_at")},
                "pushed": each.is_pushed,
                "size_bytes": each.size_bytes,
            }
            for each in chosen
        ],
        "not_pushed": len(old) - len(chosen),
    }
    answer(ctx, json, result, _text)


def _delete(old: Any) -> None:
    from pricetag.local import cleaning

    try:
        cleaning.delete(old.run)
    except OSError as error:
        raise CliError(f"{old.run.folder} cannot be deleted: {error.strerror}") from error


def _limit(text: str) -> datetime:
    """The time before which a run must have ended."""
    now = datetime.now(UTC)
    try:
        end = end_of(text, now)
    except InvalidLifetimeError as error:
        raise CliError(
            f"--older-than: {text!r} is neither an age such as 12h, 90d or 8w nor a date such as "
            "2026-01-31",
            EXIT_USAGE,
        ) from error
    return end if end <= now else now - (end - now)


def _text(result: Mapping[str, Any]) -> list[str]:
    from pricetag.tag.figures import counted, with_unit

    lines = [
        f"{str(run['id'])[:8]}  {run['finished_at'][:10]}  {run['name']}" for run in result["runs"]
    ]
    size = with_unit(float(result["size_bytes"]), "bytes")
    runs = counted(len(result["runs"]), "local run")
    if result["deleted"]:
        lines.append(f"{runs} deleted, {size}.")
    elif result["runs"]:
        lines.append(f"{runs}, {size}. Delete them with --delete.")
    else:
        lines.append("No local run is that old.")
    if left := result["not_pushed"]:
        lines.append(
            f"{counted(left, 'old run')} not on a server: push them (`pricetag push --all`), "
            "or include them with --not-pushed."
        )
    return lines
