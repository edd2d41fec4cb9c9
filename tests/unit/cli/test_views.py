from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from pricetag.cli.views import price_tag_view, strubell_table, variants_view
from pricetag.cli.views.estimate import estimate_view
from pricetag.cli.views.recipes import recipe_view, recipes_view
from pricetag.cli.views.tables import Figures, FittedTable, packed
from pricetag.recipes import describe
from tests.support.price_tags import (
    ELECTRICITY_ALONE,
    compressed_run,
    failed_run,
    nested_run,
    owned_run,
    tag,
    unmetered_run,
)


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


def test_a_price_tag_fits_the_terminal_and_shows_everything(tags: list[dict[str, Any]]) -> None:
    text = drawn(price_tag_view(tags[0]))
    assert max(map(len, text.splitlines())) <= 80
    for figure in (
        "MiniLM [red]int8[/red]  (succeeded)",
        "14.4 Wh (12.8 to 17.4 Wh; modelled)",
        "17.3 Wh",
        "6.58 g (5.40 to 8.34 g; estimated)",
        "0.08 to 0.16 USD",
        "1: train stage (failed)",
        "2:   Repeated inference",
        "3.19 to 4.34",
        "codecarbon reported 25.0 Wh (modelled), +73.7% vs Pricetag",
        "several attempts",
        "Attempt 1 lost: the worker vanished",
    ):
        assert figure in text, figure


def test_a_second_opinion_of_some_attempts_names_them() -> None:
    made = compressed_run()
    silent = replace(made.attempts[0], second_opinion=None)
    text = " ".join(
        drawn(price_tag_view(tag(replace(made, attempts=(silent, made.attempts[1]))))).split()
    )
    # 370 W for 100 s in the second attempt, and for 40 s more in the first.
    assert (
        "codecarbon reported 12.5 Wh (modelled) for attempt 2 of 2, +21.6% vs Pricetag's 10.3 Wh"
        in text
    )
    whole = " ".join(drawn(price_tag_view(tag(made))).split())
    assert "codecarbon reported 25.0 Wh (modelled), +73.7% vs Pricetag" in whole


@pytest.mark.parametrize("width", [60, 80])
def test_figures_of_stages_stay_whole_on_narrow_terminals(
    tags: list[dict[str, Any]], width: int
) -> None:
    text = drawn(price_tag_view(tags[0]), width)
    assert max(map(len, text.splitlines())) <= width
    for figure in ("35 s", "3.60", "3.19 to 4.34", "25.0%", "0.0895 to 0.124"):
        assert figure in text, figure
    assert "\u2026" not in text


def variants_text(tag: dict[str, Any], width: int = 80) -> str:
    view = variants_view(tag)
    assert view is not None
    return drawn(view, width)


def test_stages_are_indented_by_their_depth() -> None:
    lines = drawn(price_tag_view(tag(nested_run()))).splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("train.py"))
    assert [line[:11].rstrip() for line in lines[begin : begin + 4]] == [
        "train.py",
        "  epoch",
        "    forward",
        "  save",
    ]


def test_variants_are_shown_side_by_side(tags: list[dict[str, Any]]) -> None:
    lines = [" ".join(line.split()) for line in variants_text(tags[0]).splitlines()]
    assert "after train stage 22.7M 90.9 3.10 2,581 25.7 first 0.8610" in lines
    # 370 J to make it, 0.0555 J saved with each inference.
    assert "after quantize stage 22.7M 23.1 1.20 6,667 10.3 6.67k 0.8580" in lines
    assert "(MB)" in lines[2]
    assert "accuracy: on the validation split" in lines


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_variants_fit_any_terminal(tags: list[dict[str, Any]], width: int) -> None:
    text = variants_text(tags[0], width)
    assert max(map(len, text.splitlines())) <= width
    for figure in ("22.7M", "90.9", "1.20", "6,667", "10.3", "6.67k", "0.8580"):
        assert figure in text.split(), figure


def test_an_unknown_break_even_has_its_reason(tags: list[dict[str, Any]]) -> None:
    made = tag(compressed_run())
    inference = made["stages"][-1]
    inference["quality"][0]["value"] = 30_000
    assert "never" in variants_text(made).split()
    inference["coverage_ratio"] |= {"value": 0.5, "low": 0.5, "high": 0.5}
    text = " ".join(variants_text(made).split())
    assert "Repeated inference was metered for only part of its run time" in text
    assert "never" not in text.split()


def test_scores_of_regression_are_shown() -> None:
    made = tag(compressed_run())
    for stage in made["stages"]:
        for item in stage["quality"]:
            if item["metric"] == "accuracy":
                item |= {"metric": "spearman", "split": None}
    text = variants_text(made)
    assert "spearman" in text
    assert "0.8580" in text
    assert "split" not in text


def test_there_is_no_table_without_variants(tags: list[dict[str, Any]]) -> None:
    assert variants_view(tags[1]) is None


def test_columns_that_do_not_fit_are_printed_below() -> None:
    columns = [Figures("aaaa", ["1"]), Figures("b\nbbb", ["22"]), Figures("c", ["333333"])]
    assert packed(columns, 15, 1) == [columns[:2], columns[2:]]
    assert packed(columns, 3, 2) == [[column] for column in columns]
    text = drawn(FittedTable("name", ["x [b]y[/b]"], columns), 20)
    assert text.count("name") == 2
    assert "x [b]y[/b]" in text


