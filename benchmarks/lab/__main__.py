"""Command line of the benchmark: fill, measure, sizes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.lab import fill as filling
from benchmarks.lab.scale import Scale, nodes_for, present_hour, variants_for


def main() -> int:
    given = _parser().parse_args()
    result: int = given.run(given)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    fill = commands.add_parser("fill", help="fill a database with a lab's history")
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
    return parser


def _place(command: argparse.ArgumentParser) -> None:
    place = command.add_mutually_exclusive_group(required=True)
    place.add_argument("--data", type=Path, help="data folder with an embedded PostgreSQL")
    place.add_argument("--database-url", help="PostgreSQL database of a superuser")


def _fill(given: argparse.Namespace) -> int:
    scale = Scale(
        runs=given.runs,
        nodes=given.nodes or nodes_for(given.runs),
        devices=given.devices,
        years=given.years,
        variants=given.variants or variants_for(given.runs),
        extra_readings=given.extra_readings,
        traces=given.traces,
        trace_hours=given.trace_hours,
        seed=given.seed,
        until=present_hour(),
    )
    try:
        if given.data is not None:
            filling.fill_folder(given.data, scale, given.jobs)
        else:
            filling.fill(given.database_url, scale, given.jobs)
    except filling.OtherLabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
