"""Commands on issued price tags: reprice, verify, compare."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pricetag.cli.answering import answer
from pricetag.cli.console import EXIT_FAILURE, EXIT_NOT_CHECKED, EXIT_USAGE, CliError
from pricetag.cli.local_runs import (
    LocalOption,
    ServerOption,
    local_of_file,
    verify_local,
    which_copy,
)
from pricetag.cli.options import RUN_HELP, Json, RunArgument, open_client

if TYPE_CHECKING:
    from pricetag.client import Client

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")

MOST_OTHERS = 6
"""Maximum number of groups of a comparison beside the first two."""


COMPARE_EXAMPLES = (
    "Examples:\n\n"
    "pricetag compare 3f2a9c01 77b0e4d2\n\n"
    "pricetag compare 3f2a9c01,5d18b6aa 77b0e4d2,90ce1f37 --metric co2e_kg --seeds 2"
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command("reprice", epilog="Example: pricetag reprice last")(reprice)
    app.command("verify", epilog="Example: pricetag verify last")(verify)
    app.command("compare", epilog=COMPARE_EXAMPLES)(compare)


def reprice(
    ctx: typer.Context,
    run: RunArgument,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Use the factors known at the end of a day (2026-03-01, UTC) or at a time "
            "(2026-03-01T12:00:00+00:00). Default: those known now.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Issue a new version of a price tag, with the factors known now or at an earlier time.

    Earlier versions are kept. From then on, `show`, `report`, `compare` and `verify` use the new
    version unless another one is named. Budgets ignore versions issued with --as-of.
    """
    from pricetag.cli.find import run_id
    from pricetag.cli.views.pricing import version_lines

    moment = None if as_of is None else moment_of(as_of, datetime.now(UTC))
    with open_client(ctx) as client:
        version = client.reprice(run_id(client, run), as_of=moment)
    answer(ctx, json, version, version_lines)


def moment_of(text: str, now: datetime) -> str:
    """The time that a text states; a date means its end in UTC, today means now.

    Raises:
        CliError: If it is neither.
    """
    try:
        if _DAY.fullmatch(text):
            day = date.fromisoformat(text)
            end = datetime.combine(day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
            return (now if day == now.date() else end).isoformat()
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError("no time zone")
    except (ValueError, OverflowError):
        raise CliError(
            f"--as-of {text}: must be a day such as 2026-03-01 or a time with its zone such as "
            "2026-03-01T12:00:00+00:00",
            EXIT_USAGE,
        ) from None
    return moment.isoformat()


def verify(
    ctx: typer.Context,
    price_tag: Annotated[
        str,
        typer.Argument(
            metavar="PRICE_TAG",
            help="JSON file with a price tag; archive of a paper (ZIP file or folder), which needs "
            "no server; or RUN or RUN@VERSION for the price tag of a run of this machine or of the "
            f"server, where RUN is {RUN_HELP}.",
        ),
    ],
    offline: Annotated[
        bool, typer.Option("--offline", help="Check only the hash of a file; needs no server.")
    ] = False,
    local: LocalOption = False,
    server: ServerOption = False,
    json: Json = False,
) -> None:
    """Verify a price tag, or the archive of a paper.

    A price tag is recomputed from the stored readings, to the last digit; of an archive, all
    hashes and sums are checked.

    Exit code 0: verified. 1: a difference was found. 2: nothing could be compared, for example
    because there is no such price tag or no server. 5: no difference was found, but not every step
    could be checked, for example with --offline.
    """
    from pricetag.cli.views.pricing import verification_lines

    try:
        report = _verified(ctx, price_tag, offline=offline, local=local, server=server, json=json)
    except CliError as error:
        raise CliError(str(error), EXIT_USAGE, error.details) from error
    if report is None:
        return
    answer(ctx, json, report, verification_lines)
    if report["outcome"] != "verified":
        raise typer.Exit(EXIT_FAILURE if report["outcome"] == "differs" else EXIT_NOT_CHECKED)


def _verified(
    ctx: typer.Context, price_tag: str, *, offline: bool, local: bool, server: bool, json: bool
) -> dict[str, Any] | None:
    """The steps and their outcome; None for an archive, whose outcome is printed here."""
    from pricetag.cli import paper_archives, verifying
    from pricetag.cli.find import name_and_version

    if paper_archives.is_archive(price_tag):
        paper_archives.verify_archive(ctx, Path(price_tag), None, json)
        return None
    from_file = verifying.from_file(price_tag) if verifying.is_file(price_tag) else None
    own = None
    if from_file is not None and not offline:
        own = local_of_file(ctx, from_file, is_local=local, is_server=server)
    elif not offline:
        name, version = name_and_version(price_tag)
        own, run_id = which_copy(
            ctx, name, is_local=local, is_server=server, version=version, command="verify"
        )
        price_tag = run_id if version is None else f"{run_id}@{version}"
    if own is not None:
        return verify_local(own, from_file)
    if offline:
        if from_file is None:
            raise CliError(
                f"--offline checks a file, and there is no file {price_tag}; write one with "
                "`pricetag show RUN --json > price-tag.json`",
                EXIT_USAGE,
            )
        return verifying.by_itself(from_file)
    with open_client(ctx) as client:
        tag = from_file if from_file is not None else _fetched(client, price_tag)
        return verifying.with_server(client, tag, is_file=from_file is not None)


def _fetched(client: Client, text: str) -> dict[str, object]:
    from pricetag.cli.find import run_version

    return client.price_tag(*run_version(client, text))


def compare(
    ctx: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            metavar="RUNS_A",
            help="First group: runs of the same work, separated by commas, each " + RUN_HELP + ".",
        ),
    ],
    b: Annotated[
        str,
        typer.Argument(
            metavar="RUNS_B",
            help="Second group, written like the first: the reference for all other groups.",
        ),
    ],
    others: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUNS_C", help="Up to six more groups, written like the first."),
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            help="Quantity to compare: it_energy_kwh, facility_energy_kwh, co2e_kg, cost or "
            "duration_s."
        ),
    ] = "it_energy_kwh",
    seeds: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=50,
            help="Number of seeds that each group needs for a verdict on its quality. Default: 5.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare runs, or two to eight groups of repeated runs, as ratios with 95% intervals.

    Errors that both sides share, such as that of the carbon intensity, cancel in the ratio.
    The quality of a group is the mean over its seeds. It matches that of RUNS_B if it is within one
    standard deviation of RUNS_B. Lottery tickets that match the full model are winning tickets.
    """
    from pricetag.cli.find import run_id
    from pricetag.cli.views.pricing import comparison_view

    further = others or []
    if len(further) > MOST_OTHERS:
        raise CliError(
            f"RUNS_C: at most {MOST_OTHERS} groups beside RUNS_A and RUNS_B (got {len(further)})",
            EXIT_USAGE,
        )
    with open_client(ctx) as client:
        first, second, *more = (
            [run_id(client, part.strip()) for part in side.split(",")] for side in (a, b, *further)
        )
        ratio = client.compare(first, second, metric=metric, seeds=seeds, others=more)
    answer(ctx, json, ratio, comparison_view)
