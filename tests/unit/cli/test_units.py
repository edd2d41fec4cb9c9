"""Figures that belong together have one unit, and are readable however small or large."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pricetag.cli.views import price_tag_view
from pricetag.cli.views.budgets import budget_lines, budgets_view
from pricetag.cli.views.energy import energy_view
from pricetag.cli.views.lineage import lineage_view
from pricetag.cli.views.pricing import comparison_view
from pricetag.cli.views.quote import quote_view
from pricetag.cli.views.runs import runs_view
from pricetag.tag.figures import column_number
from tests.support.fake_api import run
from tests.support.price_tags import compressed_run, tag
from tests.unit.cli.test_budgets import budget
from tests.unit.cli.test_energy import ABOUT, account, figures
from tests.unit.cli.test_views import drawn

ENERGY = re.compile(r"(?<![\w·])([GMkmµ]?Wh)\b")
MASS = re.compile(r"(?<=[\d.)] )(t|kg|g|mg|µg)\b")
SCALES = (1e-9, 1e-6, 1e-4, 1e-2, 1.0, 1e3, 1e6)


def units(text: str, pattern: re.Pattern[str] = ENERGY) -> set[str]:
    return set(pattern.findall(text))


def no_powers(text: str) -> bool:
    return re.search(r"(?<!\w)[\d.]+e[+-]\d", text) is None


@pytest.mark.parametrize("scale", SCALES)
def test_an_account_has_one_unit_in_its_table_and_one_in_its_totals(scale: float) -> None:
    items = [
        {**ABOUT, "node": "alpha", **figures(8.0 * scale, 7.998 * scale)},
        {**ABOUT, "node": "beta", **figures(0.004 * scale, 0.0)},
    ]
    body = account("node", figures(8.004 * scale, 7.998 * scale), *items).body
    text = drawn(energy_view({**body, "items": items}), 100)
    totals, table = text.split("\n\n", 1)
    assert len(units(totals)) == len(units(table)) == 1
    assert no_powers(text)


@pytest.mark.parametrize("scale", SCALES)
def test_a_list_of_runs_has_one_unit_for_each_figure(scale: float) -> None:
    runs = [
        run(price_tag={"it_energy_kwh": kwh * scale, "co2e_kg": kwh * scale / 2})
        for kwh in (0.002, 0.9, 1.1, 40.0)
    ]
    text = drawn(runs_view(runs), 120)
    assert "IT energy" in text
    assert len(units(text)) == len(units(text, MASS)) == 1
    assert no_powers(text)


def test_a_run_that_continues_has_the_figures_of_its_earlier_attempts_so_far() -> None:
    tag = {"it_energy_kwh": 0.002, "co2e_kg": 0.001}
    texts = {
        status: drawn(runs_view([run(status=status, price_tag=tag)]), 120)
        for status in ("queued", "running", "succeeded")
    }
    assert [text.count("so far") for text in texts.values()] == [2, 2, 0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("unit", ["kWh", "kg", "EUR"])
def test_a_budget_has_one_unit_and_no_powers_of_ten(scale: float, unit: str) -> None:
    metric = {"kWh": "facility_energy_kwh", "kg": "co2e_kg", "EUR": "cost"}[unit]
    amounts = {"limit": 25.0, "spent": 12.5, "running": 0.01, "reserved": 2.0, "left": 9.2}
    changed = budget(unit=unit, metric=metric, by_source={"assumed": 12.5 * scale})
    changed |= {name: value * scale for name, value in amounts.items()}
    lines = "\n".join(budget_lines(changed))
    assert no_powers(lines)
    shown = re.findall(r"^  (?:limit|spent|running|reserved|left) +\S+ (\S+)", lines, re.M)
    assert len(shown) == 5
    assert len(set(shown)) == 1
    listed = drawn(budgets_view([changed]), 100)
    assert listed.count(f" {shown[0]} ") >= 1


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.55, "55.0%"), (1.5, "150.0%"), (2731.361, "2,731x"), (9.2, "9.2x"), (1e-5, "under 0.1%")],
)
def test_a_share_of_a_budget_is_readable(ratio: float, text: str) -> None:
    assert f" {text}\n" in "\n".join([*budget_lines(budget(used_ratio=ratio)), ""])
    assert text in drawn(budgets_view([budget(used_ratio=ratio)]), 120)


def test_a_budget_of_nothing_shows_what_was_used() -> None:
    none = budget(unit="kWh", limit=0.0, spent=1e-7, running=0.0, reserved=0.0, left=0.0)
    lines = "\n".join(budget_lines(none))
    assert re.search(r"spent +100 µWh", lines)
    assert re.search(r"limit +0 µWh", lines)


def test_components_of_a_price_tag_have_one_unit_in_a_column() -> None:
    text = drawn(price_tag_view(tag(compressed_run())), 80)
    table = text[text.index("Component") :].split("\n\n")[0]
    assert len(units(table)) == 1
    assert not re.search(r"\d (W|kW|mW)\b", table)


def test_two_groups_of_runs_are_compared_in_one_unit() -> None:
    side: dict[str, Any] = {"runs": [{"name": "a"}], "mean": 0.99}
    comparison = {
        "metric": "it_energy_kwh",
        "unit": "kWh",
        "a": side,
        "b": {**side, "mean": 1.01},
        "ratio": {"value": None, "reason": "x"},
        "reasons": [],
        "notes": [],
    }
    assert len(units(drawn(comparison_view(comparison)))) == 1


def test_a_quoted_and_an_actual_figure_have_one_unit() -> None:
    unknown = {"value": None, "reason": "no history", "low": None, "high": None, "unit": "kWh"}
    names = ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg", "cost")
    hit = {"quoted": 0.9, "actual": 1.1, "factor": 1.2, "inside": True}
    quote = {
        "quantities": dict.fromkeys(names, unknown),
        "method": "unknown",
        "text": "x",
        "runs": [],
        "notes": [],
        "score": {"status": "succeeded", "quantities": {"it_energy_kwh": hit}},
    }
    assert len(units(drawn(quote_view(quote)))) == 1


def test_a_chain_of_runs_has_one_unit_in_a_column() -> None:
    def quantities(kwh: float) -> dict[str, Any]:
        figure = {"value": kwh, "low": kwh, "high": kwh, "unit": "kWh", "reason": None}
        return {"it_energy_kwh": figure, "co2e_kg": {**figure, "unit": "kg"}, "cost": figure}

    upstream = {"run_id": "6f0c0d0e", "name": "teacher", "shared_by": 1, **quantities(0.9)}
    lineage = {
        "models": [],
        "upstream": [upstream],
        "cumulative": quantities(1.2),
        "upstream_hidden": 0,
    }
    text = drawn(lineage_view(lineage), 100)
    assert len(units(text)) == 1
    assert "IT energy" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1e-9, "<0.0001"),
        (-1e-9, ">-0.0001"),
        (0.00012, "0.000120"),
        (0.0123, "0.0123"),
        (1234567.0, "1,234,567"),
        (1.5e18, "1,500,000,000,000,000,000"),
    ],
)
def test_a_number_in_a_column_has_no_power_of_ten(value: float, text: str) -> None:
    assert column_number(value) == text
