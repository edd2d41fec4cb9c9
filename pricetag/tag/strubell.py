"""The columns of Strubell et al. 2019, table 3, for one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from pricetag.accounting.bill.figures import EnergyTag
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.units import grams_to_kg, kg_to_lb, seconds_to_hours
from pricetag.catalog import profile as catalog_profile
from pricetag.tag.figure import Figure, Shown, scaled
from pricetag.tag.figures import number
from pricetag.tag.status import status_text
from pricetag.tag.view import TagView

Profile = Literal["strubell2019", "site"]

CITATION = (
    "Strubell, Ganesh, McCallum (2019): Energy and Policy Considerations for Deep Learning in "
    "NLP. ACL. doi:10.18653/v1/P19-1355"
)


class PaperFactors(NamedTuple):
    """The factors of the paper."""

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
    profile = catalog_profile("strubell2019")
    return PaperFactors(profile.pue, profile.carbon_intensity)


@dataclass(frozen=True, slots=True)
class Emissions:
    """Energy and emissions of a run, a stage or an attempt under one set of factors."""

    it_energy_kwh: Figure
    facility_energy_kwh: Figure
    co2e_lb: Figure
    co2e_kg: Figure


@dataclass(frozen=True, slots=True)
class StrubellRow:
    """One run in the paper's columns."""

    run_id: str
    model: str
    status: str
    hardware: str | None
    power_w: Figure
    hours: Figure
    coverage_ratio: Figure
    pue: Figure
    cloud_cost: Figure
    it_energy_kwh: Figure
    facility_energy_kwh: Figure
    co2e_lb: Figure
    co2e_kg: Figure

    @property
    def label(self) -> str:
        """The model, with the status of its run if it did not succeed."""
        if self.status == "succeeded":
            return self.model
        return f"{self.model} ({status_text(self.status)})"


def emissions(energy: EnergyTag, profile: Profile) -> Emissions:
    """Energy and emissions of a price tag, or of a stage or attempt of one.

    Args:
        energy: Its energy figures.
        profile: ``strubell2019`` applies the paper's PUE 1.58 and 0.954 lb CO2e/kWh, as
            exact factors, to the measured IT energy; ``site`` takes the factors that the
            tag was made with.

    Source:
        Strubell et al. 2019, section 2: kWh = PUE · t · (p_c + p_r + g·p_g) / 1000 and
        CO2e = 0.954 · kWh (lb).
    """
    if profile == "site":
        facility, co2e_kg = Figure.of(energy.facility_energy_kwh), Figure.of(energy.co2e_kg)
    else:
        facility, co2e_kg = by_paper(energy.it_energy_kwh)
    return Emissions(
        it_energy_kwh=Figure.of(energy.it_energy_kwh),
        facility_energy_kwh=facility,
        co2e_lb=scaled(co2e_kg, kg_to_lb(1.0), "lb"),
        co2e_kg=co2e_kg,
    )


def by_paper(it_energy_kwh: Shown) -> tuple[Figure, Figure]:
    """Facility energy in kWh and emissions in kg by the factors of the paper."""
    paper = paper_factors()
    facility_kwh = scaled(it_energy_kwh, paper.pue.value, "kWh", "assumed")
    return facility_kwh, scaled(facility_kwh, grams_to_kg(paper.carbon_intensity.value), "kg")


def strubell_row(tag: TagView, profile: Profile = "site") -> StrubellRow:
    """The paper's columns for one run, under the factors of a profile."""
    document = tag.document
    pue = Figure.of(document.pue)
    if profile == "strubell2019":
        pue = Figure.exact(paper_factors().pue.value, "1", "assumed")
    emitted = emissions(document.energy, profile)
    return StrubellRow(
        run_id=document.run_id,
        model=tag.name,
        status=tag.status,
        hardware=tag.hardware,
        power_w=Figure.of(document.energy.power_w),
        hours=scaled(document.energy.duration_s, seconds_to_hours(1.0), "h"),
        coverage_ratio=Figure.of(document.energy.coverage_ratio),
        pue=pue,
        cloud_cost=Figure.of(document.cost.cloud),
        it_energy_kwh=emitted.it_energy_kwh,
        facility_energy_kwh=emitted.facility_energy_kwh,
        co2e_lb=emitted.co2e_lb,
        co2e_kg=emitted.co2e_kg,
    )
