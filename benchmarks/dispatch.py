"""How long a posted run waits for its process, and how many small runs a node gets through.

``python -m benchmarks.dispatch [--alone 30] [--runs 500] [--workers 10]``

Server, workers and database are real processes on their own folder. A run is a shell
that writes its number and the time into a file: so it is also seen that each ran once.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import UUID

from tests.support.service import Service, service, wait_until

CLIENTS = 8
SCRIPT = 'echo "$0 $(date +%s.%N)" >> "$1"'


@dataclass(frozen=True)
class Timed:
    """Times of one run, in s since the epoch."""

    posted_s: float  # the request was sent
    claimed_s: float  # a worker had it
    child_s: float  # its process spoke for the first time
    program_s: float  # the program itself began
    finished_s: float


class Marked:
    """Runs that leave a mark when they are executed."""

    def __init__(self, running: Service, folder: Path) -> None:
        self._running = running
        self._file = folder / "marks"
        self._file.touch()
        self._posted_s: dict[UUID, float] = {}
        self._number: dict[UUID, str] = {}

    def post(self, number: int) -> UUID:
        argv = ["/bin/sh", "-c", SCRIPT, str(number), str(self._file)]
        posted_s = time.time()
        run_id = self._running.submit(recipe={"stages": [{"kind": "command", "argv": argv}]})
        self._posted_s[run_id], self._number[run_id] = posted_s, str(number)
        return run_id

    def executed(self) -> Counter[str]:
        """How often each number was written."""
        return Counter(line.split()[0] for line in self._file.read_text().splitlines())

    def timed(self) -> list[Timed]:
        """The times of every run; asserts that each was executed once and succeeded."""
        assert self.executed() == Counter(self._number.values())
        began_s = {
            number: float(at_s)
            for number, at_s in map(str.split, self._file.read_text().splitlines())
        }
        spoke_s = _first_words_s(self._running.data_dir / "journal")
        return [
            self._timed(run_id, began_s[number], spoke_s[str(run_id)])
            for run_id, number in self._number.items()
        ]

    def _timed(self, run_id: UUID, program_s: float, child_s: float) -> Timed:
        run = self._running.run(run_id)
        assert run["status"] == "succeeded", run
        assert len(run["attempts"]) == 1, run
        return Timed(
            posted_s=self._posted_s[run_id],
            claimed_s=_seconds(run["attempts"][0]["started_at"]),
            child_s=child_s,
            program_s=program_s,
            finished_s=_seconds(run["finished_at"]),
        )


def _first_words_s(journals: Path) -> dict[str, float]:
    """When each run's child reported its environment, which it does first."""
    times_s = {}
    for path in journals.glob("*.jsonl*"):
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        first_record = next(record for record in records if record["type"] == "environment")
        times_s[str(records[0]["run_id"])] = _seconds(first_record["at"])
    return times_s


def _seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def _wait_for_all(running: Service, count: int, timeout_s: float) -> None:
    def over() -> bool:
        waiting = running.http.get(
            "/v1/runs", params={"status": ["queued", "running"], "limit": 1}
        ).json()["items"]
        return not waiting

    wait_until(over, f"the end of {count} runs", timeout_s=timeout_s, every_s=0.25)


def alone(count: int) -> list[Timed]:
    """Runs one after another on an idle service with one worker."""
    with _started(workers=1) as running:
        marked = Marked(running, running.data_dir)
        for number in range(count):
            running.wait_for_end(marked.post(number))
        return marked.timed()


def burst(count: int, workers: int) -> tuple[list[Timed], float]:
    """All runs at once on many workers; also how long posting them took, in s."""
    with _started(workers=workers) as running:
        marked = Marked(running, running.data_dir)
        began_s = time.time()
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(marked.post, range(count)))
        posting_s = time.time() - began_s
        _wait_for_all(running, count, timeout_s=3600.0)
        return marked.timed(), posting_s


@contextmanager
def _started(workers: int) -> Iterator[Service]:
    """A service whose workers have proved that they work."""
    with tempfile.TemporaryDirectory(prefix="pricetag-bench-") as name:
        data_dir = Path(name) / "data"
        data_dir.mkdir()
        with service(data_dir, allow_commands_pools="default") as running:
            for number in range(workers):
                running.start_worker("--gpus", "none", log=f"worker-{number}")
            warm_up: dict[str, Any] = {"kind": "command", "argv": ["sleep", "3"]}
            for _ in range(workers):
                running.submit(name="warm-up", recipe={"stages": [warm_up]})
            _wait_for_all(running, workers, timeout_s=300.0)
            yield running


def row(name: str, seconds: Sequence[float]) -> str:
    """Median and 95th percentile in ms."""
    cuts = quantiles(seconds, n=100, method="inclusive")
    return f"  {name:<32} p50 {cuts[49] * 1e3:8.0f} ms   p95 {cuts[94] * 1e3:8.0f} ms"


def table(timed: Sequence[Timed]) -> list[str]:
    """The steps of a run, each as the time since it was posted."""
    return [
        row("POST to claimed by a worker", [t.claimed_s - t.posted_s for t in timed]),
        row("POST to child started", [t.child_s - t.posted_s for t in timed]),
        row("POST to program running", [t.program_s - t.posted_s for t in timed]),
        row("POST to end booked", [t.finished_s - t.posted_s for t in timed]),
        row("claimed to end", [t.finished_s - t.claimed_s for t in timed]),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure dispatch and throughput of small runs.")
    parser.add_argument("--alone", type=int, default=30, help="runs one after another; 0: none")
    parser.add_argument("--runs", type=int, default=500, help="runs at once; 0: none")
    parser.add_argument("--workers", type=int, default=10)
    options = parser.parse_args()
    if options.alone:
        print(f"{options.alone} runs one after another, one worker")
        print("\n".join(table(alone(options.alone))))
    if options.runs:
        timed, posting_s = burst(options.runs, options.workers)
        total_s = max(t.finished_s for t in timed) - min(t.posted_s for t in timed)
        print(f"{options.runs} runs at once, {options.workers} workers: each executed exactly once")
        print("\n".join(table(timed)))
        print(f"  posted in {posting_s:.1f} s, {options.runs / posting_s:.0f} a second")
        print(f"  all over after {total_s:.1f} s, {options.runs / total_s:.1f} runs a second")


if __name__ == "__main__":
    main()
