"""The charge of a running job so far."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pricetag.attempt.charged import (
    JUMPED,
    NOT_READ,
    STANDS_STILL,
    UNREADABLE,
    ChargedSoFar,
    Figures,
)
from pricetag.metering import Component, Reading

CARD = Component("gpu:a", "gpu", "Card", "counter", 0.05)
HOST = Component("cpu", "cpu", "CPU", "modelled", 0.45, reserved_ratio=0.5, baseline_w=20.0)
ZONE = Component("rapl:0", "cpu", "CPU", "counter", 0.05, has_model=True)


def read(
    component: str,
    t_s: float,
    counter_j: float | None,
    integrated_j: float | None = None,
    busy_s: tuple[float | None, float | None] = (None, None),
    flags: Sequence[str] = (),
) -> Reading:
    return Reading(t_s, counter_j, integrated_j, 100.0, tuple(flags), *busy_s, component)


def begun(*components: Component) -> ChargedSoFar:
    charged = ChargedSoFar()
    charged.begin(components)
    return charged


def test_an_exclusive_device_is_charged_by_its_counter_over_a_reset() -> None:
    charged = begun(CARD)
    assert charged.figures() == Figures(None, None, {"gpu:a": NOT_READ})
    charged.add([read("gpu:a", 0.0, 5000.0, 0.0)])
    assert charged.figures() == Figures(None, 0.0, {"gpu:a": NOT_READ})
    charged.add([read("gpu:a", 1.0, 5110.0, 100.0)])
    charged.add([read("gpu:a", 2.0, 7.0, 200.0)])  # the driver was loaded again
    assert charged.figures() == Figures(100.0, 210.0, {})


def test_a_shared_host_is_charged_as_on_the_bill() -> None:
    charged = begun(HOST)
    charged.add([read("cpu", 0.0, None, 0.0, (0.0, 0.0))])
    charged.add([read("cpu", 1.0, None, 100.0, (1.0, 4.0))])
    assert charged.figures().energy_j == pytest.approx(20 * 0.5 + 80 * 0.25)
    charged.add([read("cpu", 2.0, None, 200.0)])  # nobody knows whose: by reservation
    assert charged.figures().energy_j == pytest.approx(30 + 50)
    assert charged.figures().power_w == pytest.approx(50.0)


def test_the_meter_s_first_readings_come_before_the_components_are_known() -> None:
    charged = ChargedSoFar()
    charged.add([read("gpu:a", 0.0, 10.0)])
    charged.begin([CARD])
    charged.add([read("gpu:a", 1.0, 60.0)])
    assert charged.figures() == Figures(50.0, 50.0, {})


def test_unreadable_components_add_no_energy_and_have_no_power() -> None:
    charged = begun(CARD, HOST)
    charged.add([read("gpu:a", 0.0, 0.0), read("cpu", 0.0, None)])
    charged.add([read("gpu:a", 1.0, 90.0), read("cpu", 1.0, None)])
    assert charged.figures() == Figures(90.0, 90.0, {"cpu": UNREADABLE})
    charged.add([read("gpu:a", 2.0, None)])
    unknown = {"cpu": UNREADABLE, "gpu:a": UNREADABLE}
    assert charged.figures() == Figures(None, 90.0, unknown)


def test_a_reading_that_failed_is_bridged_by_the_counter_and_a_lost_device_is_not() -> None:
    charged = begun(CARD)
    charged.add([read("gpu:a", 0.0, 0.0), read("gpu:a", 1.0, None), read("gpu:a", 2.0, 180.0)])
    assert charged.figures() == Figures(90.0, 180.0, {})
    charged.add([read("gpu:a", 3.0, None, flags=["lost"]), read("gpu:a", 9.0, 900.0)])
    assert charged.figures() == Figures(None, 180.0, {"gpu:a": UNREADABLE})
    charged.add([read("gpu:a", 10.0, 990.0)])
    assert charged.figures() == Figures(90.0, 270.0, {})


def test_late_ticks_change_nothing() -> None:
    charged = begun(CARD)
    charged.add([read("gpu:a", 0.0, 0.0), read("gpu:a", 1.0, 100.0), read("gpu:a", 0.6, 60.0)])
    charged.add([read("gpu:a", 1.05, 110.0)])  # too near for a power
    assert charged.figures() == Figures(100.0, 110.0, {})


def seconds(component: Component, counters_j: Sequence[float], model_w: float | None) -> Figures:
    """One reading a second; the integral beside the counter rises by ``model_w``."""
    charged = begun(component)
    for second, counter_j in enumerate(counters_j):
        integral_j = None if model_w is None else model_w * second
        charged.add([read(component.id, float(second), counter_j, integral_j)])
    return charged.figures()


@pytest.mark.parametrize("stands_s", [2, 3, 30])
def test_a_frozen_counter_without_a_model_has_no_power(stands_s: int) -> None:
    counters_j = [65.0 * second for second in range(6)] + [325.0] * stands_s
    figures = seconds(ZONE, counters_j, None)
    assert figures == Figures(None, 325.0, {"rapl:0": STANDS_STILL})


def test_a_counter_that_never_moves_is_unknown_and_not_nothing() -> None:
    figures = seconds(ZONE, [5000.0] * 4, None)
    assert (figures.power_w, figures.unknown) == (None, {"rapl:0": STANDS_STILL})


@pytest.mark.parametrize("component", [ZONE, CARD])
def test_a_frozen_counter_is_replaced_by_its_integral(component: Component) -> None:
    counters_j = [65.0 * second for second in range(6)] + [325.0] * 10
    figures = seconds(component, counters_j, 50.0)
    assert figures == Figures(50.0, 325.0 + 50.0 * 10, {})


def test_between_two_updates_the_power_stays_as_it_was() -> None:
    figures = seconds(ZONE, [0.0, 65.0, 130.0, 130.0], 50.0)
    assert figures == Figures(65.0, 130.0, {})


def test_the_counter_of_a_device_that_is_nearly_off_may_not_advance() -> None:
    figures = seconds(CARD, [0.0, 100.0, *[100.0] * 20], 1.0)
    assert figures == Figures(0.0, 100.0, {})


@pytest.mark.parametrize("model_w", [20.0, 65.0, None])
def test_a_catch_up_of_a_counter_is_not_counted_twice(model_w: float | None) -> None:
    counters_j = [65.0 * second for second in range(6)] + [325.0] * 10 + [65.0 * 16]
    assert seconds(ZONE, counters_j, model_w).energy_j == pytest.approx(65.0 * 16)


def test_a_counter_that_continues_where_it_stopped_is_counted_from_there() -> None:
    counters_j = [65.0 * second for second in range(6)] + [325.0] * 10 + [390.0]
    assert seconds(ZONE, counters_j, 50.0).energy_j == pytest.approx(325.0 + 500.0 + 65.0)


@pytest.mark.parametrize("flag", ["implausible_power", "reset"])
@pytest.mark.parametrize("model_w", [50.0, None])
def test_a_jump_is_not_power(flag: str, model_w: float | None) -> None:
    charged = begun(ZONE)
    for second, counter_j in enumerate((0.0, 65.0, 150_000.0)):
        integral_j = None if model_w is None else model_w * second
        flags = [flag] if second == 2 else []
        charged.add([read("rapl:0", float(second), counter_j, integral_j, flags=flags)])
    unknown = {"rapl:0": JUMPED} if model_w is None else {}
    assert charged.figures() == Figures(model_w, 65.0 + (model_w or 0.0), unknown)
