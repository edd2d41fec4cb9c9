"""The charge for a shared device, on steps small enough to compute by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.sharing import (
    Tenant,
    activity_ratio,
    allocate,
    charge_j,
    division_j,
    idle_j,
)

# A counter at 300 W, of which 100 W are idle; the job is active for a quarter of the use.
OWN = (0.0, 1.0, 2.0, 3.0)
ALL = (0.0, 4.0, 8.0, 12.0)


def at_300_w(
    own: tuple[float | None, ...] = OWN, everybody: tuple[float | None, ...] = ALL
) -> list[Reading]:
    return [
        Reading(float(t), 5_000 + 300.0 * t, 300.0 * t, 300.0, (), own_s, all_s)
        for t, (own_s, all_s) in enumerate(zip(own, everybody, strict=True))
    ]


def test_an_exclusive_device_is_charged_in_full_with_the_split_beside_it() -> None:
    alone = [replace(reading, own_busy_s=None, all_busy_s=None) for reading in at_300_w()]
    window = EnergyLedger(alone, baseline_w=100.0).window(0, 3)
    assert (window.energy_j, window.device_energy_j, window.baseline_j) == (900.0, 900.0, 300.0)
    assert EnergyLedger(alone).window(0, 3).baseline_j is None


def test_idle_energy_is_charged_by_reservation_and_the_rest_by_activity() -> None:
    window = EnergyLedger(at_300_w(), reserved_ratio=0.5, baseline_w=100.0).window(0, 3)
    assert window.energy_j == pytest.approx(300 * 0.5 + 600 * 0.25)
    assert window.device_energy_j == 900.0
    assert window.baseline_j == pytest.approx(150.0)
    assert window.energy_by_source_j == {"counter": window.energy_j}
    assert window.covered_s == 3.0
    assert window.flags == ()


def test_without_a_baseline_half_is_taken_for_idle() -> None:
    window = EnergyLedger(at_300_w(), reserved_ratio=0.5).window(0, 3)
    assert window.energy_j == pytest.approx(450 * 0.5 + 450 * 0.25)
    assert window.baseline_j is None


@given(st.floats(0.01, 1), st.floats(0, 500))
def test_the_charge_is_within_its_division_for_any_idle_power(
    reserved_ratio: float, baseline_w: float
) -> None:
    unknown = EnergyLedger(at_300_w(), reserved_ratio=reserved_ratio).window(0, 3)
    ledger = EnergyLedger(at_300_w(), reserved_ratio=reserved_ratio, baseline_w=baseline_w)
    charged_j = ledger.window(0, 3).energy_j
    assert unknown.energy_j is not None
    assert charged_j is not None
    half_j = division_j(unknown.energy_j, 900.0, reserved_ratio)
    assert half_j == pytest.approx(900 * abs(reserved_ratio - 0.25) / 2, abs=1e-6)
    assert abs(charged_j - unknown.energy_j) <= half_j + 1e-6


def test_without_activity_figures_everything_is_charged_by_reservation() -> None:
    silent = [replace(reading, own_busy_s=None, all_busy_s=None) for reading in at_300_w()]
    window = EnergyLedger(silent, reserved_ratio=3 / 7, baseline_w=100.0).window(0, 3)
    assert window.energy_j == pytest.approx(900 * 3 / 7)
    assert window.baseline_j == pytest.approx(300 * 3 / 7)
    assert window.flags == ()  # it is the component's way, not an accident


def test_if_nobody_was_active_everything_is_charged_by_reservation() -> None:
    still = at_300_w(own=(2.0,) * 4, everybody=(7.0,) * 4)
    window = EnergyLedger(still, reserved_ratio=0.25, baseline_w=100.0).window(0, 3)
    assert window.energy_j == pytest.approx(225.0)
    assert window.flags == ()


def test_a_device_that_uses_less_than_its_baseline_is_all_idle() -> None:
    window = EnergyLedger(at_300_w(), reserved_ratio=0.5, baseline_w=400.0).window(0, 3)
    assert window.energy_j == window.baseline_j == 450.0


def test_readings_without_activity_are_bridged() -> None:
    whole = EnergyLedger(at_300_w(), reserved_ratio=0.5, baseline_w=100.0)
    holes = at_300_w(own=(0.0, None, 2.0, 3.0), everybody=(0.0, 4.0, 8.0, 12.0))
    bridged = EnergyLedger(holes, reserved_ratio=0.5, baseline_w=100.0)
    for edges in ((0, 3), (0, 1), (1, 2)):
        assert bridged.window(*edges) == whole.window(*edges)


def test_before_and_after_known_activity_the_reservation_counts() -> None:
    readings = at_300_w(own=(None, 1.0, 2.0, None))
    ledger = EnergyLedger(readings, reserved_ratio=0.5, baseline_w=100.0)
    assert ledger.window(0, 1).energy_j == pytest.approx(150.0)
    assert ledger.window(1, 2).energy_j == pytest.approx(100.0)
    assert ledger.window(2, 3).energy_j == pytest.approx(150.0)
    assert ledger.window(0, 1).flags == ledger.window(2, 3).flags == ("activity_missing",)
    assert ledger.window(1, 2).flags == ()


@pytest.mark.parametrize(
    ("own", "everybody"),
    [
        ((0.0, 1.0, 0.5, 1.5), ALL),  # own activity went back
        (OWN, (0.0, 4.0, 3.0, 7.0)),  # everybody's did
        ((0.0, 1.0, float("nan"), 3.0), ALL),
    ],
)
def test_activity_that_decreases_is_unknown_over_that_span(
    own: tuple[float, ...], everybody: tuple[float, ...]
) -> None:
    ledger = EnergyLedger(at_300_w(own, everybody), reserved_ratio=0.5, baseline_w=100.0)
    assert ledger.window(0, 1).energy_j == pytest.approx(100.0)
    assert ledger.window(1, 2).energy_j == pytest.approx(150.0)
    assert ledger.window(1, 2).flags == ("activity_inconsistent",)
    assert ledger.window(0, 1).flags == ()


def test_a_job_more_active_than_everybody_pays_all_of_the_dynamic_part() -> None:
    ledger = EnergyLedger(
        at_300_w(everybody=(0.0, 0.5, 1.0, 1.5)), reserved_ratio=0.5, baseline_w=0.0
    )
    window = ledger.window(0, 3)
    assert window.energy_j == window.device_energy_j == 900.0
    assert window.flags == ("activity_inconsistent",)


def test_ticks_of_two_clocks_do_not_contradict_each_other() -> None:
    readings = at_300_w(everybody=(0.0, 0.99, 1.98, 2.97))
    window = EnergyLedger(readings, reserved_ratio=0.5, baseline_w=0.0).window(0, 3)
    assert window.energy_j == pytest.approx(900.0)
    assert window.flags == ()


def test_evidence_of_a_shared_device_adds_up_to_the_charge() -> None:
    readings = at_300_w()
    readings[3] = replace(readings[3], counter_j=10.0)  # the driver was loaded again
    window = EnergyLedger(readings, reserved_ratio=0.5, baseline_w=100.0).window(0, 3)
    assert window.energy_by_source_j == {
        "counter": pytest.approx(200.0),
        "integrated": pytest.approx(100.0),
    }
    assert window.energy_j == sum(window.energy_by_source_j.values())
    assert window.device_energy_j == pytest.approx(900.0)


def test_a_job_that_did_nothing_is_charged_nothing_and_that_is_known() -> None:
    still = at_300_w(own=(0.0,) * 4)
    window = EnergyLedger(still, reserved_ratio=0.5, baseline_w=0.0).window(0, 3)
    assert (window.energy_j, window.device_energy_j) == (0.0, 900.0)
    assert window.reason is None


def test_unmetered_time_has_no_gross_and_no_baseline() -> None:
    window = EnergyLedger([], reserved_ratio=0.5, baseline_w=100.0).window(0, 3)
    assert (window.energy_j, window.device_energy_j, window.baseline_j) == (None, None, None)


@pytest.mark.parametrize(
    ("reserved_ratio", "baseline_w", "message"),
    [(1.1, None, "reserved_ratio"), (-0.1, None, "reserved_ratio"), (0.5, -1.0, "baseline_w")],
)
def test_impossible_shares_are_rejected(
    reserved_ratio: float, baseline_w: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EnergyLedger(at_300_w(), reserved_ratio=reserved_ratio, baseline_w=baseline_w)


def test_allocation_by_hand() -> None:
    # 100 J idle, 200 J dynamic; two slices of 2/7 and 3/7, and somebody outside.
    tenants = [Tenant(2 / 7, 1.0), Tenant(3 / 7, 2.0)]
    allocation = allocate(300.0, tenants, duration_s=1.0, baseline_w=100.0, all_busy_s=4.0)
    assert allocation.charged_j == pytest.approx((200 / 7 + 50, 300 / 7 + 100))
    assert allocation.unallocated_j == pytest.approx(200 / 7 + 50)
    assert allocation.flags == ()


def test_a_device_without_tenants_is_the_nodes() -> None:
    allocation = allocate(300.0, [], duration_s=1.0, baseline_w=100.0)
    assert (allocation.charged_j, allocation.unallocated_j, allocation.flags) == ((), 300.0, ())


def test_excessive_claims_of_tenants_are_reduced_and_flagged() -> None:
    allocation = allocate(300.0, [Tenant(1.0), Tenant(0.5)], duration_s=1.0)
    assert allocation.claimed_j == 450.0
    assert allocation.charged_j == pytest.approx((200.0, 100.0))
    assert (allocation.unallocated_j, allocation.flags) == (0.0, ("overallocated",))


def test_idle_dynamic_and_charged_follow_the_rule() -> None:
    assert idle_j(50.0, 1.0, 100.0) == 50.0
    assert idle_j(50.0, 1.0, None) == 25.0
    assert division_j(25.0, 100.0, 0.5) == 25.0
    assert division_j(0.1 + 0.2, 1.0, 0.3) == 0.0  # to a rounding
    assert charge_j(0.1 + 0.2, 0.1, 1.0, None) == 0.1 + 0.2  # to the last digit
    assert activity_ratio(1.0, 4.0) == (0.25, True)
    assert activity_ratio(0.0, 0.0) == (None, True)
    assert activity_ratio(-1.0, 4.0) == (None, False)
    assert activity_ratio(1.0, 0.0) == (1.0, False)
