from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

import pytest

from app.schemas.prices import PriceImport
from app.services.factors.price_files import COLUMNS, MalformedFileError, read_prices

HEAD = "price_id,provider,accelerator,amount,currency,kind,valid_from,source,licence\n"
ROW = "a-h100,a cloud,H100,2.10,EUR,spot,2026-01-01,list of 2026,quoted\n"


def read(content: str, fmt: Literal["csv", "yaml"] = "csv") -> list[str]:
    rows = read_prices(PriceImport(format=fmt, content=content))
    return [f"{where}: {row.price_id} {row.amount} {row.currency}" for where, row in rows]


def faults(content: str, fmt: Literal["csv", "yaml"] = "csv") -> list[str | None]:
    with pytest.raises(MalformedFileError) as refused:
        read(content, fmt)
    return [fault.field for fault in refused.value.errors]


def test_price_rows_are_read_with_their_line() -> None:
    text = HEAD + ROW + "\n" + ROW.replace("a-h100", "b")
    assert read("\ufeff" + text) == ["line 2: a-h100 2.10 EUR", "line 4: b 2.10 EUR"]


def test_dates_are_midnight_utc_and_amounts_are_decimal() -> None:
    ((_, row),) = read_prices(PriceImport(format="csv", content=HEAD + ROW))
    assert row.valid_from == datetime(2026, 1, 1, tzinfo=UTC)
    assert (row.amount, row.valid_to, row.region) == (Decimal("2.10"), None, "")


def test_owned_hardware_has_columns_of_its_own() -> None:
    head = "price_id,provider,accelerator,currency,kind,valid_from,source,licence,"
    text = head + "capex,lifetime_h,utilisation_ratio\n"
    text += "our,lab,H100,EUR,internal,2026-01-01,invoice,own,28000,35040,0.7\n"
    ((_, row),) = read_prices(PriceImport(format="csv", content=text))
    assert row.ownership is not None
    assert (row.ownership.capex, row.amount) == (Decimal(28000), None)
    assert "capex" in COLUMNS


def test_yaml_as_a_list_or_under_prices() -> None:
    item = (
        "- {price_id: a, provider: c, accelerator: H100, amount: '2.10', currency: EUR, "
        "kind: spot, valid_from: 2026-01-01, source: list, licence: quoted}\n"
    )
    assert read(item, "yaml") == ["item 1: a 2.10 EUR"]
    assert read("prices:\n" + item, "yaml") == ["item 1: a 2.10 EUR"]


@pytest.mark.parametrize(
    ("row", "place"),
    [
        (ROW.replace("2.10", "-0.01"), "line 2, amount"),
        (ROW.replace("2.10", "NaN"), "line 2, amount"),
        (ROW.replace("2.10", "1e30"), "line 2, amount"),
        (ROW.replace("2.10", "two"), "line 2, amount"),
        (ROW.replace("2.10", "2_10"), "line 2, amount"),
        (ROW.replace("2.10", "\u0662.10"), "line 2, amount"),
        (ROW.replace("EUR", "euro"), "line 2, currency"),
        (ROW.replace("spot", "free"), "line 2, kind"),
        (ROW.replace("2026-01-01", "January"), "line 2, valid_from"),
        (ROW.replace("2026-01-01", "2026-02-30"), "line 2, valid_from"),
        (ROW.replace("2026-01-01", "2026-01-01T00:00"), "line 2, valid_from"),
        (ROW.replace("quoted", ""), "line 2, licence"),
        (ROW.replace("a-h100", "a b"), "line 2, price_id"),
        (ROW.replace("\n", ",more\n"), "line 2"),
        (ROW.replace("H100", '"H100'), "line 2"),
    ],
)
def test_an_invalid_cell_is_reported_with_line_and_column(row: str, place: str) -> None:
    assert faults(HEAD + row) == [place]


@pytest.mark.parametrize(
    "text", ["", HEAD.replace("licence", "license") + ROW, HEAD.replace("kind", "amount") + ROW]
)
def test_an_invalid_header_is_reported(text: str) -> None:
    assert faults(text) == ["line 1"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("prices: 3", "content"),
        ("a: [", "content"),
        ("- 3", "item 1"),
        ("- {price_id: a}", "item 1, source"),
        ("[]", "content"),
    ],
)
def test_invalid_yaml_is_reported(text: str, place: str) -> None:
    assert faults(text, "yaml")[0] == place


def test_a_file_without_prices_is_reported() -> None:
    assert faults(HEAD) == ["content"]


def test_similar_problems_are_counted_and_suggest_valid_values() -> None:
    rows = ROW.replace("EUR", "XYZ") * 30
    with pytest.raises(MalformedFileError) as refused:
        read(HEAD + rows)
    assert [(fault.field, fault.hint) for fault in refused.value.errors] == [
        (f"line {line}, currency", "e.g. EUR or USD") for line in (2, 3, 4)
    ]
    assert refused.value.message.endswith("in use (and 29 similar problems)")


def test_yaml_numbers_are_plain_too() -> None:
    item = (
        "- {price_id: a, provider: c, accelerator: H100, amount: 1_00, currency: EUR, "
        "kind: spot, valid_from: 2026-01-01, source: list, licence: quoted}\n"
    )
    assert faults(item, "yaml") == ["item 1, amount"]
