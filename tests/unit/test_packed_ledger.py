"""Energy computed from columns equals that of the accounting, to the last digit."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.packed.columns import Columns
from models.packed.ledger import ledger_of
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.ledger import EnergyLedger, Ledger
from tests.support.packed import columns_of, trace

FAULTS = ["reset", "implausible", "blind", "dark", "silent", "lost", "gap", "back", "idle"]
EVENTS = st.sampled_from([*["ok"] * 4, *["still", "edge"] * 2, "late", "jump", *FAULTS])


@st.composite
def any_trace(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Readings in which all happens that the rules of booking mention, in any order."""
    has_activity = draw(st.booleans())
    t_s, counter_j, integrated_j, own_s, all_s, behind_j = 0.0, 1000.0, 0.0, 0.0, 0.0, 0.0
    rows: list[dict[str, Any]] = []

    def read(*flags: str, **changed: float | None) -> None:
        row: dict[str, Any] = {"t_s": t_s, "counter_j": counter_j, "integrated_j": integrated_j}
        row |= {"power_w": None, "own_busy_s": None, "all_busy_s": None}
        if has_activity and draw(st.integers(0, 4)):
            row |= {"own_busy_s": own_s, "all_busy_s": all_s}
        rows.append({**row, **changed, "seq": len(rows), "flags": list(flags)})

    read()
    for event in draw(st.lists(EVENTS, min_size=1, max_size=25)):
        step_s = draw(st.sampled_from([0.25, 1.0, 1.1, 1.0, 6.0]))
        power_w = draw(st.sampled_from([0.0, 3.0, 80.5, 400.0 / 3.0]))
        t_s += step_s
        integrated_j += power_w * step_s
        busy_s = draw(st.sampled_from([0.0, 0.3, 1.0, 5.0]))
        own_s, all_s = own_s + busy_s * step_s, all_s + draw(st.sampled_from([0.0, 1.0, 4.0]))
        if event == "still":
            behind_j += power_w * step_s
        elif event == "reset":
            counter_j, behind_j = 0.0, 0.0
        elif event == "jump":
            counter_j, behind_j = counter_j + power_w * step_s + behind_j, 0.0
        else:
            counter_j += power_w * step_s * 0.97
        if event == "back":
            rows.append({**rows[-1], "t_s": t_s - 3.0, "seq": len(rows)})
        elif event in ("silent", "lost"):
            read(event, counter_j=None, integrated_j=None)
        elif event == "blind":
            read(counter_j=None)
        elif event == "dark":
            read(integrated_j=None)
        elif event == "idle":
            own_s, all_s = 0.0, all_s / 2
            read()
        elif event in ("gap", "reset", "implausible"):
            read({"implausible": "implausible_power"}.get(event, event))
        else:
            read()
        if event in ("edge", "late"):  # the counter's next updates, as the meter waits for them
            for number in range(draw(st.integers(1, 3))):
                t_s += draw(st.sampled_from([0.0625, 0.1, 0.1, 0.25]))
                counter_j += power_w * draw(st.sampled_from([0.0, 0.1, 0.1]))
                read("late_tick" if event == "late" and not number else "tick")
    return rows


COMPONENTS = st.builds(
    Component,
    id=st.just("gpu:1"),
    kind=st.just("gpu"),
    name=st.just("H100"),
    method=st.sampled_from(
        ["counter", "counter", "counter", "integrated", "modelled", "estimated"]
    ),
    gain_std_ratio=st.just(0.02),
    reserved_ratio=st.sampled_from([1.0, 1.0, 3 / 7, 0.0]),
    baseline_w=st.sampled_from([None, 70.3, 0.0]),
    has_model=st.booleans(),
    booking_rules=st.sampled_from([1, 2]),
)


def windows(ledger: Ledger, columns: Columns) -> list[Any]:
    """Everything that a ledger says about a trace: at and between all of its readings."""
    times_s = sorted({0.0, *columns.column("t_s").values.tolist()})
    between_s = [(here_s + next_s) / 2 for here_s, next_s in pairwise(times_s)]
    edges_s = sorted({*times_s, *between_s, times_s[-1] + 1.0})
    spans = [
        *pairwise(edges_s),
        (edges_s[0], edges_s[-1]),
        *zip(edges_s, edges_s[7:], strict=False),
    ]
    energies = [repr(ledger.window(start_s, end_s)) for start_s, end_s in spans]
    return [ledger.read_s, *energies, [repr(ledger.charged_j(*span)) for span in spans]]


def same(component: Component, rows: list[dict[str, Any]]) -> None:
    columns = columns_of(rows)
    expected = windows(EnergyLedger.of(component, columns.readings()), columns)
    assert windows(ledger_of(component, columns), columns) == expected


ONE: list[dict[str, Any]] = [{"seq": 0, "t_s": 1.0, "counter_j": 5.0, "flags": []}]
HOST = Component("rapl:0", "cpu", "EPYC", "counter", 0.02, baseline_w=60.0, has_model=True)


@settings(max_examples=400)
@given(COMPONENTS, any_trace())
@example(HOST, [])
@example(HOST, ONE)
@example(replace(HOST, reserved_ratio=0.5), [*ONE, {**ONE[0], "seq": 1}])
def test_every_window_is_the_same(component: Component, rows: list[dict[str, Any]]) -> None:
    same(component, rows)


@pytest.mark.parametrize("has_model", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_long_traces_are_the_same(seed: int, *, has_model: bool) -> None:
    component = replace(HOST, has_model=has_model, reserved_ratio=0.25)
    same(component, trace(seed, 1500))


def test_figures_that_are_not_finite_are_booked_by_the_accounting() -> None:
    rows = trace(3, 20)
    rows[7]["counter_j"] = math.inf
    same(HOST, rows)


def test_impossible_shares_are_rejected() -> None:
    with pytest.raises(ValueError, match="reserved_ratio"):
        ledger_of(replace(HOST, reserved_ratio=1.5), columns_of(trace(1, 3)))
