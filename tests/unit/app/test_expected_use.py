"""What open runs will use of many budgets: added up once, equal to adding up for each budget."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from app.services.outlook.open_runs import OpenRun, OpenRuns
from models import Budget, Spend
from pricetag.accounting.budgets.burn_down import Span3, fan

SCOPES = ("project", "experiment", "user")
LIMIT = 50.0


def budget(scope: str, scope_id: UUID | None, metric: str, currency: str | None = None) -> Budget:
    return Budget(id=uuid4(), scope=scope, scope_id=scope_id, metric=metric, currency=currency)


def quantity(value: float, unit: str) -> dict[str, object]:
    return {"value": value, "low": value / 2, "high": value * 2, "unit": unit}


def lab(seed: int) -> tuple[OpenRuns, list[Budget]]:
    """Sixty open runs of three owners in each scope, and budgets of every scope and unit."""
    draw = random.Random(seed)
    owners: dict[str, list[UUID | None]] = {scope: [uuid4(), uuid4(), uuid4()] for scope in SCOPES}
    owners["user"].append(None)
    runs, scopes, ended = [], {}, {}
    for number in range(60):
        run_id = uuid4()
        scopes[run_id] = {scope: draw.choice(owners[scope]) for scope in SCOPES}
        quantities = {
            "facility_energy_kwh": quantity(draw.uniform(0.1, 9), "kWh"),
            "cost": quantity(draw.uniform(0.1, 9), draw.choice(["EUR", "USD"])),
        }
        start_s, rest_s = (Span3(s, s / 2, s * 2) for s in (draw.uniform(0, 90), 60.0))
        is_known, is_running = number % 7 != 0, number % 3 == 0
        runs.append(
            OpenRun(
                run_id,
                f"run {number}",
                "running" if is_running else "queued",
                start_s if is_known else None,
                rest_s if is_known else None,
                quantities,
                0.25 if is_running else None,
            )
        )
        if number % 5 == 0:
            spent = Decimal("0.5")
            ended[run_id] = [Spend(facility_energy_kwh=0.5, cost=spent, currency="EUR")]
    budgets = [
        budget(scope, scope_id, metric, currency)
        for scope, ids in ({"lab": [None]} | owners).items()
        for scope_id in ids
        if scope == "lab" or scope_id is not None
        for metric, currency in (("facility_energy_kwh", None), ("cost", "EUR"), ("cost", "USD"))
    ]
    return OpenRuns(runs, scopes, ended), budgets


@pytest.mark.parametrize("seed", range(5))
def test_expected_use_of_every_budget_equals_that_of_its_runs_one_by_one(seed: int) -> None:
    opened, budgets = lab(seed)
    for number, each in enumerate(budgets):
        under = opened.under(each)
        uses = [use for _, use in under if use is not None]
        added = opened.expected(each)
        assert (added.known, added.runs) == (len(uses), len(under))
        used = number * 1.5
        whole, shifted = fan(used, uses), added.fan.above(used)
        assert shifted.end == whole.end
        assert shifted.crossing(LIMIT) == whole.crossing(LIMIT)
        assert [shifted.at(t_s) for t_s in (0, 40, 1e9)] == [whole.at(t_s) for t_s in (0, 40, 1e9)]


def test_nothing_is_charged_to_a_closed_budget() -> None:
    opened, (first, *_) = lab(1)
    first.closed_at = datetime.now(UTC)
    assert opened.expected(first).runs == 0


@pytest.fixture
def amounts_read(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """The runs whose expected use is worked out, each time."""
    read: list[UUID] = []
    use = OpenRuns._use

    def counted(self: OpenRuns, of: Budget, run: OpenRun) -> object:
        read.append(run.run_id)
        return use(self, of, run)

    monkeypatch.setattr(OpenRuns, "_use", counted)
    return read


def test_each_run_is_looked_at_once_for_each_unit_however_many_budgets_there_are(
    amounts_read: list[UUID],
) -> None:
    opened, budgets = lab(2)
    for _ in range(20):
        for each in budgets:
            opened.expected(each)
    units = {(each.metric, each.currency) for each in budgets}
    assert len(amounts_read) == len(units) * len(opened.runs)
