from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.reports import build_context, csv_, json_
from app.reports.shape import Context
from tests.support.price_tags import compressed_run, owned_run, tag
from tests.support.report_contexts import context_with
from tests.unit.reports.strategies import names

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def read(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def by_head(rows: list[list[str]]) -> list[dict[str, str]]:
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


@given(names)
def test_no_text_is_a_formula(name: str) -> None:
    text = csv_.cell(name)
    assert not text.lstrip().startswith(FORMULA)
    assert "\n" not in text


@given(names)
def test_rows_stay_rows(name: str) -> None:
    rows = read(csv_.render(context_with(name)))
    assert [len(row) for row in rows] == [2, 2, 2]
    assert rows[0] == ["run", "it_energy_kwh"]
    assert rows[1][1] == "-1.5"
    assert rows[2][1] == ""


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_figures_are_not_rounded(value: float) -> None:
    assert float(csv_.cell(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("  +1", "'  +1"),
        ("a=b", "a=b"),
        (-2, "-2"),
        (None, ""),
        (True, "true"),
    ],
)
def test_values_are_written_as_csv_cells(value: Any, text: str) -> None:
    assert csv_.cell(value) == text


def test_one_line_per_run_and_stage(site: Context) -> None:
    rows = read(csv_.render(site))
    head, lines = rows[0], by_head(rows)
    assert head == site["line_columns"]
    assert [line["stage"] for line in lines] == [
        "",
        "0-train",
        "0-train",
        "1-measure",
        "2-inference",
        "3-quantize",
        "4-measure",
        "5-inference",
        "",
        "0-train",
        "",
    ]
    whole, cut_off = lines[0], lines[1]
    # 140 s at 370 W, and 35 s of it in the first attempt's training.
    assert float(whole["it_energy_kwh"]) == pytest.approx(140 * 370 / 3.6e6)
    assert float(cut_off["it_energy_kwh"]) == pytest.approx(35 * 370 / 3.6e6)
    assert float(whole["it_energy_low_kwh"]) < float(whole["it_energy_kwh"])
    assert (cut_off["attempt"], cut_off["stage_status"]) == ("1", "failed")
    assert lines[-1]["it_energy_kwh"] == ""
    assert "it_energy_kwh: no component was metered" in lines[-1]["unknown"]


def test_no_sum_mixes_factors() -> None:
    at, tags = datetime(2026, 3, 2, tzinfo=UTC), [tag(owned_run())]
    site = build_context("x", "site", tags, generated_at=at)
    paper = build_context("x", "strubell2019", tags, generated_at=at)
    by_site, by_paper = (
        by_head(read(csv_.render(cast(Context, context))))[0] for context in (site, paper)
    )
    parts = float(by_site["co2e_kg"]) + float(by_site["embodied_co2e_kg"])
    assert float(by_site["co2e_total_kg"]) == pytest.approx(parts)
    assert by_paper["co2e_kg"] != by_site["co2e_kg"]
    assert by_paper["co2e_total_kg"] == ""
    assert "co2e_total_kg: the price tag's sum includes" in by_paper["unknown"]


def test_measured_variants_and_reported_figures_are_on_their_stage_s_line(site: Context) -> None:
    rows = read(csv_.render(site))
    lines = {(line["attempt"], line["stage"]): line for line in by_head(rows)}
    small, first = lines["2", "4-measure"], lines["2", "1-measure"]
    assert small["variant"] == "after quantize stage"
    assert float(small["energy_per_1000_inferences_kwh"]) == pytest.approx(37 / 3.6e6)
    assert float(small["energy_to_make_kwh"]) == pytest.approx(370 / 3.6e6)
    assert float(small["break_even_inferences"]) == pytest.approx(370 / 0.0555)
    low, high = (float(small[f"break_even_{end}_inferences"]) for end in ("low", "high"))
    assert low < 370 / 0.0555 < high
    assert first["break_even_inferences"] == ""
    assert "break_even" not in first["unknown"]
    assert float(small["metric.accuracy.validation"]) == 0.858
    assert float(small["metric.model_bytes [bytes]"]) == 23_068_672
    assert float(lines["2", "5-inference"]["metric.inferences"]) == 100_000
    assert lines["2", "0-train"]["metric.inferences"] == ""


def test_the_reason_for_a_missing_break_even_is_given() -> None:
    made = tag(compressed_run())
    made["stages"][6]["quality"][0]["value"] = 30_000
    context = build_context("x", "site", [made], generated_at=datetime(2026, 3, 2, tzinfo=UTC))
    [line] = [
        line
        for line in by_head(read(csv_.render(cast(Context, context))))
        if line["variant"] == "after quantize stage"
    ]
    assert line["break_even_inferences"] == ""
    reason = "break_even_inferences: an inference has not become cheaper"
    assert line["unknown"].split("; ")[-1] == reason


@given(names)
def test_json_is_the_context(name: str) -> None:
    context = context_with(name.encode("utf-8", "replace").decode())
    assert json.loads(json_.render(context)) == context


def test_every_line_says_who_measured_the_run() -> None:
    own = tag(compressed_run())
    own["provenance"] |= {"origin": "local", "measured_by": "PTB, the national institute"}
    context = build_context("x", "site", [own, tag(owned_run())], generated_at=datetime.now(UTC))
    lines = by_head(read(csv_.render(cast(Context, context))))
    assert {(line["run"], line["origin"], line["measured_by"]) for line in lines} == {
        (own["name"], "local", "PTB, the national institute"),
        ("on our own card", "queue", ""),
    }
    sections = {section["id"]: section for section in context["sections"]}
    [method] = sections["methods"]["paragraphs"]
    assert "According to their senders, they were measured by PTB, the national institu" in method
    assert "according to its sender, PTB" in json.dumps(sections["provenance"])


def sentences(*shown: dict[str, Any]) -> str:
    context = build_context("x", "strubell2019", shown, generated_at=datetime.now(UTC))
    return " ".join(text for part in context["sections"] for text in part["paragraphs"])


def test_no_sentence_says_that_pricetag_measured_what_another_tool_did() -> None:
    own, foreign = tag(compressed_run()), tag(owned_run())
    foreign["provenance"] |= {"origin": "import", "measured_by": "Tool 3"}
    alone, mixed = sentences(foreign), sentences(own, foreign)
    for claim in ("metered separately", "accounted for by Pricetag", "energy that was measured"):
        assert claim not in alone
    assert "The meters covered" not in alone
    assert "The energy of every run is taken from other tools, not measured by Pricetag" in alone
    assert "The energy of 1 of 2 runs was accounted for by Pricetag" in mixed
    assert "That of 1 run is taken from other tools, not measured by Pricetag" in mixed
    assert "the run time of every run that Pricetag measured." in mixed
    assert "Every stage of every attempt that Pricetag measured was metered separately." in mixed
    assert "the figures of other tools are of Tool 3." in mixed
    assert "The energy of every job was accounted for by Pricetag" in sentences(own)
