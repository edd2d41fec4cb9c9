"""The command line offers the same choices as the API, whose schemas it may not import."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from app.schemas import audit, common, energy, prices, reports
from app.schemas.budgets import BudgetCreate
from pricetag import wire
from pricetag.cli import books, budgets, people
from pricetag.cli import energy as energy_commands
from pricetag.cli import reports as report_commands

FIELDS = BudgetCreate.model_fields
CHOICES: dict[str, tuple[Any, Any]] = {
    "kinds of the audit log": (budgets.AuditKind, audit.AuditKind),
    "ways to make a change": (budgets.AuditAccess, audit.AuditAccess),
    "metrics of a budget": (budgets.Metric, FIELDS["metric"].annotation),
    "periods of a budget": (budgets.Period, FIELDS["period"].annotation),
    "groupings of energy": (energy_commands.By, energy.EnergyBy),
    "kinds of prices": (books.PriceKind, prices.PriceKind),
    "roles": (people.Role, common.Role),
    "roles in a project": (people.ProjectRole, common.ProjectRole),
    "profiles of reports": (report_commands.Profile, reports.ReportProfile),
    "formats of reports": (wire.ReportFormat, reports.ReportFormat),
    "tables of reports": (wire.ReportTable, reports.ReportTable),
}


@pytest.mark.parametrize("name", CHOICES)
def test_commands_offer_what_the_api_takes(name: str) -> None:
    command, api = CHOICES[name]
    assert get_args(command)
    assert set(get_args(command)) == set(get_args(api))
