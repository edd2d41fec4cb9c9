"""The columns of Strubell et al. 2019, table 3, for one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypedDict

from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.units import grams_to_kg, kg_to_lb, seconds_to_hours
from pricetag.catalog import profile as catalog_profile
from pricetag.tag.figures import number
from pricetag.tag.tags import Tag, hardware_text, quantity, status

Profile = Literal["strubell2019", "site"]

CITATION = (
    "Strubell, Ganesh, McCallum (2019): Energy and Policy Considerations for Deep Learning in "
    "NLP. ACL. doi:10.18653/v1/P19-1355"
)


class PaperFactors(NamedTuple):
    """What the paper multiplies with."""

    pue: Factor
    carbon_intensity: Factor

    @property
    def lb_per_kwh(self) -> float:
        """The carbon intensity as the paper writes it."""
        return kg_to_lb(grams_to_kg(self.carbon_intensity.value))

    def __str__(self) -> str:
        return f"PUE {self.pue.value}, {number(self.lb_per_kwh)} lb CO2e/kWh"


def paper_factors() -> PaperFactors:
    """PUE and carbon intensity of the paper, from the catalog."""
    found = catalog_profile("strubell2019")
    return PaperFactors(found.pue, found.carbon_intensity)


class Emissions(TypedDict):
    """Energy and emissions of a run, a stage or an attempt under one set of factors."""

    it_energy_kwh: dict[str, Any]
    facility_energy_kwh: dict[str, Any]
    co2e_lb: dict[str, Any]
    co2e_kg: dict[str, Any]


class StrubellRow(Emissions):
    """One run in the paper's columns; every figure is a quantity with unit and reason."""

    run_id: str
    model: str
    status: str
    hardware: str | None
    power_w: dict[str, Any]
    hours: dict[str, Any]
    pue: dict[str, Any]
    cloud_cost: dict[str, Any]


def emissions(holder: Mapping[str, Any], profile: Profile) -> Emissions:
    """Energy and emissions of a price tag, or of a stage or attempt of one.

    Args:
        holder: What has ``it_energy_kwh``, ``facility_energy_kwh`` and ``co2e_kg``.
        profile: ``strubell2019`` applies the paper's PUE 1.58 and 0.954 lb CO2e/kWh, as
            exact factors, to the measured IT energy; ``site`` takes the factors that the
            tag was made with.

    Source:
        Strubell et al. 2019, section 2: kWh = PUE · t · (p_c + p_r + g·p_g) / 1000 and
        CO2e = 0.954 · kWh (lb).
    """
    energy = quantity(holder, "it_energy_kwh")
    if profile == "site":
        co2e_kg = quantity(holder, "co2e_kg")
        return Emissions(
            it_energy_kwh=energy,
            facility_energy_kwh=quantity(holder, "facility_energy_kwh"),
            co2e_lb=scaled(co2e_kg, kg_to_lb(1.0), "lb"),
            co2e_kg=co2e_kg,
        )
    paper = paper_factors()
    facility = scaled(energy, paper.pue.value, "kWh", "assumed")
    co2e_kg = scaled(facility, grams_to_kg(paper.carbon_intensity.value), "kg")
    return Emissions(
        it_energy_kwh=energy,
        facility_energy_kwh=facility,
        co2e_lb=scaled(co2e_kg, kg_to_lb(1.0), "lb"),
        co2e_kg=co2e_kg,
    )


def strubell_row(tag: Tag, profile: Profile = "site") -> StrubellRow:
    """The paper's columns for one run, under the factors of a profile."""
    pue = quantity(tag, "pue")
    if profile == "strubell2019":
        exact = paper_factors().pue.value
        pue = {"value": exact, "low": exact, "high": exact, "unit": "1", "source": "assumed"}
    return StrubellRow(
        run_id=str(tag.get("run_id") or ""),
        model=str(tag.get("name") or "unnamed"),
        status=status(tag),
        hardware=hardware_text(tag),
        power_w=quantity(tag, "power_w"),
        hours=scaled(quantity(tag, "duration_s"), seconds_to_hours(1.0), "h"),
        pue=pue,
        cloud_cost=quantity(tag, "cost", "cloud"),
        **emissions(tag, profile),
    )


def scaled(
    found: Mapping[str, Any], factor: float, unit: str, source: str | None = None
) -> dict[str, Any]:
    """A quantity times an exact factor, in a new unit; unknown stays unknown."""

    def times(name: str) -> float | None:
        return None if found[name] is None else found[name] * factor

    known = found["value"] is not None
    return {
        "value": times("value"),
        "low": times("low"),
        "high": times("high"),
        "unit": unit,
        "source": (source or found["source"]) if known else None,
        "reason": found["reason"],
    }
