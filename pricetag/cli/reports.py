"""The command that makes reports and downloads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_USAGE, CliError, complain
from pricetag.cli.local_runs import (
    LocalOption,
    ServerOption,
    ended_runs,
    find_local,
    pushed_to,
    report_lines,
    report_local,
)
from pricetag.cli.options import RUN_HELP, Json, open_client
from pricetag.cli.report_files import write_formats
from pricetag.tag.status import status_text
from pricetag.wire import ReportFormat, ReportTable

if TYPE_CHECKING:
    from pricetag.client import Client
    from pricetag.local.runs import LocalRun

Profile = Literal["strubell2019", "site"]
FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)


EXAMPLES = (
    "Examples:\n\n"
    "pricetag report last --output paper\n\n"
    "pricetag report --project reviews --profile site --format pdf,tex"
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report", epilog=EXAMPLES)(report)


def report(
    ctx: typer.Context,
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help=f"Runs to report on, each {RUN_HELP}. RUN@VERSION selects a version of its price "
            "tag; otherwise the newest is used. Omit RUN to select runs with --project, "
            "--experiment or --tag, or a stored report with --id.",
        ),
    ] = None,
    title: Annotated[
        str | None,
        typer.Option(help="Title of the report. Default: made from the run's name or the filters."),
    ] = None,
    profile: Annotated[
        Profile,
        typer.Option(
            help="PUE and carbon intensity to use: those of the paper (Strubell et al. 2019) or "
            "those of the site."
        ),
    ] = "strubell2019",
    table: Annotated[
        ReportTable | None,
        typer.Option(
            help="Table to add to the report and to print: the scores of runs with a GLUE task."
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=2**31 - 1,
            help="Version of the price tag, for a single RUN. Default: the newest.",
        ),
    ] = None,
    formats: Annotated[
        str,
        typer.Option(
            "--format", help="Formats, separated by commas: html, pdf, tex, md, csv, json; or all."
        ),
    ] = "all",
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the report's files.")
    ] = Path(),
    report_id: Annotated[
        str | None,
        typer.Option("--id", metavar="ID", help="Download the stored report with this ID again."),
    ] = None,
    project: Annotated[str | None, typer.Option(help="Report on all runs of this project.")] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Report on all runs of this experiment.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Report on all runs with this tag (repeatable: with all of the tags)."),
    ] = None,
    local: LocalOption = False,
    server: ServerOption = False,
    json: Json = False,
) -> None:
    """Create a report on runs, with tables and a methods statement for a paper.

    Name the runs, or select them with --project, --experiment and --tag. The report is stored on
    the server, and its files are written here: report-ID.pdf and so on. With --local, both are
    about the runs of this machine, and nothing is stored elsewhere.
    """
    from pricetag.cli.find import whole_tags
    from pricetag.cli.views.report_table import report_table

    wanted = formats_of(formats)
    filters: dict[str, Any] = {"project": project, "experiment": experiment, "tags": tag}
    filters = {name: value for name, value in filters.items() if value}
    if runs and filters:
        message = "name the runs or select them with --project, --experiment and --tag, not both"
        raise CliError(message, EXIT_USAGE)
    if sum(map(bool, (runs, filters, report_id))) != 1:
        raise CliError(
            "name the runs, select them with --project, --experiment and --tag, or use --id",
            EXIT_USAGE,
        )
    if table is not None and report_id is not None:
        raise CliError("--table is for a new report; --id names a stored one", EXIT_USAGE)
    if version is not None:
        if runs is None or len(runs) != 1 or "@" in runs[0]:
            raise CliError(
                "--version needs a single RUN; for several runs use RUN@VERSION", EXIT_USAGE
            )
        runs = [f"{runs[0]}@{version}"]
    if local and server:
        raise CliError("use --local or --server, not both", EXIT_USAGE)
    if local and report_id is not None:
        raise CliError("--id names a report on the server; omit --local", EXIT_USAGE)
    named_here = () if server else runs or ()
    own: list[LocalRun | None] = [find_local(ctx, text, is_local=local) for text in named_here]
    if local and filters:
        own.extend(ended_runs({"project": project, "experiment": experiment, "tag": tag}))
        title = title or f"Price of {_filtered(filters)}"
    if named := [each for each in own if each is not None]:
        if len(named) < len(own) or table is not None or version is not None:
            raise CliError(
                "a report on local runs has no other runs, no --table and no --version", EXIT_USAGE
            )
        if not local and any(map(pushed_to, named)):
            complain(
                "this report is on the copies on this machine; --server uses those of the server, "
                "with their newest price tags"
            )
        on_local = report_local(named, title, profile, wanted, output)
        answer(ctx, json, on_local, report_lines)
        return
    with open_client(ctx) as client:
        if tag:
            filters["tags"] = whole_tags(client, tag)
        if report_id is None:
            created = _make(client, runs, filters, title, profile, table)
        else:
            created = client.get_report(report_id)
        files = download(client, created["id"], wanted, output)
    written = {
        "id": created["id"],
        "title": created["title"],
        "price_tags": _price_tags(created["context"]),
        "files": files,
    }
    shown: list[Any] = []
    if table is not None:
        written["rows"] = created["context"]["lines"]
        shown = report_table(created["context"]["sections"][0]["tables"][0])
    answer(ctx, json, written, lambda result: [*shown, *_written_lines(result)])


def _price_tags(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The version of each run's price tag that a report uses."""
    names = {"run_id": "run_id", "name": "model", "version": "version"}
    names |= {"newest_version": "newest_version", "as_of": "as_of"}
    return [
        {name: run.get(key) for name, key in names.items()} for run in context.get("runs") or ()
    ]


