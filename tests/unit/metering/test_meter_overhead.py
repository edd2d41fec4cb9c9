"""The cost of metering is stated with the spread of its repeats."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.meter_overhead import CASES, spread, table

ROOT = Path(__file__).resolve().parents[3]
ERROR = {case: [(0.02, 0.01), (0.01, 0.005)] for case in CASES}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.31], "0.31%"),
        ([0.5, 0.3, 0.4], "0.40% (0.30 to 0.50)"),
        ([1, 2], "1.50% (1.00 to 2.00)"),
    ],
)
def test_several_runs_are_a_median_with_its_ends(values: list[float], text: str) -> None:
    assert spread(values, 2, "%") == text


def test_every_figure_of_the_table_has_its_spread() -> None:
    run = {"share": 0.003, "memory_mb": 9.0, "first_start_s": 0.07, "start_s": 0.002}
    runs_by_case = {case: [run, {**run, "share": 0.004, "start_s": 0.003}] for case in CASES}
    rows = {
        line.split(" | ")[0].strip("| "): line for line in table(runs_by_case, ERROR).splitlines()
    }
    assert rows["share of one core"].count("0.35% (0.30 to 0.40)") == len(CASES)
    assert rows["a job's start"].count("2.5 ms (2.0 to 3.0)") == len(CASES)
    assert rows["slowdown, CPU time"].count("+1.0% ± 0.5%") == len(CASES)


def test_the_methodology_states_the_spread_beside_each_figure() -> None:
    text = (ROOT / "docs/explanation/methodology.md").read_text()
    section = text.split("Cost and validation of the meter")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    figures = [cell.strip() for row in rows for cell in row.split("|")[2:5] if "---" not in cell]
    assert len(figures) == 18
    for figure in figures:
        assert re.search(r" to |±", figure), figure
