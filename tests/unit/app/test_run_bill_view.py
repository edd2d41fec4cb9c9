"""The bill of a run's page: the figures of the price tag, to the digit of terminal and reports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.web.views import run_copy, run_sections
from app.web.views.figures import FigureView
from app.web.views.run_bill import OUTSIDE, BillView, bill
from app.web.views.run_charts import waterfalls
from pricetag.tag.figures import interval_text, with_unit
from pricetag.tag.view import TagView
from tests.support.golden import NAMES, content
from tests.support.price_tags import (
    compressed_run,
    failed_run,
    nested_run,
    owned_run,
    unmetered_run,
)
from tests.support.price_tags import tag as tag_of

HEADLINES = ("IT energy", "Facility energy", "CO2e, location-based", "Cost")


def shown(inputs: object) -> tuple[TagView, BillView]:
    tag = TagView.read(tag_of(inputs))  # type: ignore[arg-type]
    return tag, bill(tag)


def line(view: BillView, label: str) -> FigureView:
    (match,) = [each.figure for each in view.lines if each.label == label]
    return match


@pytest.mark.parametrize("name", NAMES)
def test_every_issued_price_tag_has_a_bill(name: str) -> None:
    tag = TagView.read(content(name))
    view = bill(tag)
    energy = tag.document.energy.it_energy_kwh
    headline = line(view, "IT energy")
    if energy.value is None:
        assert headline.value is None
        assert headline.reason
    else:
        assert f"{headline.text} {headline.unit}" == with_unit(energy.value, "kWh")
        interval = f"{headline.interval} {headline.unit}" if headline.interval else ""
        assert interval == interval_text(energy)
        assert headline.source == energy.source
    assert [part.is_total for part in view.parts][-1]
    assert view.parts[-1].energy.value == energy.value
    for figure in (each.figure for each in view.lines):
        assert (figure.value is None) == (figure.text == "n/a")
        assert figure.value is not None or figure.reason


def test_headlines_have_interval_and_source() -> None:
    _, view = shown(owned_run())
    for label in HEADLINES:
        figure = line(view, label)
        assert figure.interval, label
        assert figure.source, label
    strong = [each.label for each in view.lines if each.is_strong]
    assert strong == list(HEADLINES)


def test_unknown_figures_say_why() -> None:
    _, view = shown(failed_run())
    assert line(view, "CO2e, location-based").reason == "no grid zone is configured"
    assert line(view, "Cost").reason
    _, bare = shown(unmetered_run())
    assert line(bare, "IT energy").value is None
    assert line(bare, "IT energy").reason
    assert bare.summary is None
    assert bare.components == []


def test_the_stage_and_the_component_that_used_most_are_named() -> None:
    tag, view = shown(compressed_run())
    largest = max(stage.share_ratio.value or 0 for stage in tag.document.stages)
    assert view.summary is not None
    assert view.summary.startswith(f"Stage train stage used {largest:.1%} of the IT energy;")
    assert "NVIDIA H100 80GB HBM3 used" in view.summary


def test_rows_by_stage_are_in_one_unit_with_attempts_and_the_rest() -> None:
    tag, view = shown(compressed_run())
    names = [(row.attempt, row.name, row.is_total) for row in view.parts]
    assert names[0] == (1, "train stage", False)
    assert names[1:3] == [(1, OUTSIDE, False), (1, "Attempt 1", True)]
    assert names[-2:] == [(2, "Attempt 2", True), (None, "Whole run", True)]
    assert {row.energy.unit for row in view.parts} == {view.energy_unit}
    assert view.has_attempts
    assert [row.status for row in view.parts if row.name == "Attempt 1"] == ["lost"]
    whole = view.parts[-1]
    total = sum(cell.value or 0 for cell in whole.components if cell is not None)
    assert total == pytest.approx(tag.document.energy.it_energy_kwh.value)
    assert len(whole.components) == len(view.component_heads) == 3


def test_nested_stages_lie_in_the_stage_around_them() -> None:
    _, view = shown(nested_run())
    assert [(row.name, row.depth) for row in view.parts[:4]] == [
        ("train.py", 0),
        ("epoch", 1),
        ("forward", 2),
        ("save", 1),
    ]


def test_shares_are_widths_of_bars() -> None:
    _, view = shown(compressed_run())
    widths = [row.share.width for row in view.components]
    assert sum(widths) == pytest.approx(100, abs=0.1)
    assert all(row.share.text.endswith("%") for row in view.components)


def test_causes_of_error_add_up_to_the_variance() -> None:
    _, view = shown(owned_run())
    assert [causes.label for causes in view.causes] == [
        "IT energy",
        "Facility energy",
        "CO2e",
        "Cost",
    ]
    for causes in view.causes:
        assert sum(share.width for _, share in causes.shares) == pytest.approx(100, abs=0.1)
        assert causes.std.endswith("%")


def test_the_second_opinion_is_beside_ours_with_its_explanation() -> None:
    _, view = shown(compressed_run())
    opinion = view.opinion
    assert opinion is not None
    assert opinion.tool == "codecarbon 3.3.2"
    assert [row.kind for row in opinion.rows][-1] == "all"
    assert {row.theirs.unit for row in opinion.rows if row.theirs.value} == {opinion.unit}
    _, without = shown(unmetered_run())
    assert without.opinion is None


def test_of_a_run_that_continues_every_total_is_provisional() -> None:
    tag = TagView.read(tag_of(compressed_run()))
    view = bill(tag, is_open=True)
    for label in ("Time", *HEADLINES):
        assert line(view, label).is_provisional, label
    assert not line(view, "x PUE").is_provisional


def test_a_cloud_price_is_a_range() -> None:
    _, view = shown(compressed_run())
    cost = line(view, "Cost")
    assert " to " in cost.text
    assert cost.interval == ""
    assert cost.unit == "USD"


def test_text_to_paste_escapes_any_name() -> None:
    tag = TagView.read(tag_of(replace(compressed_run(), name="a|b & <i>50%</i>_")))
    row = run_copy.markdown(tag).splitlines()[2]
    assert row.count(" | ") == 5
    assert "&lt;i&gt;" in row
    assert r"\& \ensuremath{<}i\ensuremath{>}50\%" in run_copy.latex(tag)
    assert run_copy.latex(tag).splitlines()[1].endswith(r"\\")


def test_sections_of_reports_are_those_of_the_page() -> None:
    tag = TagView.read(tag_of(compressed_run()))
    measured = run_sections.measured_models(tag)
    assert measured is not None
    assert "variants-energy" in [table["id"] for table in measured["tables"]]
    assert [section["id"] for section in run_sections.origin(tag)] == ["factors", "provenance"]
    assert run_sections.scores(tag) is not None
    bare = TagView.read(tag_of(unmetered_run()))
    assert run_sections.measured_models(bare) is None


def test_waterfalls_add_up_to_the_energy() -> None:
    tag = TagView.read(tag_of(compressed_run()))
    by_stage, by_component = waterfalls(tag, "text")
    for chart in (by_stage, by_component):
        *parts, total = chart.rows
        amounts = [float(row["amount"] or 0) for row in parts]
        assert sum(amounts) == pytest.approx(total["amount"])
        assert total["label"] == "IT energy"
        assert chart.projects == {"text"}
        assert "used the most" in chart.summary
    assert [row["label"] for row in by_stage.rows][:2] == ["1: train stage", f"1: {OUTSIDE}"]
    assert waterfalls(TagView.read(tag_of(unmetered_run())), "text") == []
