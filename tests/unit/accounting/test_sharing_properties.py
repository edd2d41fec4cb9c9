"""Properties of every schedule: jobs and the unallocated rest add up to the device's counter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.sharing import Tenant, allocate

EXACT = 1e-9
SLICES = 7


@dataclass(frozen=True)
class Job:
    """A job on the device from one step's beginning to another's end."""

    first: int
    last: int
    reserved_ratio: float
    own_s: tuple[float, ...] | None  # activity in each step of the device; None: unknown

    def holds(self, step: int) -> bool:
        return self.first <= step < self.last


@dataclass(frozen=True)
class Schedule:
    """A device over some steps, the jobs on it, and somebody who is none of them."""

    duration_s: list[float]
    power_w: list[float]
    baseline_w: float | None
    jobs: list[Job]
    others_s: list[float]

    def gross_j(self, step: int) -> float:
        return self.duration_s[step] * self.power_w[step]

    def all_s(self, step: int) -> float:
        return self.others_s[step] + sum(
            job.own_s[step] for job in self.jobs if job.own_s is not None and job.holds(step)
        )


ACTIVITY = st.one_of(st.just(0.0), st.floats(0.01, 1.0))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Exclusive use, MIG slices (with and without activity), or processes side by side."""
    steps = draw(st.integers(1, 12))

    def each(values: st.SearchStrategy[float]) -> list[float]:
        return draw(st.lists(values, min_size=steps, max_size=steps))

    mode = draw(st.sampled_from(["exclusive", "mig", "processes"]))
    has_activity = mode == "processes" or (mode == "mig" and draw(st.booleans()))
    places = {"exclusive": 1, "mig": SLICES, "processes": draw(st.integers(2, 4))}[mode]
    free = [places] * steps
    jobs = []
    for _ in range(draw(st.integers(0, 6))):
        first = draw(st.integers(0, steps - 1))
        last = draw(st.integers(first + 1, steps))
        wanted = draw(st.integers(1, SLICES)) if mode == "mig" else 1
        if min(free[first:last]) < wanted:
            continue
        free[first:last] = [left - wanted for left in free[first:last]]
        own_s = tuple(each(ACTIVITY)) if has_activity else None
        jobs.append(Job(first, last, wanted / places, own_s))
    return Schedule(
        duration_s=each(st.floats(0.05, 60)),
        power_w=each(st.floats(1, 700)),
        baseline_w=draw(st.one_of(st.none(), st.floats(0, 300))),
        jobs=jobs,
        others_s=each(ACTIVITY),
    )


def device_readings(schedule: Schedule) -> list[Reading]:
    times = accumulate(schedule.duration_s, initial=0.0)
    steps = range(len(schedule.duration_s))
    energies_j = accumulate((schedule.gross_j(step) for step in steps), initial=0.0)
    return [Reading(t, 1_000 + e, e, None) for t, e in zip(times, energies_j, strict=True)]


def job_readings(schedule: Schedule, job: Job) -> list[Reading]:
    """What the job's own meter reads: its clock and its activity begin with it."""
    own_s = everybody_s = 0.0
    device = device_readings(schedule)
    opened_s = device[job.first].t_s
    readings = []
    for index in range(job.first, job.last + 1):
        here = device[index]
        has_activity = job.own_s is not None
        readings.append(
            Reading(
                here.t_s - opened_s,
                here.counter_j,
                here.integrated_j,
                None,
                (),
                own_s if has_activity else None,
                40.0 + everybody_s if has_activity else None,
            )
        )
        if job.own_s is not None and index < job.last:
            own_s += job.own_s[index]
            everybody_s += schedule.all_s(index)
    return readings


def job_ledger(schedule: Schedule, job: Job, readings: list[Reading]) -> EnergyLedger:
    return EnergyLedger(readings, reserved_ratio=job.reserved_ratio, baseline_w=schedule.baseline_w)


def unallocated_j(schedule: Schedule, step: int) -> float:
    """By the definition, independently of what is charged: nobody's idle, others' activity."""
    gross_j = schedule.gross_j(step)
    idle_j = gross_j / 2
    if schedule.baseline_w is not None:
        idle_j = min(gross_j, schedule.baseline_w * schedule.duration_s[step])
    here = [job for job in schedule.jobs if job.holds(step)]
    unreserved = 1 - sum(job.reserved_ratio for job in here)
    idle_by = unreserved
    own_times_s = [job.own_s[step] for job in here if job.own_s is not None]
    if own_times_s and schedule.all_s(step) > 0:
        unreserved = 1 - sum(own_times_s) / schedule.all_s(step)
    return idle_j * idle_by + (gross_j - idle_j) * unreserved