def _written_lines(written: Mapping[str, Any]) -> Iterator[str]:
    yield f"report {written['id']}: {written['title']}"
    yield from _version_lines(written["price_tags"])
    for path in written["files"].values():
        yield f"  {path}"


def _version_lines(price_tags: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Price tags that are not the only version of their run; reports of old servers have none."""
    from pricetag.tag.view import as_of_text

    for tag in price_tags:
        version, newest = tag["version"], tag["newest_version"]
        if version is None or (version == newest == 1):
            continue
        which = "the newest" if version == newest else f"the newest is {newest}"
        entered = tag["as_of"]
        as_of = f", with the factors known on {as_of_text(entered)}" if entered else ""
        yield f"  {tag['name']}: version {version} of its price tag ({which}){as_of}"


def formats_of(text: str) -> list[ReportFormat]:
    """The formats that a text names.

    Raises:
        CliError: If one is unknown, or none is named.
    """
    if text == "all":
        return list(FORMATS)
    named = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [name for name in named if name not in FORMATS]
    if unknown or not named:
        raise CliError(f"--format {text}: must be all, or some of {', '.join(FORMATS)}", EXIT_USAGE)
    return [fmt for fmt in FORMATS if fmt in named]


def _make(
    client: Client,
    runs: list[str] | None,
    filters: dict[str, Any],
    title: str | None,
    profile: Profile,
    table: ReportTable | None,
) -> dict[str, Any]:
    from pricetag.cli.find import run_version
    from pricetag.client import ApiError

    named = [run_version(client, text) for text in runs or ()]
    ids = [run_id for run_id, _ in named]
    versions = {run_id: version for run_id, version in named if version is not None}
    if len(set(named)) > len(set(ids)):
        message = "a run is named with several versions; a report uses one price tag of each run"
        raise CliError(message, EXIT_USAGE)
    if title is None:
        subject = _filtered(filters) if filters else client.get_run(ids[0])["name"]
        title = f"{'Price' if table is None else 'GLUE'} of {subject}" + (
            f" and {len(ids) - 1} more" if len(ids) > 1 else ""
        )
    try:
        return client.create_report(
            title,
            runs=ids or None,
            filter=filters or None,
            profile=profile,
            versions=versions,
            table=table,
        )
    except ApiError as error:
        messages = "; ".join(_unpriced(client, fault, runs or (), ids) for fault in error.errors)
        if error.code != "nothing-to-report" or not ids or not messages:
            raise
        raise CliError(messages, EXIT_USAGE) from error


def _filtered(filters: Mapping[str, Any]) -> str:
    """The values of filters in words: ``text, sst2``."""
    several = (value if isinstance(value, list) else [value] for value in filters.values())
    return ", ".join(str(value) for values in several for value in values)


def _unpriced(
    client: Client, fault: Mapping[str, Any], runs: Sequence[str], ids: Sequence[str]
) -> str:
    """A run that cannot be reported on, as the user named it."""
    place = str(fault.get("field")).removeprefix("runs.")
    index = int(place) if place.isdecimal() else len(ids)
    if index >= len(ids) or "price tag" not in str(fault["message"]):
        return str(fault["message"])
    status = status_text(client.get_run(ids[index])["status"])
    return f"'{runs[index]}' ({ids[index][:8]}, {status}) has no price tag yet"


def download(
    client: Client, report_id: str, formats: list[ReportFormat], folder: Path
) -> dict[str, str]:
    """Writes a report's formats into a folder.

    Returns:
        The path of each format.

    Raises:
        CliError: If the folder cannot be written to.
    """
    return write_formats(
        f"report-{report_id[:8]}", formats, folder, lambda fmt: client.render_report(report_id, fmt)
    )