def test_figures_beside_energy_are_shown() -> None:
    text = drawn(price_tag_view(tag(owned_run())))
    assert max(map(len, text.splitlines())) <= 80
    for figure in (
        "  of which idle   2.61 Wh (25.0%)",
        "  share           50.0% of the devices' 20.9 Wh",
        "CO2e, market      251 mg",
        "CO2e, embodied    102 mg",
        "CO2e, total       3.86 g",
        "Water             56.4 ml",
        "Cost              0.0454 USD (0.0373 to 0.0536 USD; estimated; owned hardware",
        "Cloud cost        0.06 to 0.11 USD",
        "MFU               6.1% of the dense 16-bit peak",
        "FLOPs per energy  160 GFLOP/J",
        "Largest error: IT energy: power model of cpu (89.6%); CO2e: carbon intensity",
        "Pricetag charges this run its share, 50.0% of the devices' energy",
        "FLOPs, dense      at least ",
        "Not counted in FLOPs: aten::_softmax",
    ):
        assert figure in text, figure


def test_an_electricity_cost_is_not_shown_as_a_range_of_prices() -> None:
    document = tag(replace(owned_run(), factors=ELECTRICITY_ALONE))
    cost = document["cost"]["electricity"]
    text = drawn(price_tag_view(document), 120)
    (line,) = (line for line in text.splitlines() if line.startswith("Cost "))
    pattern = r"Cost +(\S+) USD \((\S+) to (\S+) USD; \w+; electricity alone\)"
    match = re.fullmatch(pattern, line.rstrip())
    assert match, line
    shown = [float(figure) for figure in match.groups()]
    assert shown == pytest.approx([cost["value"], cost["low"], cost["high"]], rel=0.005)


def test_the_printed_shares_add_up(tags: list[dict[str, Any]]) -> None:
    lines = drawn(price_tag_view(tags[0])).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Stage"))
    shares = []
    for line in lines[start + 2 : lines.index("", start)]:
        if "Repeated inference" not in line:  # which lies in another stage
            shares.append(float(line.split()[-1].rstrip("%")))
    assert sum(shares) == pytest.approx(100.0, abs=0.3)
    assert any(line.startswith("(outside the stages)") for line in lines)


def test_a_tag_of_accounting_version_1_is_shown_unchanged(tags: list[dict[str, Any]]) -> None:
    added = {"split", "uncertainty", "co2e_market_kg", "water_l", "embodied_co2e_kg"}
    old = {name: item for name, item in tags[0].items() if name not in added}
    old["cost"] = {name: old["cost"][name] for name in ("cloud", "electricity", "currency")}
    old["flops"] = {name: old["flops"][name] for name in ("dense", "effective", "low_bit")}
    text = drawn(price_tag_view(old))
    assert "Cloud cost        0.08 to 0.16 USD" in text
    assert "Largest error" not in text


def test_unknown_figures_have_their_reason(tags: list[dict[str, Any]]) -> None:
    text = drawn(price_tag_view(tags[2]))
    lines = {line.split("  ")[0]: line.split()[-2:] for line in text.splitlines() if line}
    assert lines["IT energy"] == lines["Mean power"] == ["n/a", "[1]"]
    assert lines["CO2e"] == lines["x grid"] == ["n/a", "[2]"]
    assert "[1]               no component was metered" in text
    assert "[2]               no grid zone is configured" in text
    assert text.count("no component was metered") == text.count("no grid zone is configured") == 1
    # A reason that only one figure has stays beside it.
    assert "Electricity cost  n/a (no electricity tariff is configured)" in text
    assert " 0 " not in text.replace("0.0%", "")


@pytest.mark.parametrize("width", [80, 120])
def test_the_strubell_table_fits(tags: list[dict[str, Any]], width: int) -> None:
    text = drawn(strubell_table(tags), width)
    assert max(map(len, text.splitlines())) <= width
    for figure in ("370", "0.0389", "0.0227", "0.0217", "0.00984", "0.954 lb CO2e/kWh"):
        assert figure in text


def test_the_strubell_table_uses_the_site_s_factors_on_request(tags: list[dict[str, Any]]) -> None:
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
    one_end = drawn(estimate_view(figures | {"cost_high": None}))
    assert "at least 16.00 USD (no high price supplied)" in one_end
    one_end = drawn(estimate_view(figures | {"cost_low": None}))
    assert "at most 32.00 USD (no low price supplied)" in one_end
    without = drawn(estimate_view(figures | {"cost_low": None, "cost_high": None}))
    assert "n/a (no price supplied)" in without


def test_every_recipe_is_shown_with_its_parameters_and_paper() -> None:
    entries = describe()
    listed = drawn(recipes_view(entries))
    for entry in entries:
        assert entry["kind"] in listed
        text = drawn(recipe_view(entry), 120)
        assert entry["paper"]["url"] in text
        assert all(name in text for name in entry["schema"]["properties"])


def test_a_score_names_its_class_and_why_it_has_no_value() -> None:
    made = tag(compressed_run())
    like = made["quality"][0]
    made["quality"] = [
        {**like, "metric": "f1", "value": 0.8, "of_class": "equivalent"},
        {**like, "metric": "mcc", "value": None, "reason": "one class alone"},
    ]
    text = " ".join(drawn(price_tag_view(made), width=160).split())
    assert "0.8000 (class equivalent)" in text
    assert "n/a [1]" in text
    assert "[1] one class alone" in text


def test_a_price_tag_of_another_form_is_an_error_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pricetag.cli import app as commands

    def show(**_: object) -> None:
        price_tag_view({"schema": "pricetag/1", "run_id": 7})

    monkeypatch.setattr(commands, "_commands", lambda: show)
    assert commands.run(["show", "last"]) == 1
    message = capsys.readouterr().err
    assert "run_id: must be a text (got 7)" in " ".join(message.split())
    assert "Traceback" not in message
