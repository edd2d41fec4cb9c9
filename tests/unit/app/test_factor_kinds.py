from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from app.schemas.factors import FactorCreate
from app.services.factors.kinds import KINDS, Checked, InvalidFactorEntryError, checked
from app.services.factors.plausible import doubts
from pricetag.accounting.bill.charges import bounded_quantity
from pricetag.accounting.bill.inputs import Factor

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
    tariff = of("tariff", None, details={"periods": [FULL_DAY]})
    assert tariff.value == Decimal("0.25")
    assert tariff.details == {"periods": [{**FULL_DAY, "price": "0.25"}]}
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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not KINDS[kind].multiplicative])
@pytest.mark.parametrize("ratio", [1.01, 5, 10])
def test_an_error_in_percent_is_rejected_as_not_a_ratio(kind: str, ratio: float) -> None:
    subject = {"subject": "GPU-1"} if kind == "calibration" else {}
    with pytest.raises(InvalidFactorEntryError, match="is a ratio, not a percentage") as error:
        of(kind, "1.2", relative_std_ratio=ratio, **subject)
    (problem,) = error.value.errors
    assert (problem.field, problem.hint) == (
        "relative_std_ratio",
        f"e.g. {ratio / 100:g} for {ratio:g}%",
    )
    assert of(kind, "1.2", relative_std_ratio=1, **subject).relative_std_ratio == 1


def test_an_error_by_a_factor_may_be_above_one() -> None:
    assert of("embodied", 150, subject="H100", relative_std_ratio=2).relative_std_ratio == 2
    assert of("carbon_market", 12, relative_std_ratio=2, multiplicative=True).multiplicative
    assert refused("embodied", 150, subject="H100", relative_std_ratio=2, multiplicative=False) == [
        "relative_std_ratio"
    ]


def test_messages_state_the_error_in_words() -> None:
    half_day = {**FULL_DAY, "to": "12:00"}
    gap: dict[str, Any] = {"details": {"periods": [half_day]}}
    overlap: dict[str, Any] = {"details": {"periods": [FULL_DAY, half_day]}}
    for kind, value, more, message in (
        ("pue", "0.9", {}, "'0.9' is invalid"),
        ("embodied", "150", {}, "is missing"),
        ("tariff", None, gap, "no price at mon 12:00"),
        ("tariff", None, overlap, "overlaps another at mon 00:00"),
    ):
        with pytest.raises(InvalidFactorEntryError) as error:
            of(kind, value, **more)
        assert [problem.message for problem in error.value.errors] == [message]


def test_a_tariff_without_a_site_names_the_option() -> None:
    with pytest.raises(InvalidFactorEntryError) as error:
        of("tariff", "0.29", site=None)
    assert "--site NAME" in str(error.value.errors[0].hint)


@pytest.mark.parametrize(
    ("kind", "value", "ratio", "unit", "words"),
    [
        ("carbon_location", 0.38, 0.07, "g/kWh", "0.38 kg/kWh is 380 g/kWh"),
        ("carbon_location", 0.0, 0.07, "g/kWh", "implausibly low"),
        ("carbon_market", 0.02, 0.07, "g/kWh", "implausibly low"),
        ("carbon_market", 3001.0, 0.07, "g/kWh", "implausibly high"),
        ("tariff", 29.0, 0.0, "EUR/kWh", "29 cents are 0.29 EUR"),
        ("pue", 1.2, 0.2, "1", "a PUE is at least 1"),
    ],
)
def test_implausible_values_give_one_warning(
    kind: str, value: float, ratio: float, unit: str, words: str
) -> None:
    (warning,) = doubts(kind, value, ratio, unit)
    assert words in warning


@pytest.mark.parametrize(
    ("kind", "value", "ratio", "unit"),
    [
        ("carbon_location", 1.0, 0.07, "g/kWh"),
        ("carbon_location", 3000.0, 0.07, "g/kWh"),
        ("carbon_market", 0.0, 0.07, "g/kWh"),
        ("tariff", 5.0, 0.0, "EUR/kWh"),
        ("tariff", 31.0, 0.0, "JPY/kWh"),
        ("pue", 1.02, 0.03, "1"),
        ("pue", 2.0, 0.2, "1"),
        ("wue", 0.0, 0.1, "l/kWh"),
        ("embodied", 150.0, 2.0, "kg/piece"),
    ],
)
def test_plausible_values_give_no_warning(kind: str, value: float, ratio: float, unit: str) -> None:
    assert list(doubts(kind, value, ratio, unit)) == []


@pytest.mark.parametrize(("value", "ratio"), [(1.2, 0.2), (1.0, 0.5), (1.4, 0.3)])
def test_the_warning_about_a_pue_states_the_interval_that_price_tags_use(
    value: float, ratio: float
) -> None:
    (warning,) = doubts("pue", value, ratio, "1")
    used = bounded_quantity(Factor(value, "1", ratio, "assumed", "-"), 1.0)
    assert used.low is not None
    assert used.low >= 1
    assert f"{used.low:.2f} to {used.high:.2f} is used" in warning
    assert "below the IT energy" not in warning


def test_a_period_of_a_tariff_in_cents_gives_a_warning() -> None:
    details = {"periods": [{"price": "0.25"}, {"price": "31"}]}
    (warning,) = doubts("tariff", 4.0, 0.0, "EUR/kWh", details=details)
    assert "31 EUR/kWh" in warning


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e12", float("nan"), True, "many"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_invalid_amount_is_rejected_before_its_kind(kind: str, value: Any) -> None:
    with pytest.raises(ValidationError, match="value"):
        FactorCreate.model_validate({"kind": kind, "value": value, **CITED})


@pytest.mark.parametrize("name", CITED)
def test_nothing_is_entered_without_its_source(name: str) -> None:
    citation = {key: value for key, value in CITED.items() if key != name}
    with pytest.raises(ValidationError, match=name):
        FactorCreate.model_validate({"kind": "pue", "value": "1.2", **citation})
