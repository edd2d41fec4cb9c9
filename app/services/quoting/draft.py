"""A quote before it is stored, and its stored form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pricetag.accounting.forecast.price import Rates
from pricetag.accounting.forecast.score import NAMES
from pricetag.accounting.quantity.quantity import Quantity

Method = Literal["history", "flops", "unknown"]


@dataclass(frozen=True, slots=True)
class QuoteDraft:
    """A quote that is not stored yet.

    Attributes:
        method: ``history``, ``flops`` or ``unknown``.
        text: Basis of the quote, for people.
        quantities: Duration, IT and facility energy, CO2e, cost; unknown ones with a reason.
        pool: Pool of the run.
        gpus: Number of accelerators.
        level: Level of similarity of the runs used; None without such runs.
        runs: Ids of the newest of these runs.
        run_count: Number of these runs.
        work_ratio: The run's work as a multiple of theirs.
        steps: Expected use of each step: ``[value, log_half]``, or None.
        rates: Factors applied to energy and time.
        factors: Sources of these factors.
        notes: Further remarks.
    """

    method: Method
    text: str
    quantities: Mapping[str, Quantity]
    pool: str
    gpus: int
    level: str | None = None
    runs: tuple[str, ...] = ()
    run_count: int = 0
    work_ratio: float | None = None
    steps: tuple[Mapping[str, Any], ...] = ()
    rates: Rates | None = None
    factors: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def facility_energy_kwh(self) -> Quantity:
        """Facility energy of all attempts."""
        return self.quantities["facility_energy_kwh"]

    @property
    def co2e_kg(self) -> Quantity:
        """Emissions of the facility energy."""
        return self.quantities["co2e_kg"]

    @property
    def cost(self) -> Quantity:
        """Cost in ``cost.unit``; ``cost.reason`` says what it includes."""
        return self.quantities["cost"]

    @property
    def currency(self) -> str | None:
        """Currency of the cost; None where the cost is unknown."""
        return None if self.cost.value is None else self.cost.unit

    def as_content(self) -> dict[str, Any]:
        """The stored form, ready for JSON."""
        return {
            "method": self.method,
            "text": self.text,
            "quantities": {name: self.quantities[name].as_dict() for name in NAMES},
            "pool": self.pool,
            "gpus": self.gpus,
            "level": self.level,
            "runs": list(self.runs),
            "run_count": self.run_count,
            "work_ratio": self.work_ratio,
            "steps": [dict(step) for step in self.steps],
            "rates": None if self.rates is None else self.rates.as_dict(),
            "factors": [dict(factor) for factor in self.factors],
            "notes": list(self.notes),
        }
