"""Steps of an ordinary trace take a shorter way to the figures of the general one."""

from __future__ import annotations

from array import array
from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.readings.curves import KINDS, curves
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.sharing import charge_j, idle_j, share
from pricetag.accounting.readings.step_energy import Booking, Evidence

ENERGIES_J = st.floats(0, 1e6)
STEPS = st.lists(st.tuples(ENERGIES_J, st.floats(0.01, 10.0)), min_size=1, max_size=40)
EVIDENCE = st.sampled_from(("counter", "integral", "none", "mixed"))


def booked(steps: list[tuple[float, float]], evidence: str) -> Booking:
    times_s = accumulate((duration_s for _, duration_s in steps), initial=0.0)
    counters_j = accumulate((energy_j for energy_j, _ in steps), initial=0.0)
    readings = [Reading(t_s, j, j, None) for t_s, j in zip(times_s, counters_j, strict=True)]
    mixed: tuple[Evidence, ...] = ("counter", "none", "integral")
    kinds = [kind for kind in mixed if evidence in (kind, "mixed")]
    sources: list[Evidence] = [kinds[number % len(kinds)] for number in range(len(steps))]
    return Booking(readings, array("d", (energy_j for energy_j, _ in steps)), sources)


@given(steps=STEPS, baseline_w=st.none() | st.floats(0, 500), evidence=EVIDENCE)
def test_a_whole_device_is_charged_as_by_the_formula_of_shared_ones(
    steps: list[tuple[float, float]], baseline_w: float | None, evidence: str
) -> None:
    booking = booked(steps, evidence)
    shares = share(booking, reserved_ratio=1.0, baseline_w=baseline_w)
    durations_s = [after.t_s - before.t_s for before, after in pairwise(booking.readings)]
    gross_j = list(booking.energy_j)
    idle = [idle_j(j, s, baseline_w) for j, s in zip(gross_j, durations_s, strict=True)]
    charged = [charge_j(j, part, 1.0, None) for j, part in zip(gross_j, idle, strict=True)]
    assert list(shares.charged_j) == charged
    if baseline_w is None:
        assert shares.baseline_j is None
    else:
        parts = [min(part * 1.0, j) for part, j in zip(idle, charged, strict=True)]
        assert list(shares.baseline_j or ()) == parts


@given(steps=STEPS, evidence=EVIDENCE)
def test_curves_of_one_evidence_are_those_of_several(
    steps: list[tuple[float, float]], evidence: str
) -> None:
    booking = booked(steps, evidence)
    shares = share(booking, reserved_ratio=1.0, baseline_w=None)
    summed = curves(booking, shares, 5.0)
    for kind in KINDS:
        amounts = zip(booking.evidence, booking.energy_j, strict=True)
        own = accumulate((j if source == kind else 0.0 for source, j in amounts), initial=0.0)
        assert list(summed.charged_j[kind]) == list(summed.gross_j[kind]) == list(own)