def counter_j(schedule: Schedule) -> float:
    readings = device_readings(schedule)
    return (readings[-1].counter_j or 0.0) - (readings[0].counter_j or 0.0)


@settings(max_examples=300, deadline=None)
@given(schedules())
def test_jobs_and_the_unallocated_rest_add_up_to_the_counter(schedule: Schedule) -> None:
    charged_j = 0.0
    for job in schedule.jobs:
        readings = job_readings(schedule, job)
        window = job_ledger(schedule, job, readings).window(0.0, readings[-1].t_s)
        assert window.energy_j is not None
        assert window.energy_j <= (window.device_energy_j or 0.0) * (1 + EXACT)
        assert "activity_inconsistent" not in window.flags
        charged_j += window.energy_j
    rest_j = math.fsum(unallocated_j(schedule, step) for step in range(len(schedule.power_w)))
    total_j = counter_j(schedule)
    assert charged_j + rest_j == pytest.approx(total_j, rel=EXACT, abs=0)
    node = EnergyLedger(device_readings(schedule))
    whole = node.window(0.0, sum(schedule.duration_s))
    assert whole.energy_j == pytest.approx(total_j, rel=EXACT, abs=0)


@settings(max_examples=200, deadline=None)
@given(schedules())
def test_allocation_agrees_with_the_jobs_own_meters(schedule: Schedule) -> None:
    charged_j = [0.0] * len(schedule.jobs)
    for step in range(len(schedule.power_w)):
        here = [index for index, job in enumerate(schedule.jobs) if job.holds(step)]
        tenants = [
            Tenant(job.reserved_ratio, None if job.own_s is None else job.own_s[step])
            for job in (schedule.jobs[index] for index in here)
        ]
        gross_j = schedule.gross_j(step)
        allocation = allocate(
            gross_j,
            tenants,
            duration_s=schedule.duration_s[step],
            baseline_w=schedule.baseline_w,
            all_busy_s=schedule.all_s(step),
        )
        assert math.fsum((*allocation.charged_j, allocation.unallocated_j)) == pytest.approx(
            gross_j, rel=EXACT, abs=0
        )
        assert allocation.unallocated_j == pytest.approx(
            unallocated_j(schedule, step), rel=EXACT, abs=EXACT * gross_j
        )
        assert allocation.flags == ()
        for index, energy_j in zip(here, allocation.charged_j, strict=True):
            charged_j[index] += energy_j
    for job, energy_j in zip(schedule.jobs, charged_j, strict=True):
        readings = job_readings(schedule, job)
        window = job_ledger(schedule, job, readings).window(0.0, readings[-1].t_s)
        assert window.energy_j == pytest.approx(
            energy_j, rel=EXACT, abs=EXACT * counter_j(schedule)
        )


TENANTS = st.lists(
    st.builds(Tenant, st.floats(0, 1), st.one_of(st.none(), st.floats(0, 10))), max_size=6
)


@given(
    st.floats(0, 1e6),
    TENANTS,
    st.floats(0, 3600),
    st.one_of(st.none(), st.floats(0, 500)),
    st.one_of(st.none(), st.floats(0, 30)),
)
def test_no_allocation_exceeds_or_loses_energy(
    gross_j: float,
    tenants: list[Tenant],
    duration_s: float,
    baseline_w: float | None,
    all_busy_s: float | None,
) -> None:
    allocation = allocate(
        gross_j, tenants, duration_s=duration_s, baseline_w=baseline_w, all_busy_s=all_busy_s
    )
    parts_j = (*allocation.charged_j, allocation.unallocated_j)
    assert math.fsum(parts_j) == pytest.approx(gross_j, rel=EXACT, abs=1e-12)
    assert all(part_j >= 0 for part_j in parts_j)
    assert ("overallocated" in allocation.flags) == (allocation.claimed_j > gross_j * (1 + 1e-12))


