"""Frontier and compression ledger from price tags."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.tag.frontier import common_score, frontier_of, variant_rows
from pricetag.tag.view import TagView
from tests.support.price_tags import compressed_run, failed_run, tag


def view(document: dict[str, Any] | None = None) -> TagView:
    return TagView.read(document or tag(compressed_run()))


def scored(accuracy: float, kwh: float) -> TagView:
    """A run with another accuracy and energy."""
    document = tag(compressed_run())
    for item in document["quality"]:
        if item["metric"] == "accuracy":
            item["value"] = accuracy
    document["it_energy_kwh"] |= {"value": kwh, "low": 0.9 * kwh, "high": 1.1 * kwh}
    return view(document)


def test_points_steps_price_and_waste() -> None:
    cheap, best, dear = scored(0.5, 1.0), scored(0.75, 3.0), scored(0.6, 4.0)
    failed = view(tag(failed_run()))
    tags = [cheap, best, dear, failed]
    score = common_score(tags)
    assert score is not None
    assert score[0] == "accuracy"
    shown = frontier_of(tags, "it_energy_kwh", score)
    assert [point.is_dominated for point in shown.points] == [False, False, True, None]
    assert [step[0] for step in shown.steps] == [cheap, best]
    _, price, is_costlier = shown.steps[1]
    assert price == pytest.approx(8.0)
    assert is_costlier is True
    failed_kwh = failed.document.energy.it_energy_kwh.value
    assert failed_kwh is not None
    assert shown.wasted == pytest.approx(4.0 + failed_kwh)


def test_without_scores_there_is_no_frontier() -> None:
    failed = view(tag(failed_run()))
    assert common_score([failed]) is None
    shown = frontier_of([failed], "it_energy_kwh", None)
    assert (list(shown.steps), shown.points[0].quality) == ([], None)
    assert frontier_of([], "it_energy_kwh", None).wasted is None


def test_an_unknown_cost_makes_the_waste_unknown() -> None:
    document = tag(compressed_run())
    unknown = {"value": None, "low": None, "high": None, "source": None, "reason": "no meter"}
    document["it_energy_kwh"] |= unknown
    one = view(document)
    shown = frontier_of([scored(0.5, 1.0), one], "it_energy_kwh", common_score([one]))
    assert shown.wasted is None
    assert [point.is_dominated for point in shown.points] == [False, None]


def test_the_ledger_has_making_saving_score_and_break_even() -> None:
    rows = variant_rows(view())
    assert rows is not None
    assert rows["score"] == {"metric": "accuracy", "split": rows["score"]["split"]}
    first, second = rows["variants"][0], rows["variants"][-1]
    assert (first["is_baseline"], second["is_baseline"]) == (True, False)
    assert first["score_change"] == 0
    assert second["score_change"] == pytest.approx(0.858 - 0.861)
    assert second["size_bytes"] == 23_068_672
    assert second["making_kwh"]["value"] > 0
    saving = first["per_1000_inferences_kwh"]["value"] - second["per_1000_inferences_kwh"]["value"]
    if not second["is_never"]:
        expected = 1000 * second["making_kwh"]["value"] / saving
        assert second["break_even_inferences"]["value"] == pytest.approx(expected)


def test_a_run_without_variants_is_not_in_the_ledger() -> None:
    assert variant_rows(view(tag(failed_run()))) is None
