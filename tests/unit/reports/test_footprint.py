"""Water, hardware, money, efficiency and the error budget in reports."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from typing import Any

import pytest

from app.reports import FORMATS, build_context, render
from pricetag.accounting.bill.inputs import HourlyFactor
from tests.support.price_tags import (
    ELECTRICITY_ALONE,
    FACTORS,
    compressed_run,
    owned_run,
    tag,
    unmetered_run,
)
from tests.unit.reports.test_context import AT, rows, section


@pytest.fixture(scope="module")
def context() -> dict[str, Any]:
    tags = [tag(owned_run()), tag(unmetered_run())]
    return build_context("x", "site", tags, generated_at=AT)


def tables(context: dict[str, Any], id_: str) -> dict[str, list[list[str]]]:
    by_title = section(context, id_)["tables"]
    return {t["id"]: [row["cells"] for row in t["rows"]] for t in by_title}


def test_figures_beside_energy_have_a_section(context: dict[str, Any]) -> None:
    by_name = tables(context, "footprint")
    assert list(by_name) == ["footprint", "split", "costs", "efficiency"]
    first = by_name["footprint"][0]
    assert first[:3] == ["on our own card", "251", "211 to 311"]
    assert first[-2:] == ["56.4", "40.8 to 75.9"]
    assert by_name["split"][0][1:6:2] == ["20.9", "10.4", "2.61"]
    assert by_name["costs"][0][1:3] == [
        "owned hardware and electricity",
        "0.0454 USD (0.0373 to 0.0536 USD)",
    ]
    assert by_name["costs"][0][5].startswith("0.06 to 0.11 USD")
    assert by_name["efficiency"][0][1:3] == ["6.1% (a)", "160 (a)"]
    assert by_name["efficiency"][0][-1] == "FlopCounterMode on meta tensors"
    assert by_name["footprint"][1][1].startswith("n/a")


def test_an_electricity_cost_has_its_value_and_its_interval() -> None:
    run = replace(owned_run(), factors=ELECTRICITY_ALONE)
    context = build_context("x", "site", [tag(run)], generated_at=AT)
    electricity = tables(context, "footprint")["costs"][0][4]
    assert re.fullmatch(r"\S+ USD \(\S+ to \S+ USD\)", electricity), electricity
    totals = tables(context, "bill")["totals"]
    (line,) = (cells for cells in totals if cells[0] == "Electricity cost")
    assert electricity == f"{line[1]} ({line[2]})"
    (cloud,) = (cells for cells in totals if cells[0] == "Cloud compute cost")
    assert cloud[1].startswith("n/a")


def test_columns_without_any_figure_are_omitted() -> None:
    context = build_context("x", "site", [tag(compressed_run())], generated_at=AT)
    assert list(tables(context, "footprint")) == ["split", "costs", "efficiency"]
    bare = build_context("x", "site", [tag(unmetered_run())], generated_at=AT)
    assert "footprint" not in [s["id"] for s in bare["sections"]]


def test_unknown_idle_power_is_shown_with_its_reason() -> None:
    context = build_context("x", "site", [tag(compressed_run())], generated_at=AT)
    split = next(t for t in section(context, "footprint")["tables"] if t["id"] == "split")
    heads = [column["label"].split(" (")[0] for column in split["columns"][1::2]]
    assert heads == ["Devices, total", "Charged", "of which idle", "of which dynamic"]
    (line,) = split["rows"]
    assert line["cells"][1::2] == ["n/a (a)", "14.4", "n/a (b)", "n/a (b)"]
    assert split["notes"] == [
        "(a) gpu:GPU-1: the energy of the whole device was not kept",
        "(b) gpu:GPU-1: no idle baseline is known",
    ]


def test_price_tags_of_accounting_version_1_have_no_split_to_show() -> None:
    old = {k: v for k, v in tag(compressed_run()).items() if k != "split"}
    context = build_context("x", "site", [old], generated_at=AT)
    assert "split" not in tables(context, "footprint")


def test_shares_of_stages_and_the_rest_add_up_to_one(context: dict[str, Any]) -> None:
    shares = {row[0]: row[7] for row in rows(context, "stages")}
    assert shares["train stage"] == "60.0%"
    assert shares["outside the stages"] == "40.0%"


def test_the_causes_of_error_are_listed(context: dict[str, Any]) -> None:
    errors = tables(context, "checks")["errors"]
    by_figure = {row[1]: row[2:] for row in errors if row[0] == "on our own card"}
    assert list(by_figure) == ["IT energy", "Facility energy", "CO2e", "Cost"]
    assert by_figure["CO2e"][1].startswith("carbon intensity 50.4%; ")
    assert by_figure["Cost"][1].startswith("price of the owned hardware 99.6%")


def test_differences_to_the_second_opinion_are_explained(context: dict[str, Any]) -> None:
    opinions = next(t for t in section(context, "checks")["tables"] if t["id"] == "second-opinion")
    explanation = next(note for note in opinions["notes"] if note.startswith("on our own card"))
    assert "all: Pricetag charges this run its share, 50.0% of the devices' energy" in explanation
    assert "gpu: ours is metered" in explanation
    # 100 s at 1.02 x 300 + 70 W of twice the time, against 12.5 Wh.
    heads = [column["label"] for column in opinions["columns"]]
    whole = next(row["cells"] for row in opinions["rows"] if row["cells"][2] == "all")
    assert dict(zip(heads[3:], whole[3:], strict=True)) == {
        "Charged (Wh)": "10.4",
        "Whole devices (Wh)": "20.9",
        "Other tool (Wh)": "12.5",
        "Other tool to charged": "+19.7%",
        "Other tool to whole": "-40.2%",
    }


def test_a_second_opinion_of_some_attempts_is_marked_as_such() -> None:
    made = compressed_run()
    silent = replace(made.attempts[0], second_opinion=None)
    partly = tag(replace(made, attempts=(silent, made.attempts[1])))
    shown = [partly, tag(made) | {"name": "all of it"}]
    context = build_context("x", "site", shown, generated_at=AT)
    opinions = next(t for t in section(context, "checks")["tables"] if t["id"] == "second-opinion")
    assert [note for note in opinions["notes"] if "alone" in note] == [
        "MiniLM fine-tuned, then int8: of attempt 2 of 2 alone; the other tool reported nothing "
        "for the rest."
    ]


def test_every_factor_is_listed(context: dict[str, Any]) -> None:
    labels = [row[0] for row in rows(context, "factors")]
    assert {
        "Hourly carbon intensity, mean as applied",
        "Carbon intensity, market-based",
        "Own hardware, per accelerator-hour",
        "Water usage effectiveness",
        "Water intensity of the electricity",
        "Calibration, gpu:GPU-1",
        "Embodied emissions, NVIDIA H100 80GB HBM3",
        "Peak, NVIDIA H100 80GB HBM3",
    } <= set(labels)


def test_the_methods_statement_mentions_hourly_factors(context: dict[str, Any]) -> None:
    (text,) = section(context, "methods")["paragraphs"]
    assert (
        "Of 1 run, all of the energy was multiplied by the grid carbon intensity of its own "
        "hour (Grid operator), 300 g/kWh on average." in text
    )
    assert "The grid carbon intensity is" not in text


def by_hour(hourly_prices: dict[str, float]) -> dict[str, list[str]]:
    """Factors of a run of 100 s, 25 s of them in the second hour, with a tariff by the hour."""
    bare, tariff = owned_run(), FACTORS.electricity_tariff
    assert tariff is not None
    hourly = HourlyFactor(
        replace(tariff, value=0.264, citation="Contract by the hour"), hourly_prices
    )
    measurements = tuple(
        replace(part, energy_by_hour_j={FIRST: 0.75 * energy_j, SECOND: 0.25 * energy_j})
        for part in bare.attempts[0].measurements
        if (energy_j := part.window.energy_j) is not None
    )
    attempts = (replace(bare.attempts[0], measurements=measurements),)
    factors = replace(bare.factors, tariff_hours=hourly, calibrations={}, carbon_hours=None)
    made = tag(replace(bare, attempts=attempts, factors=factors))
    shown = rows(build_context("x", "site", [made], generated_at=AT), "factors")
    return {row[0]: row for row in shown if "ariff" in row[0]}


FIRST, SECOND = "2026-03-01T12:00:00+00:00", "2026-03-01T13:00:00+00:00"
TARIFF = "Hourly electricity tariff, mean as applied"
REST = "Electricity tariff, in hours without an hourly value"


def test_a_tariff_by_the_hour_is_listed_as_it_was_applied() -> None:
    listed = by_hour({FIRST: 0.20, SECOND: 0.40})
    assert list(listed) == [TARIFF]
    assert listed[TARIFF][1] == "0.250 USD/kWh"
    assert "Contract by the hour" in listed[TARIFF][3]
    partly = by_hour({FIRST: 0.20})
    assert {label: row[1] for label, row in partly.items()} == {
        REST: "0.300 USD/kWh",
        TARIFF: "0.225 USD/kWh",
    }
    assert {label: row[1] for label, row in by_hour({}).items()} == {REST: "0.300 USD/kWh"}


def test_a_flat_intensity_that_was_not_applied_is_not_listed(context: dict[str, Any]) -> None:
    listed = {row[0]: row[1] for row in rows(context, "factors")}
    assert listed["Hourly carbon intensity, mean as applied"] == "300 g/kWh"
    assert "Carbon intensity" not in listed
    paper = build_context("x", "strubell2019", [tag(owned_run())], generated_at=AT)
    labels = [row[0] for row in rows(paper, "factors")]
    assert [label for label in labels if label.startswith("Carbon intensity")] == [
        "Carbon intensity",
        "Carbon intensity, market-based",
    ]


def test_counted_operations_are_not_called_a_hardware_counter(context: dict[str, Any]) -> None:
    bill = {row[0]: row[3] for row in rows(context, "bill")}
    assert bill["FLOPs, dense"] == "operators counted"


def test_incomplete_operation_counts_are_not_shown_as_exact() -> None:
    def dense(made: dict[str, Any]) -> tuple[list[str], str]:
        context = build_context("x", "site", [made], generated_at=AT)
        flops_row = next(row for row in rows(context, "bill") if row[0] == "FLOPs, dense")
        return flops_row, str(section(context, "bill"))

    row, text = dense(tag(owned_run()))
    assert row[2] == "at least"
    assert "some operators or stages of 1 run are not counted" in text
    whole = tag(owned_run())
    for kind in ("dense", "effective"):
        del whole["flops"][kind]["reason"]
    row, text = dense(whole)
    assert row[2] == "exact"
    assert "are not counted" not in text


def test_spreadsheet_rows_have_the_new_figures(context: dict[str, Any]) -> None:
    text = render(context, "csv").content.decode()
    run, stage = list(csv.DictReader(io.StringIO(text)))[:2]
    made = tag(owned_run())
    assert float(run["water_l"]) == made["water_l"]["value"]
    assert float(run["cost_total"]) == made["cost"]["total"]["value"]
    assert run["cost_basis"] == "owned hardware and electricity"
    assert float(run["gross_kwh"]) == made["split"]["gross_kwh"]["value"]
    assert float(stage["mfu_ratio"]) == made["stages"][0]["flops"]["mfu_ratio"]["value"]
    assert (stage["water_l"], stage["cost_total"]) == ("", "")


@pytest.mark.parametrize("fmt", FORMATS)
def test_every_format_shows_the_cost_basis(context: dict[str, Any], fmt: Any) -> None:
    content = render(context, fmt).content
    if fmt != "pdf":
        assert b"owned hardware and electricity" in content
    assert len(content) > 2_000


def test_the_methods_statement_compares_the_second_opinion_with_whole_machines(
    context: dict[str, Any],
) -> None:
    (text,) = section(context, "methods")["paragraphs"]
    whole = tag(owned_run())["second_opinion"]["total"]
    theirs, gross, ours = (
        whole[name]["value"] for name in ("theirs_kwh", "ours_gross_kwh", "ours_kwh")
    )
    # The run is charged a part of what its devices used; the other tool saw them whole.
    assert ours == pytest.approx(gross / 2, rel=0.01)
    percent = f"{100 * (theirs / gross - 1):.1f}%"
    assert f"differs by {percent} in the IT energy of the machines" in text


def test_a_profile_with_exact_factors_has_only_the_errors_of_meters() -> None:
    context = build_context("x", "strubell2019", [tag(owned_run())], generated_at=AT)
    assert [row[1] for row in tables(context, "checks")["errors"]] == ["IT energy"]
    columns = [c["label"] for t in section(context, "footprint")["tables"] for c in t["columns"]]
    assert not [label for label in columns if "CO2e, total" in label]
    assert [label for label in columns if "embodied" in label]
