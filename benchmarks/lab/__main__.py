"""Command line of the benchmark: fill, measure, sizes, page."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import psycopg

from app import embedded_postgres
from app.db import libpq_url
from benchmarks.lab import fill as filling
from benchmarks.lab import page, sizes, tables
from benchmarks.lab.measure import CALLERS, Limits, Timed, measure, write_json
from benchmarks.lab.scale import Scale, nodes_for, present_hour, variants_for


def main() -> int:
    options = _parser().parse_args()
    result: int = options.run(options)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_fill(commands.add_parser("fill", help="fill a database with a lab's history"))
    _add_measure(commands.add_parser("measure", help="measure every request against its goal"))
    size = commands.add_parser("sizes", help="bytes by table and index, and for each run")
    _place(size)
    size.add_argument("--indexes", action="store_true", help="list indexes too")
    size.set_defaults(run=_sizes)
    written = commands.add_parser("page", help="put measurements into the page about them")
    written.add_argument("--requests", type=Path, required=True, help="from `measure --json`")
    written.add_argument("--pages", type=Path, help="from `python -m benchmarks.pages --json`")
    written.add_argument("--about", default="", help="what was measured, and where: a sentence")
    written.set_defaults(run=_page)
    return parser


def _add_fill(fill: argparse.ArgumentParser) -> None:
    _place(fill)
    fill.add_argument("--runs", type=int, required=True, help="number of finished runs")
    fill.add_argument(
        "--nodes", type=int, help="number of nodes (default: 40 at a million runs, else fewer)"
    )
    fill.add_argument("--devices", type=int, default=8, help="accelerators of each node")
    fill.add_argument("--years", type=float, default=3.0, help="length of the history")
    fill.add_argument(
        "--variants", type=int, help="runs carried out by the service; the others repeat them"
    )
    fill.add_argument(
        "--extra-readings",
        type=int,
        default=0,
        help="readings of a component in each stage, besides those at its edges",
    )
    fill.add_argument(
        "--traces", type=int, default=3, help="runs with a power trace of 1 Hz on all devices"
    )
    fill.add_argument("--trace-hours", type=int, default=24, help="length of such a trace")
    fill.add_argument("--seed", type=int, default=1)
    fill.add_argument("--jobs", type=int, default=2, help="processes that write")
    fill.set_defaults(run=_fill)


def _add_measure(parser: argparse.ArgumentParser) -> None:
    _place(parser)
    parser.add_argument("--repeats", type=int, default=20, help="requests of a row")
    parser.add_argument(
        "--row-seconds", type=float, default=10.0, help="after these, few repeats are enough"
    )
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="time for all rows, which share it"
    )
    parser.add_argument(
        "--callers", nargs="+", choices=CALLERS, default=list(CALLERS), help="who asks"
    )
    parser.add_argument("--only", default="", help="part of the titles to measure")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--markdown", type=Path, help="file for the tables")
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 above a goal, too")
    parser.set_defaults(run=_measure)


def _place(command: argparse.ArgumentParser) -> None:
    place = command.add_mutually_exclusive_group(required=True)
    place.add_argument("--data", type=Path, help="data folder with an embedded PostgreSQL")
    place.add_argument("--database-url", help="PostgreSQL database of a superuser")


def _fill(options: argparse.Namespace) -> int:
    scale = Scale(
        runs=options.runs,
        nodes=options.nodes or nodes_for(options.runs),
        devices=options.devices,
        years=options.years,
        variants=options.variants or variants_for(options.runs),
        extra_readings=options.extra_readings,
        traces=options.traces,
        trace_hours=options.trace_hours,
        seed=options.seed,
        until=present_hour(),
    )
    try:
        if options.data is not None:
            filling.fill_folder(options.data, scale, options.jobs)
        else:
            filling.fill(options.database_url, scale, options.jobs)
    except filling.OtherLabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(options: argparse.Namespace) -> int:
    rows: list[Timed] = []
    for row in measure(
        data_dir=options.data,
        database_url=options.database_url,
        limits=Limits(options.repeats, options.row_seconds, 60 * options.minutes),
        callers=options.callers,
        only=options.only,
    ):
        rows.append(row)
        print(tables.line(row), flush=True)
        if options.json is not None:
            write_json(options.json, rows)
    print(tables.summary(rows))
    if options.markdown is not None:
        options.markdown.write_text(tables.markdown(rows))
    fine = all(row.verdict == "ok" for row in rows)
    return 0 if fine or options.no_fail else 1


def _page(options: argparse.Namespace) -> int:
    page.write(options.requests, options.pages, options.about)
    return 0


def _sizes(options: argparse.Namespace) -> int:
    url = options.database_url or embedded_postgres.ensure(options.data)
    try:
        with psycopg.connect(libpq_url(url)) as connection:
            print(sizes.report(connection, indexes=options.indexes))
    finally:
        if options.data is not None:
            embedded_postgres.release(options.data)
    return 0


if __name__ == "__main__":
    sys.exit(main())
