"""Command line of the benchmark.

``python -m benchmarks.ingest [--nodes 8] [--attempts 8] [--devices 8] [--streams 200]
[--seconds 20]``

Server and database are real processes on their own folder. Each node is a process that reads its
devices once a second into journals and ships these as a worker does; nothing else of a worker runs
there. Streams are read over HTTP by one more process. By default 8 nodes have 64 devices each. CPU
is the time that processes used, in percent of one core; ``others`` is the use of the rest of the
machine at the same time. It takes about two minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

from benchmarks.ingest.measure import Bench, Figure, Load, write_json
from benchmarks.ingest.node import run_node
from benchmarks.ingest.streams import follow
from tests.support.service import service


def main() -> int:
    arguments = _parser().parse_args()
    if arguments.node:
        devices, attempts = arguments.devices, arguments.attempts
        asyncio.run(run_node(arguments.url, arguments.folder, arguments.node, attempts, devices))
        return 0
    if arguments.follow:
        asyncio.run(
            follow(arguments.follow, os.environ["BENCH_TOKEN"], arguments.runs, arguments.streams)
        )
        return 0
    signal.signal(signal.SIGTERM, _end)  # so that the service ends, too
    load = Load(
        arguments.nodes, arguments.attempts, arguments.devices, arguments.streams, arguments.seconds
    )
    figures: list[Figure] = []
    print(f"{load.readings_per_s} readings a second from {load.nodes * load.attempts} attempts")
    with tempfile.TemporaryDirectory(prefix="pricetag-bench-") as name:
        data_dir = Path(name) / "data"
        data_dir.mkdir()
        with service(data_dir) as running:
            for figure in Bench(running, load).figures():
                figures.append(figure)
                print(figure, flush=True)
    if arguments.json is not None:
        write_json(arguments.json, figures)
    return 0 if arguments.no_fail or not any(figure.is_over for figure in figures) else 1


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    usual = Load()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.ingest", description="Measure ingest and event streams."
    )
    parser.add_argument("--nodes", type=int, default=usual.nodes)
    parser.add_argument("--attempts", type=int, default=usual.attempts, help="on each node")
    parser.add_argument("--devices", type=int, default=usual.devices, help="of each attempt")
    parser.add_argument(
        "--streams", type=int, default=usual.streams, help="event streams that are read"
    )
    parser.add_argument(
        "--seconds", type=float, default=usual.seconds, help="length of each of three phases"
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--no-fail", action="store_true", help="exit with 0 above a goal, too")
    for hidden in ("--node", "--url", "--follow"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--runs", nargs="*", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
