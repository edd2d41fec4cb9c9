from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Device,
    Factor,
    Factors,
    HourlyFactor,
    Measurement,
    PriceTagInputs,
)
from pricetag.accounting.bill.live import (
    LiveCharge,
    advance,
    hours_between,
    live_figures,
    live_rates,
)
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.hours import energy_by_hour_j
from pricetag.accounting.readings.ledger import EnergyLedger, Reading
from pricetag.accounting.readings.reading import Method

START = "2026-03-01T12:30:00+00:00"
OPENED_AT = datetime.fromisoformat("2026-03-01T12:59:40+00:00")


def component(method: Method = "counter", **values: Any) -> Component:
    return Component("gpu:1", "gpu", "A100", method, 0.05, **values)


def ledger_of(readings: list[Reading], of: Component) -> float | None:
    ledger = EnergyLedger(
        readings, of.method, reserved_ratio=of.reserved_ratio, baseline_w=of.baseline_w
    )
    return ledger.window(readings[0].t_s, readings[-1].t_s).energy_j


def charged(batches: list[list[Reading]], of: Component) -> float | None:
    charge = LiveCharge()
    for batch in batches:
        charge = advance(charge, batch, of, OPENED_AT)
    return charge.energy_j


steps = st.lists(
    st.tuples(
        st.floats(0.05, 2.0),  # s
        st.floats(1.0, 700.0),  # W
        st.floats(0.0, 1.0),  # own part of the activity
        st.floats(0.01, 1.0),  # everybody's, of the time
    ),
    min_size=2,
    max_size=40,
)


@st.composite
def traces(draw: st.DrawFn) -> tuple[list[list[Reading]], Component]:
    """Readings in batches, with or without a counter, activity, a share and a baseline."""
    method: Method = draw(st.sampled_from(["counter", "integrated", "modelled"]))
    shared, resets = draw(st.booleans()), draw(st.sets(st.integers(1, 39), max_size=3))
    lacks = draw(st.sets(st.integers(0, 39), max_size=3))
    counter_j = integrated_j = own_s = all_s = t_s = 0.0
    readings = []
    for index, (dt_s, power_w, part, busy) in enumerate(draw(steps)):
        t_s += dt_s
        counter_j = 0.0 if index in resets else counter_j + power_w * dt_s
        integrated_j += 1.01 * power_w * dt_s
        own_s, all_s = own_s + part * busy * dt_s, all_s + busy * dt_s
        has_counter = method == "counter" and index not in lacks
        busy_s = (own_s, all_s) if shared else (None, None)
        counted_j = 1e6 + counter_j if has_counter else None
        readings.append(Reading(t_s, counted_j, integrated_j, power_w, (), *busy_s))
    baseline_w = draw(st.none() | st.floats(0, 100))
    of = component(method, reserved_ratio=draw(st.floats(0.1, 1.0)), baseline_w=baseline_w)
    cuts = sorted(draw(st.sets(st.integers(0, len(readings)))))
    edges = [0, *cuts, len(readings)]
    batches = [readings[a:b] for a, b in pairwise(edges)]
    return batches, of


@given(traces())
def test_however_readings_are_batched_the_charge_is_the_bill_s(
    trace: tuple[list[list[Reading]], Component],
) -> None:
    batches, of = trace
    readings = [reading for batch in batches for reading in batch]
    whole_j = ledger_of(readings, of)
    assert charged(batches, of) == (None if whole_j is None else pytest.approx(whole_j, rel=1e-9))


