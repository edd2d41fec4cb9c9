"""Runs with the runs they build on, under the factors of the report."""

from __future__ import annotations

from typing import Any

import pytest

from app.reports.sections.lineage import section
from pricetag.tag.strubell import Profile


def usage(it_energy_kwh: float) -> dict[str, Any]:
    return {
        "it_energy_kwh": {"value": it_energy_kwh, "unit": "kWh"},
        "co2e_kg": {"value": 0.5, "unit": "kg"},
        "cost": {"value": 0.25, "unit": "EUR"},
    }


CHAIN = {
    "name": "student",
    "lineage": {
        "models": [{"stage": "teacher", "sha256": "ab" * 32}],
        "upstream": [{"name": "teacher", "shared_by": 1, **usage(2.0)}],
        "cumulative": usage(3.0),
    },
}


@pytest.mark.parametrize(
    ("profile", "shown"),
    # 1.58 · 0.954 lb/kWh · 0.45359237 kg/lb = 0.68371 kg/kWh
    [("site", ["500 g", "500 g"]), ("strubell2019", ["1.37 kg (assumed)", "2.05 kg (assumed)"])],
)
def test_emissions_follow_the_factors_of_the_report(profile: Profile, shown: list[str]) -> None:
    built = section([CHAIN], profile)
    assert built is not None
    rows = [row["cells"] for row in built["tables"][0]["rows"]]
    assert [cells[3] for cells in rows] == shown
    assert [cells[2] for cells in rows] == ["2.00 kWh", "3.00 kWh"]


def test_no_chain_no_section() -> None:
    assert section([], "site") is None
