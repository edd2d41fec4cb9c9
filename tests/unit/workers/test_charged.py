"""What a running job is charged so far."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.metering import Component
from workers.attempt.charged import ChargedSoFar

CARD = Component("gpu:a", "gpu", "Card", "counter", 0.05)
HOST = Component("cpu", "cpu", "CPU", "modelled", 0.45, reserved_ratio=0.5, baseline_w=20.0)


def read(
    component: str,
    t_s: float,
    counter_j: float | None,
    integrated_j: float | None = None,
    busy_s: tuple[float, float] | None = None,
) -> dict[str, Any]:
    told = {} if busy_s is None else {"own_busy_s": busy_s[0], "all_busy_s": busy_s[1]}
    named = {"component": component, "t_s": t_s, "power_w": 100.0, "flags": []}
    return {**named, "counter_j": counter_j, "integrated_j": integrated_j, **told}


def begun(*components: Component) -> ChargedSoFar:
    charged = ChargedSoFar()
    charged.begin(components)
    return charged


def test_a_device_of_its_own_is_charged_by_its_counter_over_a_reset() -> None:
    charged = begun(CARD)
    assert charged.figures() == {"power_w": None, "energy_j": None}
    charged.add([read("gpu:a", 0.0, 5000.0, 0.0)])
    assert charged.figures() == {"power_w": None, "energy_j": 0.0}
    charged.add([read("gpu:a", 1.0, 5110.0, 100.0)])
    charged.add([read("gpu:a", 2.0, 7.0, 200.0)])  # the driver was loaded anew
    assert charged.figures() == {"power_w": 100.0, "energy_j": 210.0}


def test_a_shared_host_is_charged_as_the_bill_does() -> None:
    charged = begun(HOST)
    charged.add([read("cpu", 0.0, None, 0.0, (0.0, 0.0))])
    charged.add([read("cpu", 1.0, None, 100.0, (1.0, 4.0))])
    assert charged.figures()["energy_j"] == pytest.approx(20 * 0.5 + 80 * 0.25)
    charged.add([read("cpu", 2.0, None, 200.0)])  # nobody knows whose: by reservation
    assert charged.figures() == {"power_w": 50.0, "energy_j": pytest.approx(30 + 50)}


def test_the_meter_s_first_readings_come_before_the_components_are_known() -> None:
    charged = ChargedSoFar()
    charged.add([read("gpu:a", 0.0, 10.0)])
    charged.begin([CARD])
    charged.add([read("gpu:a", 1.0, 60.0)])
    assert charged.figures() == {"power_w": 50.0, "energy_j": 50.0}


def test_what_cannot_be_read_adds_nothing_and_has_no_power() -> None:
    charged = begun(CARD, HOST)
    charged.add([read("gpu:a", 0.0, 0.0), read("cpu", 0.0, None)])
    charged.add([read("gpu:a", 1.0, 90.0), read("cpu", 1.0, None)])
    assert charged.figures() == {"power_w": 90.0, "energy_j": 90.0}
    charged.add([read("gpu:a", 2.0, None)])
    assert charged.figures() == {"power_w": None, "energy_j": 90.0}


def test_ticks_that_are_handed_over_late_change_nothing() -> None:
    charged = begun(CARD)
    charged.add([read("gpu:a", 0.0, 0.0), read("gpu:a", 1.0, 100.0), read("gpu:a", 0.6, 60.0)])
    charged.add([read("gpu:a", 1.05, 110.0)])  # too near for a power
    assert charged.figures() == {"power_w": 100.0, "energy_j": 110.0}