@given(traces())
def test_the_hours_of_the_charge_add_up_to_it(
    trace: tuple[list[list[Reading]], Component],
) -> None:
    batches, of = trace
    charge, by_hour = LiveCharge(), dict[str, float]()
    for batch in batches:
        charge = advance(charge, batch, of, OPENED_AT)
        by_hour |= {hour: one.energy_j for hour, one in charge.hours.items()}
        assert sum(by_hour.values()) == pytest.approx(charge.energy_j or 0.0, rel=1e-9)
    readings = [reading for batch in batches for reading in batch]
    ledger = EnergyLedger(
        readings, of.method, reserved_ratio=of.reserved_ratio, baseline_w=of.baseline_w
    )
    ends = (readings[0].t_s, readings[-1].t_s)
    billed = energy_by_hour_j(ledger, OPENED_AT, *ends)
    assert {hour: energy_j for hour, energy_j in by_hour.items() if energy_j} == pytest.approx(
        billed, rel=1e-9, abs=1e-9
    )


def test_hours_that_are_over_are_removed() -> None:
    readings = [Reading(1800.0 * n, 1000.0 * n, None, 100.0) for n in range(6)]
    charge = LiveCharge()
    for reading in readings:
        charge = advance(charge, [reading], component(), OPENED_AT)
    assert list(charge.hours) == ["2026-03-01T14:00:00+00:00", "2026-03-01T15:00:00+00:00"]
    assert charge.hours["2026-03-01T14:00:00+00:00"].energy_j == pytest.approx(2000)


@given(st.integers(1, 5), st.booleans())
def test_a_frozen_counter_is_booked_as_on_the_bill(size: int, caught_up: bool) -> None:
    """30 s frozen at 200 W, then on: by a jump that brings all, or as if nothing had been."""
    readings, counter_j = [], 0.0
    for second in range(61):
        if second in range(10, 40):
            missed_j = 200.0 if caught_up else 0.0
        else:
            counter_j += 200.0 + (30 * missed_j if second == 40 and caught_up else 0.0)
        readings.append(Reading(float(second), counter_j, 200.0 * second, 200.0))
    batches = [readings[at : at + size] for at in range(0, 61, size)]
    whole_j = ledger_of(readings, component())
    assert whole_j == pytest.approx(12_000.0, rel=0.02)
    assert charged(batches, component()) == pytest.approx(whole_j, rel=0.02)
    # Even during the standstill the energy is charged, by the integral.
    frozen = readings[:36]
    batches = [frozen[at : at + size] for at in range(0, 36, size)]
    assert charged(batches, component()) == pytest.approx(ledger_of(frozen, component()), rel=1e-9)


def test_marks_of_the_counter_s_updates_move_nothing() -> None:
    plain = [Reading(float(s), 100.0 * s, None, 100.0) for s in range(5)]
    marked = [Reading(r.t_s, r.counter_j, None, 100.0, ("tick",)) for r in plain]
    assert charged([[r] for r in marked], component()) == charged([plain], component()) == 400.0


def test_nothing_is_known_before_the_second_reading() -> None:
    charge = advance(LiveCharge(), [], component(), OPENED_AT)
    assert charge == LiveCharge()
    charge = advance(charge, [Reading(0.0, 5.0, 5.0, 1.0)], component(), OPENED_AT)
    assert charge.energy_j is None
    assert charge.last is not None


def factor(value: float, unit: str = "1") -> Factor:
    return Factor(value, unit, 0.05, "estimated", "somebody")


PUE, CARBON = factor(1.2), factor(400.0, "g/kWh")
PRICES: dict[str, dict[str, Any]] = {
    "electricity alone": {"electricity_tariff": factor(0.3, "USD/kWh"), "currency": "USD"},
    "cloud": {
        "cloud_price_low": factor(1.0, "USD"),
        "cloud_price_high": factor(3.0, "USD"),
        "electricity_tariff": factor(0.3, "USD/kWh"),
        "currency": "USD",
    },
    "owned": {"internal_price": factor(0.8, "USD"), "currency": "USD"},
    "owned and electricity": {
        "internal_price": factor(0.8, "USD"),
        "cloud_price_low": factor(1.0, "USD"),
        "electricity_tariff": factor(0.3, "USD/kWh"),
        "currency": "USD",
    },
    "nothing": {},
}


