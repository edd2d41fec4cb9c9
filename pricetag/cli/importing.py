"""``pricetag import``: measurements of other tools, as local runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_FAILURE, EXIT_USAGE, CliError, complain
from pricetag.cli.options import Json

if TYPE_CHECKING:
    from pricetag.imports.imported import Imported
    from pricetag.local.importing import Filing, Plan

Format = Literal["codecarbon", "carbontracker", "zeus", "eco2ai", "sacct"]

EXAMPLES = (
    "Examples:\n\npricetag import emissions.csv --preview\n\n"
    "pricetag import logs/*_carbontracker.log --project reviews"
)
KWH_J = 3.6e6
SHORT_ID = 8


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("import", epilog=EXAMPLES)(import_files)


def import_files(
    ctx: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE",
            help="Files of other tools: emissions.csv of CodeCarbon, logs of carbontracker, tables "
            "of Zeus or Eco2AI, output of Slurm's `sacct -P`.",
        ),
    ],
    file_format: Annotated[
        Format | None, typer.Option("--format", help="Format of the files. Default: recognized.")
    ] = None,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            "--dry-run",
            help="Check the files and show what would be imported; write nothing.",
        ),
    ] = False,
    project: Annotated[
        str | None,
        typer.Option(
            help="Project of the runs. Default: the one in the file, else PRICETAG_PROJECT."
        ),
    ] = None,
    experiment: Annotated[
        str | None, typer.Option(help="Experiment of the runs. Default: the name of the tool.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Tag of the runs (repeatable).")] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            help="IANA time zone of times that state none, e.g. Europe/Berlin. Default: that of "
            "this machine."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Import measurements of other tools as local runs, with price tags.

    All files are checked first: an error names the file and the line, and nothing is imported. The
    same file again adds only what is new. Each run states which tool measured it; its energy is an
    estimate of that tool, priced with your factors. `pricetag push` sends the runs to the server.
    """
    from pricetag.imports.source import Source
    from pricetag.imports.tables import ImportFileError
    from pricetag.local import importing

    filing = _filing(project, experiment, tag or ())
    zone = None if time_zone is None else _zone(time_zone)
    plans: list[Plan] = []
    for path in dict.fromkeys(files):
        try:
            plans.append(importing.plan(Source(path, zone), filing, file_format))
        except ImportFileError as error:
            raise CliError(f"{_place(path, error.line)}: {error}; nothing is imported") from error
        except OSError as error:
            raise CliError(f"{path} cannot be read: {error.strerror}", EXIT_USAGE) from error
    counts = [0 if preview else _carry_out(planned, filing) for planned in plans]
    for planned in plans:
        for run in planned.changed:
            complain(
                f"{_place(planned.source.path, run.line)}: the run {str(run.run_id)[:SHORT_ID]} "
                "was imported before with other figures, which stay"
            )
    results = [
        _result(planned, count, filing) for planned, count in zip(plans, counts, strict=True)
    ]
    answer(ctx, json, {"preview": preview, "files": results}, _text)


def _warnings(planned: Plan, filing: Filing) -> Iterator[str]:
    """What the options and the settings leave as it is."""
    from pricetag.tag.figures import counted

    for option, count in planned.kept.items():
        yield (
            f"{counted(count, 'run')} imported before kept what they were filed with: {option} was "
            "not applied"
        )
    if filing.has_zone or not planned.countries:
        return
    for country, count in planned.countries.most_common(3):
        yield (
            f"the file names {country} for {counted(count, 'run')}, but no grid zone is set: their "
            "CO2e has the world's mean carbon intensity. Set PRICETAG_GRID_ZONE before you import: "
            "imported runs keep their factors"
        )


def _filing(project: str | None, experiment: str | None, tags: Sequence[str]) -> Filing:
    from pricetag.configuration import ConfigurationError
    from pricetag.local.importing import Filing
    from pricetag.local.settings import read_settings

    try:
        return Filing(read_settings(), project, experiment, tags)
    except ConfigurationError as error:
        raise CliError(str(error), EXIT_USAGE) from error


def _zone(name: str) -> tzinfo:
    from pricetag.accounting.budgets.periods import zone_of

    try:
        return zone_of(name)
    except ValueError as error:
        raise CliError(f"--time-zone: {error}", EXIT_USAGE) from error


def _place(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}, line {line:,}"


def _carry_out(planned: Plan, filing: Filing) -> int:
    """Files the new runs; returns their number."""
    from pricetag.imports.tables import ImportFileError
    from pricetag.local import importing

    count = 0
    try:
        for _ in importing.carry_out(planned, filing):
            count += 1
    except ImportFileError as error:
        raise CliError(
            f"{_place(planned.source.path, error.line)}: the file has changed while it was "
            f"imported: {error}; {count:,} runs are imported: import it again"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise CliError(
            f"{planned.source.path}: {count:,} runs are imported, the next one cannot be written: "
            f"{why}. Import the file again to add the others",
            EXIT_FAILURE,
        ) from error
    return count


def _result(planned: Plan, imported: int, filing: Filing) -> dict[str, Any]:
    return {
        "file": str(planned.source.path),
        "format": planned.format,
        "new": planned.states["new"],
        "present": planned.states["present"],
        "changed": planned.states["changed"],
        "imported": imported,
        "skipped": dict(planned.skipped),
        "warnings": list(_warnings(planned, filing)),
        "it_energy_kwh": planned.energy_j / KWH_J,
        "duration_s": planned.duration_s,
        "first_at": _time(planned.first_at),
        "last_at": _time(planned.last_at),
        "runs": [_example(run, filing) for run in planned.examples],
    }


def _example(run: Imported, filing: Filing) -> dict[str, Any]:
    return {
        "id": str(run.run_id),
        "line": run.line,
        "name": run.name,
        "project": filing.project_of(run),
        "started_at": _time(run.started_at),
        "duration_s": run.duration_s,
        "it_energy_kwh": run.energy_j / KWH_J,
        "measured_by": run.measured_by,
    }


def _time(at: Any) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


def _text(result: Mapping[str, Any]) -> Iterator[str]:
    for each in result["files"]:
        yield from _file_text(each, is_preview=result["preview"])
    if not result["preview"] and any(each["imported"] for each in result["files"]):
        yield (
            "Show one with `pricetag show ID`, all with `pricetag runs --local`; send them with "
            "`pricetag push --all`."
        )


def _file_text(file: Mapping[str, Any], *, is_preview: bool) -> Iterator[str]:
    from pricetag.tag.figures import counted, duration_text, with_unit

    number = file["new"] if is_preview else file["imported"]
    verb = "to import" if is_preview else "imported"
    figures = ""
    if file["new"]:
        figures = (
            f", {with_unit(file['it_energy_kwh'], 'kWh')} of IT energy in "
            f"{duration_text(file['duration_s'])}"
        )
    yield f"{file['file']} ({file['format']}): {counted(number, 'run')} {verb}{figures}"
    if file["present"]:
        yield f"  {counted(file['present'], 'run')} imported before"
    for why, count in file["skipped"].items():
        yield f"  {counted(count, 'line')} skipped: {why}"
    yield from (f"  {warning}" for warning in file["warnings"])
    for run in file["runs"]:
        yield (
            f"  {run['id'][:SHORT_ID]} (line {run['line']:,}): {run['started_at']}  "
            f"{duration_text(run['duration_s'])}  {with_unit(run['it_energy_kwh'], 'kWh')}  "
            f"{run['project']}  {run['name']}"
        )
    hidden = file["new"] + file["present"] + file["changed"] - len(file["runs"])
    if hidden > 0:
        yield f"  and {counted(hidden, 'more run')}"
