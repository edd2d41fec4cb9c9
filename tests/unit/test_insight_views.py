"""Frontier and compression ledger from price tags."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.tag.axes import UNITS
from pricetag.tag.axis_figures import figure_on
from pricetag.tag.evaluated import Evaluated, ScoredRun, kinds
from pricetag.tag.frontier import frontier_of, variant_rows
from pricetag.tag.variants import LATENCY_P50, SIZE, variants
from pricetag.tag.view import TagView
from tests.support.price_tags import compressed_run, failed_run, tag


def view(document: dict[str, Any] | None = None) -> TagView:
    return TagView.read(document or tag(compressed_run()))


def scored(
    accuracy: float,
    kwh: float,
    *,
    content: str | None = None,
    currency: str | None = None,
    **recipe: Any,
) -> ScoredRun:
    """A run with another accuracy and energy.

    Args:
        accuracy: Its accuracy.
        kwh: Its energy.
        content: SHA-256 of its validation file; None if it is not recorded.
        currency: Another currency of its cost.
        **recipe: Parts of its recipe.
    """
    document = tag(compressed_run())
    for item in document["quality"]:
        if item["metric"] == "accuracy":
            item["value"] = accuracy
    document["it_energy_kwh"] |= {"value": kwh, "low": 0.9 * kwh, "high": 1.1 * kwh}
    if content is not None:
        file = {"role": "data.validation", "path": "dev.tsv", "size_bytes": 1, "reason": None}
        document["provenance"]["inputs"] = [file | {"sha256": content}]
    if currency is not None:
        document["cost"]["total"]["unit"] = currency
    return ScoredRun(view(document), recipe)


def failed(**recipe: Any) -> ScoredRun:
    return ScoredRun(view(tag(failed_run())), recipe)


def main_kind(*runs: ScoredRun) -> Evaluated:
    return kinds(runs)[0][0]


def test_points_steps_price_and_waste() -> None:
    runs = [scored(0.5, 1.0), scored(0.75, 3.0), scored(0.6, 4.0), failed()]
    kind = main_kind(*runs)
    assert kind == Evaluated("accuracy", "validation", None, None)
    shown = frontier_of(runs, "it_energy_kwh", kind)
    assert [point.is_dominated for point in shown.points] == [False, False, True, None]
    assert [step[0] for step in shown.steps] == [run.tag for run in runs[:2]]
    _, price, is_costlier = shown.steps[1]
    assert price == pytest.approx(8.0)
    assert is_costlier is True
    failed_kwh = runs[3].tag.document.energy.it_energy_kwh.value
    assert failed_kwh is not None
    assert shown.wasted == pytest.approx(4.0 + failed_kwh)
    assert (shown.reason, shown.wasted_reason) == (None, None)
    assert shown.points[3].reason == "the run has no such score"


def test_without_scores_there_is_no_frontier() -> None:
    assert kinds([failed()]) == []
    shown = frontier_of([failed()], "it_energy_kwh", None)
    assert (list(shown.steps), shown.points[0].quality) == ([], None)
    assert shown.reason == "no run with this score has a known cost"
    empty = frontier_of([], "it_energy_kwh", None)
    assert (empty.wasted, empty.wasted_reason) == (None, "there are no runs")


def test_an_unknown_cost_makes_the_waste_unknown() -> None:
    document = tag(compressed_run())
    unknown = {"value": None, "low": None, "high": None, "source": None, "reason": "no meter"}
    document["it_energy_kwh"] |= unknown
    one = ScoredRun(view(document), {})
    shown = frontier_of([scored(0.5, 1.0), one], "it_energy_kwh", main_kind(one))
    assert shown.wasted is None
    assert shown.wasted_reason == f"{one.tag.name}: no meter"
    assert [point.is_dominated for point in shown.points] == [False, None]


def test_costs_in_different_currencies_are_neither_compared_nor_added() -> None:
    runs = [scored(0.5, 1.0), scored(0.75, 3.0), scored(0.6, 4.0, currency="EUR")]
    shown = frontier_of(runs, "cost", main_kind(*runs))
    mixed = "different units: EUR, USD"
    assert (list(shown.steps), shown.reason) == ([], mixed)
    assert (shown.wasted, shown.wasted_reason) == (None, mixed)
    assert [point.is_dominated for point in shown.points] == [None] * 3
    assert [point.quality for point in shown.points] == [0.5, 0.75, 0.6]
    same = frontier_of(runs[:2], "cost", main_kind(*runs))
    assert same.reason is None
    assert same.steps


def test_runs_in_another_currency_that_are_not_ranked_do_not_matter() -> None:
    other = scored(0.9, 1.0, currency="EUR", task="regression")
    task = "classification"
    runs = [scored(0.5, 1.0, task=task), scored(0.75, 3.0, task=task), other]
    shown = frontier_of(runs, "cost", main_kind(*runs))
    assert shown.reason is None
    assert shown.wasted is not None


DATA = {"data": {"path": "sst2", "validation": "dev.tsv", "label": "label"}}
SAME: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"content": "aa"}, {"content": "aa"}),
    ({"content": "aa"} | DATA, {"content": "aa", "data": {**DATA["data"], "path": "a copy"}}),
    (dict(DATA), {"data": {**DATA["data"], "train": "half.tsv", "test": "t.tsv"}}),
    ({"task": "classification"}, {"task": "classification"}),
]
OTHER: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"content": "aa"}, {"content": "bb"}, "scored on other data: "),
    (
        {"content": "aa"} | DATA,
        {"content": "aa", "data": {**DATA["data"], "label": "tone"}},
        "scored on other data: ",
    ),
    (dict(DATA), {"data": {**DATA["data"], "validation": "v2.tsv"}}, "scored on other data: "),
    ({"content": "aa"}, {}, "the data that it was scored on are not recorded"),
    (
        {"task": "classification"},
        {"task": "question_answering"},
        "scored on another task: question_answering",
    ),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_runs_that_scored_the_same_data_are_ranked(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    runs = [scored(0.5, 1.0, **first), scored(0.75, 3.0, **second)]
    [(kind, count), *_] = kinds(runs)
    assert count == 2
    assert len(frontier_of(runs, "it_energy_kwh", kind).steps) == 2


@pytest.mark.parametrize(("first", "second", "reason"), OTHER)
def test_runs_that_scored_other_data_or_tasks_are_listed_but_not_ranked(
    first: dict[str, Any], second: dict[str, Any], reason: str
) -> None:
    runs = [
        scored(0.5, 1.0, **first),
        scored(0.9, 0.5, **second),
        scored(0.75, 3.0, **first),
        scored(0.7, 2.5, **second),
        scored(0.6, 4.0, **first),
    ]
    kind = main_kind(*runs)
    shown = frontier_of(runs, "it_energy_kwh", kind)
    assert [step[0] for step in shown.steps] == [runs[0].tag, runs[2].tag]
    assert [point.is_dominated for point in shown.points] == [False, None, False, None, True]
    assert [point.quality for point in shown.points] == [0.5, None, 0.75, None, 0.6]
    assert str(shown.points[1].reason).startswith(reason)
    assert shown.wasted == pytest.approx(4.0)
    # The caller may choose the other one.
    [*_, (other, count)] = [item for item in kinds(runs) if item[0].metric == "accuracy"]
    assert count == 2
    frontier = frontier_of(runs, "it_energy_kwh", other)
    assert [step[0] for step in frontier.steps] == [runs[1].tag]


def test_a_run_that_failed_before_its_score_is_wasted_where_its_recipe_belongs() -> None:
    recipe: dict[str, Any] = {"task": "classification", **DATA}
    good = scored(0.5, 1.0, content="aa", **recipe)
    own, other = failed(**recipe), failed(**{**recipe, "data": {"path": "cola"}})
    shown = frontier_of([good, own, other], "it_energy_kwh", main_kind(good))
    own_kwh = own.tag.document.energy.it_energy_kwh.value
    assert shown.wasted == pytest.approx(own_kwh)


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


def test_axes_of_a_model_are_those_of_the_last_measured_one() -> None:
    run = view()
    measured = [one for one in variants(run.document) if "threshold" not in one.label]
    last = measured[-1]
    assert len(measured) > 1
    for axis, names, low in (("latency_p50_s", LATENCY_P50, None), ("model_bytes", SIZE, "value")):
        metric = last.metric(names)
        assert metric is not None
        shown = figure_on(run, axis)  # type: ignore[arg-type]
        assert shown.value == metric.value
        assert shown.unit == UNITS[axis]  # type: ignore[index]
        assert shown.low == (metric.value if low else None)
    assert figure_on(run, "flops_dense").value == run.document.flops.dense.value
    unknown = figure_on(view(tag(failed_run())), "latency_p50_s")
    assert (unknown.value, unknown.reason) == (None, "no measure stage of the run reported it")


def test_figures_of_models_are_ranked_and_not_added() -> None:
    run = scored(0.5, 1.0)
    shown = frontier_of([run], "model_bytes", main_kind(run))
    assert [step[0] for step in shown.steps] == [run.tag]
    assert (shown.wasted, shown.wasted_reason) == (None, "a figure of a model, which no run spends")
