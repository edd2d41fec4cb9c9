from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console, RenderableType

from pricetag.cli.views import price_tag_view, strubell_table
from pricetag.cli.views.estimate import estimate_view
from pricetag.cli.views.recipes import recipe_view, recipes_view
from pricetag.recipes import describe
from tests.support.price_tags import compressed_run, failed_run, tag, unmetered_run


def drawn(view: RenderableType, width: int = 80) -> str:
    out = io.StringIO()
    # Markup on, as a caller may have it: names must not be taken for it.
    Console(file=out, width=width, color_system=None).print(view)
    return out.getvalue()


@pytest.fixture(scope="module")
def tags() -> list[dict[str, Any]]:
    names = ("MiniLM [red]int8[/red]", "x" * 120, "nothing [/] metered")
    runs = (compressed_run(names[0]), failed_run(names[1]), unmetered_run(names[2]))
    return [tag(run) for run in runs]


def test_a_price_tag_fits_and_says_everything(tags: list[dict[str, Any]]) -> None:
    text = drawn(price_tag_view(tags[0]))
    assert max(map(len, text.splitlines())) <= 80
    for figure in (
        "MiniLM [red]int8[/red]  (succeeded)",
        "14.4 Wh (12.8 to 17.4 Wh; modelled)",
        "17.3 Wh",
        "6.58 g (5.40 to 8.34 g; estimated)",
        "0.08 to 0.16 USD",
        "1: train stage",
        "3.19 to 4.34 Wh",
        "codecarbon says 25.0 Wh (modelled), +73.7% against ours",
        "several attempts",
        "Attempt 1 lost: the worker vanished",
    ):
        assert figure in text, figure


def test_unknown_figures_bear_their_reason(tags: list[dict[str, Any]]) -> None:
    text = drawn(price_tag_view(tags[2]))
    assert "IT energy         n/a (no component was metered)" in text
    assert "CO2e              n/a (no grid zone is configured)" in text
    assert " 0 " not in text.replace("0.0%", "")


@pytest.mark.parametrize("width", [80, 120])
def test_the_strubell_table_fits(tags: list[dict[str, Any]], width: int) -> None:
    text = drawn(strubell_table(tags), width)
    assert max(map(len, text.splitlines())) <= width
    for figure in ("370", "0.0389", "0.0227", "0.0217", "0.00984", "0.954 lb CO2e/kWh"):
        assert figure in text


def test_the_strubell_table_takes_the_site_s_factors_on_request(tags: list[dict[str, Any]]) -> None:
    text = drawn(strubell_table(tags, "site"))
    assert "0.0173" in text
    assert "0.00658" in text


def test_an_estimate_shows_units_and_money() -> None:
    figures = {
        "it_energy_kwh": 4.8,
        "facility_energy_kwh": 5.28,
        "co2e_kg": 2.112,
        "co2e_lb": 4.656,
        "cost_low": 16.0,
        "cost_high": 32.0,
        "currency": "USD",
    }
    text = drawn(estimate_view(figures))
    assert "4.80 kWh" in text
    assert "2.11 kg (4.66 lb)" in text
    assert "16.00 to 32.00 USD" in text
    without = drawn(estimate_view(figures | {"cost_low": None, "cost_high": None}))
    assert "n/a (no price was given)" in without


def test_every_recipe_is_shown_with_its_parameters_and_paper() -> None:
    entries = describe()
    listed = drawn(recipes_view(entries))
    for entry in entries:
        assert entry["kind"] in listed
        text = drawn(recipe_view(entry), 120)
        assert entry["paper"]["url"] in text
        assert all(name in text for name in entry["schema"]["properties"])
