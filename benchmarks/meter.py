"""How exact the meter is: Pricetag and CodeCarbon against the true energy, on one replay.

Simulated loads are seen through the sensors of a V100, an A100 and an H100, served by a stand-in
for the NVML library to Pricetag's meter, booking and ledger and to CodeCarbon's GPU classes, both
on the same clock. Gains are 1: what is compared is what becomes of a window's two edges.

    python -m benchmarks.meter [--windows 500] [--seed 1] [--write docs/explanation/methodology.md]
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.meter_simulation import LOADS, Outcome, simulate
from tests.support.sensors import A100, H100, VOLTA, Sensors

LENGTHS_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
SENSORS = (VOLTA, A100, H100)

BEGIN = "<!-- benchmarks.meter: begin -->"
END = "<!-- benchmarks.meter: end -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One cell of the bench: relative errors over its windows.

    Attributes:
        limit: Standard deviation of a window with two unaligned edges, u / (√6 T).
    """

    name: str
    windows: int
    pricetag_rms: float
    pricetag_p95: float
    codecarbon_rms: float
    codecarbon_p95: float
    limit: float

    @property
    def holds(self) -> bool:
        """At or under the limit, and no worse than CodeCarbon."""
        return self.pricetag_rms <= min(self.limit, self.codecarbon_rms)


def outcomes(
    sensors: Sensors, lengths_s: Sequence[float], windows: int, seed: int
) -> dict[str, list[Outcome]]:
    """By load; together at least ``windows`` of each length."""
    count = math.ceil(windows / len(LOADS))
    return {load: simulate(sensors, load, lengths_s, count, seed=seed) for load in LOADS}


def row(name: str, outcomes: Sequence[Outcome], update_s: float) -> Row:
    ours = [abs(o.pricetag_j - o.true_j) / o.true_j for o in outcomes]
    theirs = [abs(o.codecarbon_j - o.true_j) / o.true_j for o in outcomes]
    limits = [update_s / (math.sqrt(6.0) * o.duration_s) for o in outcomes]
    return Row(
        name, len(outcomes), _rms(ours), _p95(ours), _rms(theirs), _p95(theirs), _rms(limits)
    )


def _rms(values: Sequence[float]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def bench(windows: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Rows by sensor and length, and rows by sensor and load."""
    by_length: list[Row] = []
    by_load: list[Row] = []
    for sensors in SENSORS:
        loads = outcomes(sensors, LENGTHS_S, windows, seed)
        every = [outcome for of_load in loads.values() for outcome in of_load]
        for length_s in LENGTHS_S:
            own = [outcome for outcome in every if outcome.length_s == length_s]
            by_length.append(row(f"{sensors.name} | {length_s:g}", own, sensors.counter_s))
        for load, of_load in loads.items():
            own = [outcome for outcome in of_load if outcome.length_s == 1.0]
            by_load.append(row(f"{sensors.name} | {load}", own, sensors.counter_s))
    return by_length, by_load


def table(heading: str, rows: Iterable[Row]) -> str:
    """Markdown; errors in percent."""
    columns = ["Pricetag RMS", "p95", "CodeCarbon RMS", "p95", "edge limit"]
    lines = [f"| {heading} | {' | '.join(columns)} |", "| --- | --- |" + " ---: |" * len(columns)]
    for row in rows:
        figures = (
            row.pricetag_rms,
            row.pricetag_p95,
            row.codecarbon_rms,
            row.codecarbon_p95,
            row.limit,
        )
        lines.append(f"| {row.name} | " + " | ".join(_percent(f) for f in figures) + " |")
    return "\n".join(lines)


def _percent(ratio: float) -> str:
    return f"{100.0 * ratio:.2g}%" if ratio < 0.1 else f"{100.0 * ratio:.0f}%"


def written_between(text: str, new: str) -> str:
    """A document with what stands between the bench's marks replaced.

    Raises:
        ValueError: If the marks are not there.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"the document has no {BEGIN} ... {END}")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{new}\n\n{END}{after}"


def main(say: Callable[[str], None] = print) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--windows", type=int, default=500, help="of each sensor and length")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="a document with the bench's marks")
    options = parser.parse_args()
    logging.getLogger("pricetag").setLevel(logging.ERROR)  # bursts diverge: that is the point
    began_s = time.perf_counter()
    by_length, by_load = bench(options.windows, options.seed)
    text = "\n\n".join(
        [
            table("sensor | window (s)", by_length),
            "Windows of 1 s by load:",
            table("sensor | load", by_load),
        ]
    )
    say(text)
    if options.write:
        options.write.write_text(written_between(options.write.read_text(), text))
    missed = [row for row in [*by_length, *by_load] if not row.holds]
    for row in missed:
        say(f"NOT HELD: {row}")
    say(f"{time.perf_counter() - began_s:.1f} s, seed {options.seed}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
