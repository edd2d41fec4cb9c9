from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from app.schemas.factors import FactorCreate
from app.services.factors.kinds import KINDS, Checked, InvalidFactorEntryError, checked

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
CITED = {"year": 2025, "basis": "annual mean", "source": "report", "licence": "own"}
FULL_DAY = {"days": ["mon-sun"], "from": "00:00", "to": "24:00", "price": 0.25}


def of(kind: str, value: Any, *, site: str | None = "berlin", **more: Any) -> Checked:
    wanted = FactorCreate.model_validate({"kind": kind, "value": value, **CITED, **more})
    return checked(wanted, NOW, currency="EUR" if site else None, site=site)


def refused(kind: str, value: Any, **more: Any) -> list[str | None]:
    with pytest.raises(InvalidFactorEntryError) as error:
        of(kind, value, **more)
    return [fault.field for fault in error.value.errors]


def test_each_kind_has_its_unit_and_error() -> None:
    pue = of("pue", "1.21")
    assert (pue.value, pue.unit, pue.relative_std_ratio) == (Decimal("1.21"), "1", 0.03)
    assert of("tariff", "0.31").unit == "EUR/kWh"
    embodied = of("embodied", 164, subject="H100")
    assert (embodied.unit, embodied.multiplicative) == ("kg/piece", True)
    card = of("calibration", "0.987", subject="gpu:GPU-6f0c", relative_std_ratio=0.01)
    assert (card.subject, card.relative_std_ratio) == ("GPU-6f0c", 0.01)
    own = of("carbon_market", 12, relative_std_ratio=0.5, multiplicative=True)
    assert (own.relative_std_ratio, own.multiplicative) == (0.5, True)


def test_the_lab_s_own_factors_of_a_zone_name_it() -> None:
    assert of("carbon_location", 30, site=None, subject="fr").subject == "FRA"
    assert of("carbon_location", 30).subject == ""
    assert refused("carbon_location", 30, site=None) == ["subject"]
    assert refused("carbon_location", 30, site=None, subject="US-ZZ") == ["subject"]
    assert refused("carbon_location", 30, subject="FRA") == ["subject"]


def test_a_tariff_by_the_time_of_use_has_the_week_s_mean_and_prices_as_text() -> None:
    found = of("tariff", None, details={"periods": [FULL_DAY]})
    assert found.value == Decimal("0.25")
    assert found.details == {"periods": [{**FULL_DAY, "price": "0.25"}]}
    assert refused("tariff", "0.1", details={"periods": [FULL_DAY]}) == ["value"]
    assert refused("tariff", None, details={"periods": []}) == ["details.periods"]
    assert refused("tariff", None, details={"periods": [FULL_DAY] * 2}) == ["details.periods.1"]
    assert refused("tariff", "0.1", site=None)[0] == "kind"


@pytest.mark.parametrize(
    ("kind", "value", "more", "fields"),
    [
        ("pue", "0.99", {}, ["value"]),
        ("pue", "10.01", {}, ["value"]),
        ("pue", None, {}, ["value"]),
        ("pue", 1.2, {"year": 2027}, ["year"]),
        ("pue", 0.5, {"year": 2027, "unit": "kWh"}, ["year", "unit", "value"]),
        ("pue", 1.2, {"subject": "hall"}, ["subject"]),
        ("pue", 1.2, {"details": {"x": 1}}, ["details.x"]),
        ("wue", 101, {}, ["value"]),
        ("carbon_location", 5001, {}, ["value"]),
        ("carbon_market", 5001, {}, ["value"]),
        ("tariff", "0.3", {"unit": "USD/kWh"}, ["unit"]),
        ("tariff", None, {}, ["value"]),
        ("embodied", 164, {}, ["subject"]),
        (
            "embodied",
            164,
            {"subject": "H100", "details": {"lifetime_h": 0}},
            ["details.lifetime_h"],
        ),
        (
            *("embodied", 164),
            {"subject": "H100", "details": {"utilisation_ratio": 1.2}},
            ["details.utilisation_ratio"],
        ),
        ("calibration", "1.02", {"subject": "GPU-1"}, ["relative_std_ratio"]),
        ("calibration", "1.02", {"relative_std_ratio": 0.01}, ["subject"]),
        ("calibration", "0.4", {"subject": "GPU-1", "relative_std_ratio": 0.01}, ["value"]),
        ("pue", 1.2, {"valid_to": "2026-11-21T12:00:00Z"}, ["valid_to"]),
        ("pue", 1.2, {"valid_from": "1985-01-01T00:00:00Z"}, ["valid_from"]),
        ("pue", 1.2, {"valid_to": "9999-01-01T00:00:00Z"}, ["valid_to"]),
    ],
)
def test_invalid_figures_are_rejected_with_their_field(
    kind: str, value: Any, more: dict[str, Any], fields: list[str]
) -> None:
    assert refused(kind, value, **more) == fields


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e12", float("nan"), True, "many"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_amount_is_rejected_before_its_kind(kind: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="value"):
        FactorCreate.model_validate({"kind": kind, "value": value, **CITED})


@pytest.mark.parametrize("name", CITED)
def test_nothing_is_entered_without_its_source(name: str) -> None:
    told = {key: value for key, value in CITED.items() if key != name}
    with pytest.raises(ValidationError, match=name):
        FactorCreate.model_validate({"kind": "pue", "value": "1.2", **told})
