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
        text: What it rests on, for people.
        quantities: Duration, IT and facility energy, CO2e, cost; unknown ones with a reason.
        pool: Where the run is to run.
        gpus: On how many accelerators.
        level: How alike the runs are that it rests on; None without such runs.
        runs: Their ids, the newest.
        run_count: How many they are.
        work_ratio: The run's work as a multiple of theirs.
        steps: What each step is expected to use: ``[value, log_half]``, or None.
        rates: What energy and time were multiplied with.
        factors: Where these are from.
        notes: What else to know.
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
        """Of all attempts."""
        return self.quantities["facility_energy_kwh"]

    @property
    def co2e_kg(self) -> Quantity:
        """Of the facility's energy."""
        return self.quantities["co2e_kg"]

    @property
    def cost(self) -> Quantity:
        """In ``cost.unit``; ``cost.reason`` says what it consists of."""
        return self.quantities["cost"]

    @property
    def currency(self) -> str | None:
        """Of the cost; None where that is unknown."""
        return None if self.cost.value is None else self.cost.unit

    def as_content(self) -> dict[str, Any]:
        """The stored form, JSON-able."""
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
