"""The error budget of a price tag: the causes of error of each of its totals."""

from __future__ import annotations

from collections.abc import Sequence

from pricetag.accounting.bill.bill import Biller
from pricetag.accounting.bill.charges import Charge, Product, product
from pricetag.accounting.bill.cost import cost_error_terms
from pricetag.accounting.bill.figures import CostTag, EnergyTag
from pricetag.accounting.document.records import ErrorBudget, ErrorShare
from pricetag.accounting.quantity.error_terms import ErrorTerm, error_budget
from pricetag.accounting.units import G_PER_KG


def uncertainty(
    biller: Biller, charges: Sequence[Charge], total: EnergyTag, cost: CostTag
) -> ErrorBudget:
    """The causes of error of IT energy, facility energy, carbon and cost, largest first."""
    it_energy = product(charges)
    facility = biller.products(charges)
    carbon = None if biller.carbon is None else biller.products(charges, biller.carbon)
    co2e_g = None if total.co2e_kg.value is None else total.co2e_kg.value * G_PER_KG
    return ErrorBudget(
        it_energy=_shares(total.it_energy_kwh.value, _terms(it_energy)),
        facility_energy=_shares(total.facility_energy_kwh.value, _terms(facility)),
        co2e=_shares(co2e_g, _terms(carbon)),
        cost=_shares(cost.total.value, cost_error_terms(biller, cost, charges)),
    )


def _shares(value: float | None, terms: Sequence[ErrorTerm]) -> tuple[ErrorShare, ...]:
    return tuple(ErrorShare(**share) for share in error_budget(value, terms))


def _terms(priced: Product | None) -> list[ErrorTerm]:
    return [] if priced is None else priced.error_terms()
