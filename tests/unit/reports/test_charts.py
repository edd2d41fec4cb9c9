"""Charts of reports: from the stored context alone, in HTML as pictures that load nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.reports.charts import Picture, charts_of
from app.reports.context import build_context
from app.reports.render import render
from tests.support.charts import NAME
from tests.support.price_tags import compressed_run, failed_run, tag

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def context(*documents: dict[str, Any]) -> dict[str, Any]:
    made = build_context("A report", "site", documents, generated_at=NOW)
    stored: dict[str, Any] = json.loads(json.dumps(made))
    return stored


def test_the_stages_of_a_run_add_up_to_its_energy() -> None:
    report = context(tag(compressed_run()))
    bill, payback = charts_of(report)
    total, facility = (
        report["totals"][name]["value"] for name in ("it_energy_kwh", "facility_energy_kwh")
    )
    rows = {row["label"]: row for row in bill.rows}
    assert {"0-train", "1-measure", "3-quantize", "IT energy", "Facility energy"} <= rows.keys()
    parts = [row for row in bill.rows if not row["is_total"]]
    in_wh = sum(float(row["amount"] or 0) for row in parts)
    assert in_wh == pytest.approx(1000 * facility)
    assert rows["IT energy"]["amount"] == pytest.approx(1000 * total)
    assert rows["0-train"]["amount"] == pytest.approx(
        1000 * sum(line["it_energy_kwh"] for line in report["lines"] if line["stage"] == "0-train")
    )
    [crossing] = json.loads(payback.content)["datasets"]["crossings"]
    assert crossing["at"] == pytest.approx(
        next(
            line["break_even_inferences"]
            for line in report["lines"]
            if line["break_even_inferences"]
        )
    )
    assert "breaks even after" in payback.summary


def test_several_runs_are_the_parts_of_their_report() -> None:
    bill = charts_of(context(tag(compressed_run(NAME)), tag(failed_run())))[0]
    assert bill.summary.startswith("2 runs; the largest, ")
    assert [row["is_total"] for row in bill.rows] == [False, False, True, False, True]


@pytest.mark.parametrize(
    "stored", [{}, {"totals": {}}, {"totals": {"it_energy_kwh": {"value": None}}, "runs": []}]
)
def test_too_little_known_gives_no_chart(stored: dict[str, Any]) -> None:
    assert charts_of(stored) == []


def test_the_page_has_its_pictures_and_says_so_without() -> None:
    report = context(tag(compressed_run()))
    picture = Picture(NAME, "A sentence.", b"<svg/>", 760, 200)
    page = render(report, "html", [picture]).content.decode()
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+" width="760" height="200"' in page
    assert "<script" not in page
    assert 'href="#charts"' in page
    assert "could not be drawn" in render(report, "html", None).content.decode()
    plain = render(report, "html").content.decode()
    assert "charts" not in plain
