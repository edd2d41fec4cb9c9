"""What lists show of price tags: the document's own figures, of every version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.documents.codec import decode, encode
from pricetag.accounting.document.records import QualityTag
from pricetag.tag.figure import Figure
from pricetag.tag.headline import UNITS, headline_of, kwh_per_score, shown_score
from tests.support.price_tags import compressed_run, tag, unmetered_run

DOCUMENTS = sorted(Path("tests/data/price_tags").glob("*.json"))
PARTS = ("value", "low", "high", "unit", "source")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_the_figures_of_a_headline_are_those_of_the_document(path: Path) -> None:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["content"]
    figures = headline_of(content)["figures"]
    assert figures.keys() == UNITS.keys()
    for name in ("duration_s", "it_energy_kwh", "facility_energy_kwh", "co2e_kg"):
        assert {part: figures[name][part] for part in PARTS} == {
            part: content[name][part] for part in PARTS
        }, name
    for figure in figures.values():
        assert (figure["value"] is None) == (figure["source"] is None)
        assert figure["value"] is not None or figure["reason"]


def test_a_headline_comes_back_from_storage() -> None:
    headline = headline_of(tag(compressed_run()))
    assert decode(encode(headline)) == headline
    assert headline["hardware"] == "NVIDIA H100 80GB HBM3"
    assert headline["score"]["metric"] == "accuracy"
    assert headline["second_opinion"]["tool"] == "codecarbon"


def test_what_was_not_metered_is_unknown_with_its_reason() -> None:
    headline = headline_of(tag(unmetered_run()))
    energy = headline["figures"]["it_energy_kwh"]
    assert energy["value"] is None
    assert energy["reason"]


@pytest.mark.parametrize("content", [{}, {"flops": 1.0}, {"schema": "pricetag/9"}])
def test_an_unreadable_price_tag_has_no_figures_and_says_so(content: dict[str, Any]) -> None:
    headline = headline_of(content)
    assert {figure["value"] for figure in headline["figures"].values()} == {None}
    assert {figure["reason"] for figure in headline["figures"].values()} == {
        "this version cannot read the price tag"
    }


def score(metric: str, value: float | None, split: str | None = "validation") -> QualityTag:
    return QualityTag(metric, value, split, "0", "1", 1)


def test_the_best_known_metric_of_the_last_model_represents_a_run() -> None:
    first, last = score("accuracy", 0.8), score("accuracy", 0.9)
    other, elsewhere = score("f1", 0.7), score("accuracy", 0.1, "test")
    assert shown_score((other, first, last, elsewhere)) is last
    assert shown_score((other, elsewhere)) is elsewhere
    assert shown_score((score("accuracy", None), other)) is other
    assert shown_score((score("loss", 0.1), score("accuracy", None))) is None


def test_energy_per_score_keeps_its_interval_and_knows_its_limits() -> None:
    energy = Figure(2.0, 1.0, 3.0, "kWh", "counter")
    assert kwh_per_score(energy, score("accuracy", 0.5)) == Figure(4.0, 2.0, 6.0, "kWh", "counter")
    for bad in (None, score("perplexity", 12.0), score("mcc", -0.1), score("mcc", 0.0)):
        unknown = kwh_per_score(energy, bad)
        assert unknown.value is None
        assert unknown.reason
    missing = Figure.unknown("no meter", "kWh")
    assert kwh_per_score(missing, score("accuracy", 0.5)).reason == "no meter"
