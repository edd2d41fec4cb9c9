"""Published figures reproduce from their hardware and hours, and a paper of them alone stands."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.reports import FORMATS, render
from app.reports.paper_archive import paper_archive
from app.reports.paper_context import About, paper_context
from app.reports.paper_files import FILES, paper_file
from pricetag import catalog
from pricetag.tag import archive_check
from pricetag.tag.paper import selection_sha256
from pricetag.tag.published import (
    NO_INTENSITY,
    NO_POWER,
    PublishedRow,
    catalog_rows,
    entered_row,
    published_row,
    rows_sha256,
)

STRUBELL = [published_row(row) for row in catalog_rows("strubell2019")]
CHECKED = {
    "facility_energy_kwh": 5,
    "co2e_lb": 5 + 2,
    "cost_low": 8 + 3,
    "cost_high": 8 + 3,
    "electricity_cost": 3,
}
"""Number of printed figures of each kind, in both tables."""

BY_HAND: dict[str, Any] = {
    "model": "Wider model",
    "hardware": "H100 x 2",
    "devices": 2,
    "device_power_w": 500.0,
    "hours": 10.0,
    "pue": 1.2,
    "source": "Hopper 2025: Wider models",
    "year": 2025,
}


def about(rows: list[dict[str, Any]]) -> About:
    return About(
        paper_id="6f0c0d0e-0000-4000-8000-00000000000a",
        title="Energy and policy considerations, again",
        authors=None,
        project="text",
        rule=None,
        frozen_at="2026-03-01T12:00:00+00:00",
        selection_sha256=selection_sha256([], rows),
        not_counted=[],
        budgets=[],
        published=rows,
    )


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [*catalog_rows("strubell2019"), entered_row(BY_HAND)]


@pytest.fixture(scope="module")
def context(rows: list[dict[str, Any]]) -> dict[str, Any]:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    return paper_context(about(rows), "site", [], generated_at=at, with_equivalents=True)


@pytest.mark.parametrize("row", STRUBELL, ids=lambda row: str(row.row.id))
def test_every_printed_figure_of_both_tables_reproduces_to_its_last_digit(
    row: PublishedRow,
) -> None:
    compared = {name: figure for name, figure in row.figures().items() if figure.printed}
    compared.pop("power_w", None)  # an input
    assert compared
    for name, figure in compared.items():
        if name != "co2e_kg":  # converted from the printed pounds
            assert figure.agrees, (name, figure)
            assert (figure.value, figure.source) == (figure.printed, "published")
    assert row.power_w.reason == (NO_POWER if "TPU" in row.row.hardware else None)
    is_stated = row.row.power_basis == "printed"
    assert (row.power_w.source == "published") == is_stated


def test_no_printed_figure_is_omitted() -> None:
    assert {
        name: sum(row.figures()[name].printed is not None for row in STRUBELL) for name in CHECKED
    } == CHECKED
    assert sum(row.figures()["co2e_lb"].value is None for row in STRUBELL) == 3  # TPUs


def test_the_prices_of_the_rows_are_those_of_the_catalog() -> None:
    for row in (each.row for each in STRUBELL):
        prices = catalog.price_range(row.accelerator, prefix="strubell2019-")
        assert prices is not None
        assert (row.price_low, row.price_high) == tuple(price.amount for price in prices)


def test_a_figure_that_is_off_by_one_of_its_last_digit_does_not_agree() -> None:
    figure = STRUBELL[0].facility_energy_kwh
    assert not replace(figure, printed=28.0).agrees
    thousands = next(row for row in STRUBELL if row.row.part == "research").cost_low
    assert (thousands.printed, thousands.agrees) == (103_000.0, True)
    assert not replace(thousands, printed=104_000.0).agrees
    assert replace(thousands, estimate=None).agrees is None


def test_a_row_by_hand_states_what_it_does_not_know() -> None:
    row = published_row(entered_row(BY_HAND))
    assert row.facility_energy_kwh.value == pytest.approx(12.0)
    assert row.facility_energy_kwh.source == "estimated"
    assert "interval" in (row.facility_energy_kwh.interval_reason or "")
    assert (row.co2e_kg.value, row.co2e_kg.reason) == (None, NO_INTENSITY)
    assert row.cost_low.reason == "the source states no price"
    assert row.row.electricity_price_per_kwh is None
    priced = published_row(entered_row(BY_HAND | {"price_low": 0.1, "price_high": 3.0}))
    assert priced.row.price_low == Decimal("0.1")
    assert (priced.cost_low.value, priced.cost_high.value) == (2.0, 60.0)


def test_unknown_rows_of_the_catalog_are_rejected_with_similar_names() -> None:
    assert [row["id"] for row in catalog_rows("patterson2021-meena")] == ["patterson2021-meena"]
    with pytest.raises(catalog.NotInCatalog, match="strubell2019"):
        catalog_rows("strubel2019")


def cells(context: dict[str, Any], table_id: str) -> dict[str, list[str]]:
    tables = [table for section in context["sections"] for table in section["tables"]]
    (shown,) = (table for table in tables if table["id"] == table_id)
    return {f"{r['cells'][0]} {r['cells'][1]}": r["cells"] for r in shown["rows"]}


def test_a_report_has_the_tables_as_they_are_printed(context: dict[str, Any]) -> None:
    models = cells(context, "published")
    nas = models["Neural architecture search P100 x 8"]
    assert nas[2:6] == ["1,515.43", "274,120 (b)", "656,347", "626,155"]
    assert nas[7] == "942,973 to 3,201,722 USD"
    assert models["BERT (base) V100 x 64"][2] == "12,041.51"
    assert models["GPT-2 TPUv3 x 32"][-1] == "12,902 to 43,008 USD"
    assert models["GPT-2 TPUv3 x 32"][2].startswith("n/a (")
    research = cells(context, "published-research")
    whole = research["LISA: All research and development 4,789"]
    assert whole[2].startswith("239,942 (")
    assert whole[3:5] == ["103,000 to 350,000 USD", "9,870 USD"]
    assert whole[6] == "78,468"
    checks = cells(context, "published-check")
    assert len(checks) == sum(CHECKED.values())
    assert {row[-1] for row in checks.values()} == {"to the printed digit"}
    flights = cells(context, "published-equivalents")
    nas_times = next(r for name, r in flights.items() if "P100 x 8 316" in name)
    assert [float(each) for each in nas_times[1:]] == pytest.approx(
        [626_155 / 1984, 626_155 / 11023, 626_155 / 36156, 626_155 / 126000], rel=5e-3
    )


def test_it_renders_in_six_formats_and_all_files(context: dict[str, Any]) -> None:
    for fmt in FORMATS:
        content = render(context, fmt).content
        if fmt == "csv":
            assert len(content.decode().splitlines()) == 1 + 8 + 3 + 1
        elif fmt != "pdf":
            assert b"656,347" in content or b"656347" in content
    for name in FILES:
        assert paper_file(context, name).content
    plain = paper_context(about([]), "site", [], generated_at=datetime(2026, 3, 1, tzinfo=UTC))
    assert plain["paper"]["published"] == []


def test_an_archive_of_published_rows_names_a_changed_digit(
    context: dict[str, Any], rows: list[dict[str, Any]]
) -> None:
    reports = {fmt: render(context, fmt).content for fmt in ("json", "pdf")}
    with zipfile.ZipFile(io.BytesIO(paper_archive(context, {}, reports))) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    assert archive_check.check(files, selection_sha256([], rows)) == []
    stated = json.loads(files["paper.json"])
    assert rows_sha256([each["entered"] for each in stated["published"]]) == rows_sha256(rows)
    changed = files["paper.json"].replace(b'"hours": 274120.0', b'"hours": 274121.0')
    problems = archive_check.check(files | {"paper.json": changed})
    assert "published[5].entered.hours was changed: it is 274121.0 now" in problems[0]
    assert "states the selection" in problems[1]
    pdf = bytearray(files["report.pdf"])
    pdf[4321] ^= 1
    [problem] = archive_check.check(files | {"report.pdf": bytes(pdf)})
    assert problem.startswith("report.pdf: kB 4 was changed: it is ")