@st.composite
def traces_with_activity(draw: st.DrawFn) -> list[Reading]:
    """Activity that is known, missing, decreasing or above the total, at every step."""
    t_s, energy_j, own_s, all_s = 0.0, 0.0, 0.0, 0.0
    readings = [Reading(t_s, energy_j, energy_j, None, (), own_s, all_s)]
    for event in draw(st.lists(st.sampled_from("tttnbxlr"), min_size=1, max_size=25)):
        step_s = draw(st.floats(0.05, 5))
        t_s += step_s
        energy_j += step_s * draw(st.floats(0, 700))
        own_s += draw(ACTIVITY) * step_s
        all_s += draw(st.floats(0, 2)) * step_s if event == "x" else 2 * step_s
        if event == "b":
            own_s = all_s = 0.0
        if event == "l":
            readings.append(Reading(t_s, None, None, None, ("lost",)))
            continue
        counter_j = energy_j if event != "r" else 0.0
        activity = (None, None) if event == "n" else (own_s, all_s)
        readings.append(Reading(t_s, counter_j, energy_j, None, (), *activity))
    return readings


PARTS = st.tuples(*[st.floats(-0.1, 1.1)] * 3)
RESERVED = st.floats(0, 1)
BASELINES = st.one_of(st.none(), st.floats(0, 300))


@settings(max_examples=300, deadline=None)
@given(traces_with_activity(), RESERVED, BASELINES, PARTS)
def test_charges_add_up_over_windows_grow_and_stay_within_the_device(
    readings: list[Reading],
    reserved_ratio: float,
    baseline_w: float | None,
    parts: tuple[float, float, float],
) -> None:
    ledger = EnergyLedger(readings, reserved_ratio=reserved_ratio, baseline_w=baseline_w)
    a, b, c = (part * readings[-1].t_s for part in sorted(parts))
    first, second, whole = ledger.window(a, b), ledger.window(b, c), ledger.window(a, c)
    for figure in ("energy_j", "device_energy_j", "baseline_j"):
        added = (getattr(first, figure) or 0.0) + (getattr(second, figure) or 0.0)
        assert (getattr(whole, figure) or 0.0) == pytest.approx(added, rel=EXACT, abs=1e-6)
    assert (first.energy_j or 0.0) <= (whole.energy_j or 0.0) + 1e-9
    for window in (first, second, whole):
        assert sum(window.energy_by_source_j.values()) == (window.energy_j or 0.0)
        assert 0 <= (window.energy_j or 0.0) <= (window.device_energy_j or 0.0) + 1e-6
        assert 0 <= (window.baseline_j or 0.0) <= (window.energy_j or 0.0)
        assert (window.baseline_j is None) == (baseline_w is None or window.energy_j is None)
    assert (whole.energy_j or 0.0) == pytest.approx(ledger.charged_j(a, c), rel=EXACT, abs=1e-9)


def between(before: Reading, after: Reading, part: float, *, has_activity: bool) -> Reading:
    """A reading without information beyond that of its neighbors."""

    def at(here: float | None, there: float | None) -> float | None:
        if here is None or there is None:
            return None
        return here + part * (there - here)

    return Reading(
        before.t_s + part * (after.t_s - before.t_s),
        at(before.counter_j, after.counter_j),
        at(before.integrated_j, after.integrated_j),
        None,
        (),
        at(before.own_busy_s, after.own_busy_s) if has_activity else None,
        at(before.all_busy_s, after.all_busy_s) if has_activity else None,
    )


@settings(max_examples=200, deadline=None)
@given(schedules(), st.data())
def test_readings_without_new_information_change_no_charge(
    schedule: Schedule, data: st.DataObject
) -> None:
    for job in schedule.jobs:
        readings = job_readings(schedule, job)
        denser = [readings[0]]
        for before, after in pairwise(readings):
            for part in sorted(data.draw(st.lists(st.floats(0.1, 0.9), max_size=3))):
                denser.append(between(before, after, part, has_activity=data.draw(st.booleans())))
            denser.append(after)
        sparse = job_ledger(schedule, job, readings)
        dense = job_ledger(schedule, job, denser)
        permille = data.draw(st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True))
        start_s, end_s = (readings[-1].t_s * part / 1000 for part in sorted(permille))
        one, other = sparse.window(start_s, end_s), dense.window(start_s, end_s)
        for figure in ("energy_j", "device_energy_j", "baseline_j", "covered_s"):
            expected = getattr(one, figure)
            if expected is not None:
                expected = pytest.approx(expected, rel=EXACT, abs=1e-9)
            assert getattr(other, figure) == expected
