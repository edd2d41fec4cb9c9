"""Checks of price tags against the known energy of a simulated host."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.support.fake_powercap import FakePowercap
from tests.support.service import Service

J_PER_KWH = 3_600_000


def check_bill(lab: Service, run_id: UUID, powercap: FakePowercap) -> dict[str, Any]:
    """The tag's attempts add up to its total, and to the rise of the counter over that time."""
    tag = lab.price_tag(run_id)
    attempts = tag["attempts"]
    booked_j = [attempt["it_energy_kwh"]["value"] * J_PER_KWH for attempt in attempts]
    metered_s = [attempt["duration_s"]["value"] for attempt in attempts]
    assert sum(booked_j) == pytest.approx(tag["it_energy_kwh"]["value"] * J_PER_KWH, rel=1e-9)
    for attempt, energy_j, duration_s in zip(attempts, booked_j, metered_s, strict=True):
        assert energy_j == powercap.drew(duration_s), attempt
    assert tag["it_energy_kwh"]["source"] == "counter"
    return tag
