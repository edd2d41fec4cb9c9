"""Decisions by a budget: which runs it admits, when it warns, when it stops runs.

All amounts of a budget have one unit (kWh, kg or a currency). Unknown amounts are not included
in any of them; they are counted separately.
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
        limit: The budgeted amount.
        spent: Amount used by ended attempts, however they ended.
        running: Amount used by running attempts, up to their last readings.
        reserved: Quoted amount of open runs that exceeds what they have used.
    """

    limit: Decimal
    spent: Decimal = ZERO
    running: Decimal = ZERO
    reserved: Decimal = ZERO

    @property
    def used(self) -> Decimal:
        """Spent and running amounts together."""
        return self.spent + self.running

    @property
    def left(self) -> Decimal:
        """The amount that can still be reserved; never below 0."""
        return max(self.limit - self.used - self.reserved, ZERO)

    @property
    def used_ratio(self) -> float | None:
        """Used amount over the limit; None if the limit is 0."""
        return float(self.used / self.limit) if self.limit else None

    @property
    def is_spent(self) -> bool:
        """Whether the limit is used up, so that running work exceeds it."""
        return self.used >= self.limit


def decide(standing: Standing, quote: Decimal | None) -> Admission:
    """Decides whether a new run may start.

    A run whose usage cannot be estimated is admitted while anything is left, and reserves
    nothing.

    Args:
        standing: State of the budget without the new run.
        quote: Expected usage of the run; None if unknown.
    """
    if standing.left <= 0:
        return "exhausted"
    if quote is not None and quote > standing.left:
        return "too-much"
    return "admitted"


def unused(quote: Decimal | None, used: Decimal) -> Decimal:
    """The rest of a quote that is still reserved once its run has used some of it."""
    return ZERO if quote is None else max(quote - used, ZERO)


def crossed(thresholds: Iterable[float], standing: Standing) -> list[float]:
    """The thresholds (ratios of the limit) that the used amount has reached, ascending."""
    if standing.used <= 0:
        return []
    return sorted(
        {ratio for ratio in thresholds if standing.used >= Decimal(str(ratio)) * standing.limit}
    )


def total(amounts: Sequence[Decimal | None]) -> tuple[Decimal, int]:
    """The sum of the known amounts, and the number of unknown ones."""
    known_amounts = [amount for amount in amounts if amount is not None]
    return sum(known_amounts, start=ZERO), len(amounts) - len(known_amounts)
