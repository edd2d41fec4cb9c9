"""What a factor would change if it were entered, on the wire."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from app.schemas.common import Quantity, Unit, Wire
from app.schemas.fields import ProjectName, RunId, RunName


class Effect(Wire):
    """A figure without and with the factor."""

    before: Quantity = Field(description="The figure with the currently entered factors.")
    after: Quantity = Field(description="The figure with the new factor.")
    change_ratio: float | None = Field(
        description="Relative change, e.g. -0.08 for 8% less; null if one figure is unknown, the "
        "first one is 0 or their currencies differ. The energy is the same in both, so that its "
        "error cancels."
    )


class SiteEffect(Wire):
    """Effect of the factor on a site's account of this month."""

    site: str = Field(description="Name of the site.")
    month_start: datetime = Field(description="Start of the month (UTC).")
    it_energy_kwh: Quantity = Field(
        description="Metered energy of the site so far this month, whether charged to runs or not."
    )
    co2e_kg: Effect = Field(
        description="Emissions of that energy: energy x PUE x carbon intensity, hour by hour."
    )
    electricity_cost: Effect = Field(
        description="Cost of that energy by the site's tariff, hour by hour."
    )


class RunEffect(Wire):
    """Figures of a run after re-pricing, without and with the factor."""

    run_id: RunId
    name: RunName
    project: ProjectName
    co2e_kg: Effect = Field(description="Operational emissions of the run.")
    embodied_co2e_kg: Effect = Field(description="Embodied emissions of the run.")
    cost: Effect = Field(description="Cost of the run.")


class FactorPreview(Wire):
    """Effect of a factor; nothing was stored, and issued price tags never change."""

    kind: str = Field(description="Kind of factor, e.g. `pue`.")
    site: str | None = Field(description="Name of the site; null for a factor of the lab.")
    value: str = Field(description="Value of the factor, a decimal number in `unit`.")
    unit: Unit
    relative_std_ratio: float = Field(
        description="Relative standard error, one sigma (0.05 is 5%)."
    )
    valid_from: datetime = Field(description="Start of validity (UTC).")
    valid_to: datetime | None = Field(
        description="End of validity, exclusive (UTC); null if it has none."
    )
    warnings: list[str] = Field(description="Warnings about possible mistakes.")
    attempts: int = Field(
        description=(
            "Ended attempts at the site, or at any site for a factor of the lab, whose time the "
            "factor covers: at most these would get other figures by re-pricing."
        )
    )
    runs: int = Field(description="Runs of these attempts.")
    at_least: bool = Field(description="Whether there are more than were counted.")
    sites: list[SiteEffect] = Field(description="Effect on this month, by site.")
    examples: list[RunEffect] = Field(
        description="The newest of these runs, re-priced without storing the result."
    )
