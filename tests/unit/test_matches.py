"""Quality of two groups of runs over their seeds, and winning tickets."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.accounting.bill.inputs import QualityInput
from pricetag.accounting.document.build import build_price_tag
from pricetag.tag.matches import compared_quality
from pricetag.tag.view import TagView
from tests.unit.accounting import builders as b

FULL = {"kind": "train"}
TICKET = {"kind": "prune", "method": "lottery_ticket", "sparsity": 0.5}
Side = tuple[list[TagView], list[dict[str, Any]]]


def tag(*scores: QualityInput) -> TagView:
    stage = b.stage("s0", 0, 10, [b.GPU], kind="evaluate", quality=scores)
    attempt = b.attempt(1, 10, components=[b.GPU], stages=[stage])
    return TagView(build_price_tag(b.inputs(attempt)))


def test_the_metric_that_decides_is_that_of_the_task_of_glue() -> None:
    full, tickets = (
        (
            [tag(QualityInput("mcc", value, "validation")) for value in values],
            side(stage, values, task="classification", data={"glue": "cola"})[1],
        )
        for stage, values in ((FULL, [0.50, 0.52, 0.54]), (TICKET, [0.51, 0.53]))
    )
    quality = compared(tickets, full)
    assert (quality["winning_ticket"], quality["winning_ticket_reason"]) == (True, None)


def test_options_of_the_data_that_an_earlier_version_did_not_store_do_not_differ() -> None:
    stored = {"train": "a.tsv", "validation": "b.tsv"}
    tickets = side({**TICKET, "rewind_to": 0.2}, [0.9, 0.91], data={**stored, "test": None})
    full = side(FULL, [0.90, 0.92, 0.94], data=stored)
    assert compared(tickets, full)["winning_ticket"] is not None


def accuracy(value: float | None, split: str = "validation") -> QualityInput:
    return QualityInput("accuracy", value, split)


def side(
    stage: dict[str, Any], values: list[float], seeds: list[int] | None = None, **changes: Any
) -> Side:
    numbers = list(range(len(values))) if seeds is None else seeds
    recipes = [
        {"task": "classification", "stages": [{**stage, "seed": seed}], **changes}
        for seed in numbers
    ]
    return [tag(accuracy(value)) for value in values], recipes


def compared(first: Side, second: Side, seeds: int = 2) -> dict[str, Any]:
    return compared_quality(first[0], second[0], (first[1], second[1]), seeds)


FULL_MODEL = side(FULL, [0.90, 0.92, 0.94])


@pytest.mark.parametrize(("values", "wins"), [([0.90, 0.91], True), ([0.89, 0.90], False)])
def test_a_ticket_within_one_deviation_of_the_full_model_wins(
    values: list[float], wins: bool
) -> None:
    quality = compared(side(TICKET, values), FULL_MODEL)
    assert (quality["winning_ticket"], quality["winning_ticket_reason"]) == (wins, None)
    (score,) = quality["quality"]
    assert (score["metric"], score["split"], score["within_one_std"]) == (
        *("accuracy", "validation"),
        wins,
    )
    assert score["b"] == {
        "mean": pytest.approx(0.92),
        "std": pytest.approx(0.02),
        "seeds": 3,
    }


def test_too_few_seeds_are_unknown_with_the_reason() -> None:
    quality = compared(side(TICKET, [0.9, 0.9]), FULL_MODEL, seeds=5)
    assert quality["winning_ticket"] is None
    assert "a has 2, b has 3" in quality["winning_ticket_reason"]
    assert quality["quality"][0]["reason"] == quality["winning_ticket_reason"]


def test_repeats_with_one_seed_count_once() -> None:
    quality = compared(side(TICKET, [0.80, 1.00, 0.92], seeds=[1, 1, 2]), FULL_MODEL)
    a = quality["quality"][0]["a"]
    assert (a["mean"], a["seeds"]) == (pytest.approx((0.90 + 0.92) / 2), 2)
    alone = compared(side(TICKET, [0.9, 0.9, 0.9], seeds=[4, 4, 4]), FULL_MODEL)
    assert alone["winning_ticket"] is None
    assert alone["quality"][0]["a"]["std"] is None


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (
            side({**TICKET, "control": "random_mask"}, [0.9, 0.9]),
            FULL_MODEL,
            "a are controls (random_mask), not tickets",
        ),
        (side(FULL, [0.9, 0.9]), FULL_MODEL, "a are not runs that find lottery tickets"),
        (
            side(TICKET, [0.9, 0.9]),
            side({"kind": "prune", "sparsity": 0.5}, [0.9, 0.9]),
            "b are not full models: they have prune",
        ),
        (
            side({**TICKET, "rewind_to": "standard"}, [0.9, 0.9]),
            FULL_MODEL,
            "a are pruned without rewinding (rewind_to: standard), not tickets",
        ),
        *(
            (
                side(TICKET, [0.9, 0.9], task=task, data=data),
                side(FULL, [0.9, 0.9], data={"train": "a.tsv", "validation": "b.tsv"}),
                "the runs do not have the same data",
            )
            for task, data in (
                ("classification", {"train": "a.tsv", "validation": "c.tsv"}),
                ("classification", {"train": "c.tsv", "validation": "b.tsv"}),
                ("classification", {"glue": "sst2", "path": "glue"}),
                ("classification", {"train": "a.tsv", "validation": "b.tsv", "label": "x"}),
                ("regression", {"train": "a.tsv", "validation": "b.tsv"}),
            )
        ),
        (
            side(TICKET, [0.9, 0.9], task="regression"),
            side(FULL, [0.9, 0.9], task="regression"),
            "not every run has pearson on the validation split",
        ),
    ],
)
def test_a_model_that_is_not_a_ticket_gets_no_verdict_as_one(
    first: Side, second: Side, reason: str
) -> None:
    quality = compared(first, second)
    assert quality["winning_ticket"] is None
    assert quality["winning_ticket_reason"].startswith(reason)
    assert quality["quality"][0]["within_one_std"] is not None


def test_only_scores_of_all_runs_are_compared_and_undefined_ones_are_not() -> None:
    runs = [
        tag(accuracy(0.5), accuracy(0.6, "test"), QualityInput("steps", 8.0, None)),
        tag(accuracy(0.7), accuracy(None, "test")),
    ]
    recipes = [{"task": "classification", "stages": [{**FULL, "seed": seed}]} for seed in (1, 2)]
    quality = compared_quality(runs, runs, (recipes, recipes), 2)["quality"]
    assert [(score["metric"], score["split"]) for score in quality] == [("accuracy", "validation")]


def test_the_last_score_of_a_run_counts_and_lower_perplexity_is_better() -> None:
    def run(*values: float) -> TagView:
        return tag(*(QualityInput("perplexity", value, "validation") for value in values))

    recipes = [{"task": "masked_lm", "stages": [{**FULL, "seed": seed}]} for seed in (1, 2)]
    good, bad = [run(9.0, 4.0), run(9.0, 5.0)], [run(7.0), run(8.0)]
    verdicts = [
        compared_quality(one, other, (recipes, recipes), 2)["quality"][0]["within_one_std"]
        for one, other in ((good, bad), (bad, good))
    ]
    assert verdicts == [True, False]
