"""One device at one time is counted once, whichever meters watched it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.bill import once
from pricetag.accounting.bill.inputs import AttemptInput, Measurement, StageInput
from pricetag.accounting.bill.once import Metered, counted_once
from pricetag.accounting.readings.window import WindowEnergy

GPU = "gpu:GPU-1"


def window(start_s: float, end_s: float, *, part: float = 1.0) -> WindowEnergy:
    """A device at 100 W, of which a part is charged."""
    energy_j = 100.0 * (end_s - start_s) * part
    return WindowEnergy(
        start_s,
        end_s,
        energy_j,
        {"counter": energy_j},
        end_s - start_s,
        device_energy_j=energy_j / part,
        baseline_j=energy_j / 2,
    )


def count_once(meters: list[Metered]) -> list[WindowEnergy]:
    """The meters' windows with each device's time counted once, clocks taken as exact."""
    elsewhere = once._counted_elsewhere(meters, 0.0)
    return [
        once._less(meter.window, once._excess_ratio(meter.charged_part, spans))
        for meter, spans in zip(meters, elsewhere, strict=True)
    ]


def energies(meters: list[Metered]) -> list[float | None]:
    return [window.energy_j for window in count_once(meters)]


def test_only_one_of_several_ranks_with_a_meter_counts() -> None:
    ranks = [Metered("a", GPU, 1_000.0, window(0, 10)) for _ in range(4)]
    assert energies(ranks) == [1_000.0, 0.0, 0.0, 0.0]
    windows = count_once(ranks)
    assert windows[0] == ranks[0].window
    assert windows[1].flags == ("metered_twice",)
    assert (windows[1].device_energy_j, windows[1].baseline_j) == (0.0, 0.0)
    assert windows[1].covered_s == 10.0


def test_devices_of_several_hosts_are_different_even_with_the_same_name() -> None:
    meters = [Metered(host, GPU, 1_000.0, window(0, 10)) for host in ("a", "b")]
    assert energies(meters) == [1_000.0, 1_000.0]
    assert energies([Metered(None, GPU, 0.0, window(0, 10))] * 2) == [1_000.0, 1_000.0]


def test_several_devices_of_one_host_are_counted_separately() -> None:
    meters = [Metered("a", name, 0.0, window(0, 10)) for name in (GPU, "gpu:GPU-2", "cpu")]
    assert energies(meters) == [1_000.0] * 3


def test_only_the_common_time_of_two_meters_is_counted_once() -> None:
    early, late = Metered("a", GPU, 0.0, window(0, 10)), Metered("a", GPU, 6.0, window(0, 10))
    assert energies([early, late]) == [1_000.0, pytest.approx(600.0)]
    assert energies([late, early]) == [1_000.0, pytest.approx(600.0)]
    assert energies([early, Metered("a", GPU, 10.0, window(0, 10))]) == [1_000.0, 1_000.0]


def test_the_meter_with_the_better_coverage_counts() -> None:
    poor = WindowEnergy(0, 10, 200.0, {"counter": 200.0}, 2.0)
    assert energies([Metered("a", GPU, 0.0, poor), Metered("a", GPU, 0.0, window(0, 10))]) == [
        0.0,
        1_000.0,
    ]


def test_a_meter_without_energy_takes_nothing_from_another() -> None:
    blind = WindowEnergy(0, 10, None, {}, 0.0, reason="the component was lost")
    meters = [Metered("a", GPU, 0.0, blind), Metered("a", GPU, 0.0, window(0, 10))]
    assert energies(meters) == [None, 1_000.0]


def test_parts_of_a_shared_device_add_up_to_no_more_than_the_device() -> None:
    def shared(part: float) -> Metered:
        return Metered("a", "cpu", 0.0, window(0, 10, part=part))

    assert energies([shared(0.25), shared(0.5), shared(0.25)]) == [250.0, 500.0, 250.0]
    assert energies([shared(0.75), shared(0.5)]) == [750.0, pytest.approx(250.0)]
    late = Metered("a", "cpu", 5.0, window(0, 10, part=0.5))
    assert energies([shared(0.75), late]) == [750.0, pytest.approx(125.0 + 250.0)]


SPANS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=8)


@given(SPANS)
def test_meters_of_one_device_add_up_to_the_time_that_any_of_them_watched(
    spans: list[tuple[int, int]],
) -> None:
    meters = [Metered("a", GPU, float(start), window(0, length)) for start, length in spans]
    watched = {second for start, length in spans for second in range(start, start + length)}
    total_j = sum(counted.energy_j or 0.0 for counted in count_once(meters))
    assert total_j == pytest.approx(100.0 * len(watched), rel=1e-9)


def attempt(number: int, second: int, *, node: str = "a") -> AttemptInput:
    """Ten seconds at 100 W, the last five of them a stage."""
    stage = StageInput(
        "0", 0, None, "train", "train", "succeeded", 5, 10, (Measurement(GPU, window(5, 10)),)
    )
    hours = {"2026-03-01T12:00:00+00:00": 1_000.0}
    return AttemptInput(
        number=number,
        status="lost",
        reason=None,
        started_at=f"2026-03-01T12:00:{second:02}+00:00",
        duration_s=10.0,
        components=(),
        measurements=(Measurement(GPU, window(0, 10), hours),),
        stages=(stage,),
        node_name=node,
    )


def test_an_attempt_that_continued_beside_its_successor_is_counted_once() -> None:
    first, second = counted_once([attempt(1, 0), attempt(2, 4)])
    assert first == attempt(1, 0)
    [whole] = second.measurements
    assert whole.window.energy_j == pytest.approx(400.0)
    assert whole.energy_by_hour_j == {"2026-03-01T12:00:00+00:00": pytest.approx(400.0)}
    [stage] = second.stages[0].measurements
    assert stage.window.energy_j == pytest.approx(400.0)  # 9 to 14 s, of which 9 to 10 are gone
    assert stage.window.flags == ("metered_twice",)


def test_attempts_that_follow_one_another_stay_as_they_are() -> None:
    attempts = [attempt(1, 0), attempt(2, 10), attempt(3, 4, node="b")]
    assert counted_once(attempts) == tuple(attempts)
    # Less than two seconds are the clocks'.
    attempts = [attempt(1, 0), attempt(2, 9)]
    assert counted_once(attempts) == tuple(attempts)
