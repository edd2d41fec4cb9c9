"""A small, seeded slice of ``benchmarks.meter``: end to end, against the true energy."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.meter import BEGIN, END, outcomes, row, table, written_between
from benchmarks.meter_simulation import LOADS, simulate
from tests.support.sensors import A100, H100, VOLTA, Sensors


@pytest.mark.parametrize("sensors", [VOLTA, A100, H100])
def test_windows_are_within_half_the_edge_limit_and_better_than_codecarbon_s(
    sensors: Sensors,
) -> None:
    simulated = outcomes(sensors, (0.5, 2.0, 10.0), windows=36, seed=7)
    for length_s in (0.5, 2.0, 10.0):
        own = [o for every in simulated.values() for o in every if o.length_s == length_s]
        assert len(own) == 36
        cell = row("", own, sensors.counter_s)
        assert cell.pricetag_rms < 0.5 * cell.limit
        assert cell.pricetag_rms < 0.5 * cell.codecarbon_rms
        assert cell.holds


@pytest.mark.parametrize("load", list(LOADS))
def test_no_load_is_metered_worse_than_its_edges_allow(load: str) -> None:
    cell = row("", simulate(H100, load, (1.0,), 25, seed=3), H100.counter_s)
    assert cell.pricetag_rms < 0.7 * cell.limit


def test_codecarbon_s_energy_is_the_true_energy_except_for_its_edges() -> None:
    """The bench itself: with long windows both tend to the same, true figure."""
    for outcome in simulate(A100, "constant", (60.0,), 5, seed=1):
        assert outcome.pricetag_j == pytest.approx(outcome.true_j, rel=1e-3)
        assert outcome.codecarbon_j == pytest.approx(outcome.true_j, rel=3e-3)


def test_the_table_goes_between_the_marks() -> None:
    cell = row("A100 | 1", simulate(A100, "constant", (1.0,), 3, seed=1), 0.1)
    text = written_between(f"before\n{BEGIN}\nold\n{END}\nafter", table("sensor | window", [cell]))
    assert "old" not in text
    assert text.startswith("before\n")
    assert text.endswith("after")
    assert "| A100 | 1 | " in text
    with pytest.raises(ValueError, match=r"benchmarks\.meter: begin"):
        written_between("no marks", "table")


def test_the_documentation_contains_the_table() -> None:
    text = Path("docs/explanation/methodology.md").read_text()
    table_text = text.partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in table_text.splitlines() if line.startswith("| H100")]
    assert len(rows) == 8 + len(LOADS)
