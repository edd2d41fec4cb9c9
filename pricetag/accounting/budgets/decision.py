"""What a budget decides: whom it admits, when it warns, when it stops.

All amounts of one budget are in one unit (kWh, kg or one currency). What is unknown is in
none of them; it is counted beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Metric = Literal["facility_energy_kwh", "co2e_kg", "cost"]
Scope = Literal["lab", "project", "experiment", "user"]
Admission = Literal["admitted", "too-much", "exhausted"]

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of a budget in one period.

    Attributes:
        limit: What may be used.
        spent: By attempts that have ended, however they ended.
        running: By running attempts, up to their last readings.
        reserved: What the quotes of open runs expect beyond what those have used.
    """

    limit: Decimal
    spent: Decimal = ZERO
    running: Decimal = ZERO
    reserved: Decimal = ZERO

    @property
    def used(self) -> Decimal:
        """Spent and running."""
        return self.spent + self.running

    @property
    def left(self) -> Decimal:
        """What can still be promised; never below 0."""
        return max(self.limit - self.used - self.reserved, ZERO)

    @property
    def used_ratio(self) -> float | None:
        """Used over the limit; None where the limit is 0."""
        return float(self.used / self.limit) if self.limit else None

    @property
    def is_spent(self) -> bool:
        """Whether all of it has been used, so that running work is over it."""
        return self.used >= self.limit


def decide(standing: Standing, quote: Decimal | None) -> Admission:
    """Whether a new run may begin.

    A run of which nobody can say what it will use is admitted while anything is left, and
    reserves nothing.

    Args:
        standing: Of the budget, without the new run.
        quote: What the run is expected to use; None where that is unknown.
    """
    if standing.left <= 0:
        return "exhausted"
    if quote is not None and quote > standing.left:
        return "too-much"
    return "admitted"


def unused(quote: Decimal | None, used: Decimal) -> Decimal:
    """What a quote still reserves once its run has used some of it."""
    return ZERO if quote is None else max(quote - used, ZERO)


def crossed(thresholds: Iterable[float], standing: Standing) -> list[float]:
    """The thresholds (ratios of the limit) that what was used has reached, ascending."""
    if standing.used <= 0:
        return []
    return sorted(
        {ratio for ratio in thresholds if standing.used >= Decimal(str(ratio)) * standing.limit}
    )


def total(amounts: Sequence[Decimal | None]) -> tuple[Decimal, int]:
    """The sum of what is known, and how many are not."""
    known_amounts = [amount for amount in amounts if amount is not None]
    return sum(known_amounts, start=ZERO), len(amounts) - len(known_amounts)