@pytest.mark.parametrize("prices", list(PRICES.values()), ids=list(PRICES))
@pytest.mark.parametrize("devices", [0, 2])
@pytest.mark.parametrize("calibrated", [False, True])
def test_the_figures_are_those_of_the_price_tag(
    prices: dict[str, Any], devices: int, calibrated: bool
) -> None:
    kind = "gpu" if devices else "cpu"
    of = Component(f"{kind}:1", kind, "A100", "counter", 0.05)  # type: ignore[arg-type]
    window = EnergyLedger(
        [Reading(0.0, 0.0, 0.0, 1e3), Reading(5400.0, 5.4e6, 5.4e6, 1e3)], max_gap_s=1e9
    ).window(0.0, 5400.0)
    attempt = AttemptInput(
        number=1,
        status="succeeded",
        reason=None,
        started_at=START,
        duration_s=5400.0,
        components=(of,),
        measurements=(Measurement(of.id, window),),
        devices=tuple(Device("A100", f"GPU-{n}") for n in range(devices)),
        node_name="n",
    )
    calibrations = {of.id: factor(1.1)} if calibrated else {}
    factors = Factors(pue=PUE, carbon_intensity=CARBON, calibrations=calibrations, **prices)
    tag = build_price_tag(PriceTagInputs("r", "r", 1, (attempt,), factors, "2"))
    now = datetime(2026, 3, 1, 14, 0, tzinfo=UTC)
    figures = live_figures(
        attempt,
        {of.id: window.energy_j},
        factors,
        live_rates(factors, datetime.fromisoformat(attempt.started_at), now),
    )
    (billed,) = tag.attempts
    assert figures.it_energy_kwh == pytest.approx(billed.energy.it_energy_kwh.value)
    assert figures.facility_energy_kwh == pytest.approx(billed.energy.facility_energy_kwh.value)
    assert figures.co2e_kg == pytest.approx(billed.energy.co2e_kg.value)
    total = billed.as_dict()["cost"]["total"]["value"]
    assert figures.cost == (None if total is None else pytest.approx(total))
    assert figures.currency == (None if total is None else "USD")


def test_hours_since_the_start_count_equally_and_missing_ones_by_the_flat_factor() -> None:
    hours = hours_between(datetime.fromisoformat(START), datetime(2026, 3, 1, 15, 0, tzinfo=UTC))
    assert hours == tuple(f"2026-03-01T{hour}:00:00+00:00" for hour in (12, 13, 14, 15))
    by_hour = HourlyFactor(CARBON, {hours[0]: 100.0, hours[1]: 200.0, hours[3]: 500.0})
    factors = Factors(pue=PUE, carbon_intensity=CARBON, carbon_hours=by_hour)
    attempt = AttemptInput(1, "running", None, START, 1.0, (), ())
    now = datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
    figures = live_figures(
        attempt,
        {"cpu": 3.6e6, "ram": None},
        factors,
        live_rates(factors, datetime.fromisoformat(attempt.started_at), now),
    )
    assert figures.facility_energy_kwh == pytest.approx(1.2)
    assert figures.co2e_kg == pytest.approx(1.2 * (100 + 200 + 400 + 500) / 4 / 1000)


def test_unmetered_energy_and_missing_factors_are_unknown() -> None:
    attempt = AttemptInput(1, "running", None, START, 3600.0, (), (), devices=(Device("A100"),))
    now = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
    factors = Factors(pue=PUE, carbon_intensity=None, **PRICES["owned and electricity"])
    figures = live_figures(
        attempt,
        {"cpu": None},
        factors,
        live_rates(factors, datetime.fromisoformat(attempt.started_at), now),
    )
    assert (figures.it_energy_kwh, figures.facility_energy_kwh, figures.co2e_kg) == (
        None,
        None,
        None,
    )
    assert figures.cost == 0.8  # its hours are known
    figures = live_figures(
        attempt,
        {"cpu": 3.6e6},
        factors,
        live_rates(factors, datetime.fromisoformat(attempt.started_at), now),
    )
    assert (figures.facility_energy_kwh, figures.co2e_kg) == (1.2, None)
