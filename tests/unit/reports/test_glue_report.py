"""The table of GLUE: rows, means over seeds, averages, what is missing, and what it cost."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.reports import FORMATS, NoScoresError, glue_context, render
from app.reports.blind import Pseudonyms
from pricetag.recipes.glue import GLUE
from pricetag.tag.glue.rows import GlueRow, glue_rows
from pricetag.tag.glue.scores import ALL_TASKS, WITHOUT_WNLI, Mean, TaskScore, average
from tests.support.glue_runs import RunOnGlue, run_on_glue

AT = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
KWH = 370.0 * 100 / 3.6e6
"""IT energy of a stage: 370 W over 100 s."""

FULL: dict[str, dict[str, float]] = {
    "cola": {"mcc": 0.5},
    "sst2": {"accuracy": 0.9},
    "mrpc": {"f1": 0.9, "accuracy": 0.8},
    "stsb": {"pearson": 0.88, "spearman": 0.86},
    "qqp": {"f1": 0.7, "accuracy": 0.9},
    "mnli": {"accuracy": 0.84, "mismatched": 0.82},
    "qnli": {"accuracy": 0.91},
    "rte": {"accuracy": 0.66},
    "wnli": {"accuracy": 0.56},
}
QUANTIZED = ({"kind": "quantize"}, {"kind": "evaluate"})
SCORES = [50, 90, 85, 87, 80, 83, 91, 66]


def seeds(task: str, values: Sequence[float | None], first: int = 1) -> list[RunOnGlue]:
    metric = GLUE[task].metrics[0]
    return [
        run_on_glue(first + seed, task, [{metric: value}], {"kind": "train", "seed": seed})
        for seed, value in enumerate(values)
    ]


def every_task(*skipped: str, first: int = 100) -> list[RunOnGlue]:
    return [
        run_on_glue(first + number, task, [scores])
        for number, (task, scores) in enumerate(FULL.items())
        if task not in skipped
    ]


def rows(runs: Sequence[RunOnGlue], earlier: Sequence[RunOnGlue] = ()) -> list[GlueRow]:
    return glue_rows([one.run for one in runs], [one.run for one in earlier], "site")


def report(runs: Sequence[RunOnGlue], profile: Any = "site", **more: Any) -> dict[str, Any]:
    documents = [one.document for one in runs]
    recipes = {one.run_id: one.recipe for one in runs}
    return glue_context("GLUE", profile, documents, recipes, generated_at=AT, **more)


def test_scores_are_mean_and_standard_deviation_over_seeds_in_points() -> None:
    (row,) = rows(seeds("cola", [0.5, 0.54, 0.58]))
    score = row.tasks["cola"].score
    assert score.value == pytest.approx(54)
    assert score.std == pytest.approx(4)
    assert score.count == 3
    assert row.label == "bert-base: train"
    assert len(row.run_ids) == 3
    (single,) = rows(seeds("cola", [0.5]))
    assert single.tasks["cola"].score == Mean(50.0, None, 1)


def test_two_metrics_and_two_development_sets_are_averaged_first() -> None:
    (row,) = rows(every_task())
    scores = {name: task.score.value for name, task in row.tasks.items()}
    assert list(scores) == list(GLUE)
    assert list(scores.values()) == pytest.approx([*SCORES, 56])
    assert average(row.tasks).value == pytest.approx(fmean(SCORES))
    assert average(row.tasks, ALL_TASKS).value == pytest.approx(fmean([*SCORES, 56]))


@pytest.mark.parametrize("missing", WITHOUT_WNLI)
def test_an_average_over_fewer_tasks_is_never_given(missing: str) -> None:
    (row,) = rows(every_task(missing, "wnli"))
    mean = average(row.tasks)
    assert (mean.value, mean.reason) == (None, f"no score on {GLUE[missing].title}")
    nine = average(row.tasks, ALL_TASKS)
    assert nine.value is None
    assert nine.reason == f"no score on {GLUE[missing].title}, WNLI"


def test_an_undefined_score_is_null_with_its_reason() -> None:
    runs = [*every_task("cola"), *seeds("cola", [0.5, None])]
    (row,) = rows(runs)
    score = row.tasks["cola"].score
    assert (score.value, score.std) == (None, None)
    assert score.reason == "all predictions are of one class in 1 of 2 runs"
    assert average(row.tasks).reason == "score undefined on CoLA"


def test_a_metric_that_was_not_evaluated_is_named() -> None:
    (row,) = rows([run_on_glue(1, "mnli", [{"accuracy": 0.8}])])
    parts = row.tasks["mnli"].parts
    assert parts["validation", "accuracy"].value == pytest.approx(80)
    assert parts["validation_mismatched", "accuracy"].reason == "not evaluated"
    assert row.tasks["mnli"].score.value is None


def test_each_model_of_a_run_is_a_row() -> None:
    prune = {"kind": "prune", "sparsity": 0.5, "recovery_epochs": 1}
    stages: list[dict[str, Any]]
    stages = [{"kind": "train"}, {"kind": "measure"}, prune, {"kind": "measure"}]
    runs = [
        run_on_glue(seed, "rte", [{"accuracy": 0.6}, {"accuracy": 0.5}], *stages, sparsity=(0, 0.5))
        for seed in (1, 2)
    ]
    dense, sparse = rows(runs)
    assert (dense.label, sparse.label) == (
        "bert-base: train",
        "bert-base: train, prune (sparsity 0.5)",
    )
    assert [row.tasks["rte"].score.value for row in (dense, sparse)] == pytest.approx([60, 50])
    assert [row.remaining_ratio.value for row in (dense, sparse)] == pytest.approx([1, 0.5])
    assert dense.parameters.value == 110_000_000
    assert dense.it_energy_kwh.value == pytest.approx(KWH)
    assert sparse.it_energy_kwh.value == pytest.approx(2 * KWH)
    # 370 W over 40 s for 1,000 inferences
    assert dense.inference_wh.value == pytest.approx(370 * 40 / 3600)


def test_other_methods_and_other_models_are_other_rows() -> None:
    runs = [
        run_on_glue(1, "rte", [{"accuracy": 0.6}]),
        run_on_glue(2, "rte", [{"accuracy": 0.6}], model="models/tiny"),
        run_on_glue(3, "rte", [{"accuracy": 0.6}] * 2, {"kind": "train"}, *QUANTIZED),
    ]
    assert [row.label for row in rows(runs)] == [
        "bert-base: train",
        "tiny: train",
        "bert-base: train, quantize",
    ]


def test_tuning_may_differ_between_tasks_but_not_between_runs_on_one() -> None:
    fast = {"kind": "train", "learning_rate": 1e-3}
    slow = {"kind": "train", "learning_rate": 1e-5, "epochs": 3}
    (row,) = rows(
        [
            run_on_glue(1, "rte", [{"accuracy": 0.6}], fast),
            run_on_glue(2, "cola", [{"mcc": 0.5}], slow),
        ]
    )
    assert list(row.tasks) == ["cola", "rte"]
    tried = rows(
        [
            run_on_glue(1, "rte", [{"accuracy": 0.6}], fast),
            run_on_glue(2, "rte", [{"accuracy": 0.7}], slow),
            run_on_glue(3, "rte", [{"accuracy": 0.8}], {**slow, "seed": 1}),
        ]
    )
    assert [row.label for row in tried] == [
        "bert-base: train; epochs default, learning_rate 0.001",
        "bert-base: train; epochs 3.0, learning_rate 1e-05",
    ]
    assert [row.tasks["rte"].score.count for row in tried] == [1, 2]


def test_energy_is_the_mean_over_seeds_summed_over_tasks() -> None:
    runs = [*seeds("cola", [0.5, 0.6, 0.7]), run_on_glue(9, "rte", [{"accuracy": 0.6}])]
    (row,) = rows(runs)
    assert row.it_energy_kwh.value == pytest.approx(2 * KWH)
    # PUE 1.2, 381 g/kWh
    assert row.co2e_kg.value == pytest.approx(2 * KWH * 1.2 * 0.381)
    assert row.inference_wh.reason == "no measure stage"
    assert row.parameters.value is None


def test_a_model_of_an_earlier_run_counts_with_what_made_it() -> None:
    earlier = run_on_glue(1, "rte", [{"accuracy": 0.6}])
    model = {"run": earlier.run_id, "stage": "train"}
    later = run_on_glue(2, "rte", [{"accuracy": 0.5}], *QUANTIZED, model=model)
    (row,) = rows([later], [earlier])
    assert row.label == "bert-base: train, quantize"
    assert row.it_energy_kwh.value == pytest.approx(2 * KWH)
    (alone,) = rows([later])
    assert alone.label == "model of run 6f0c0d0e: quantize"
    assert alone.it_energy_kwh.value is None
    assert "has no price tag here" in str(alone.it_energy_kwh.reason)
    in_one_run = run_on_glue(
        3, "rte", [{"accuracy": 0.6}, {"accuracy": 0.55}], {"kind": "train"}, *QUANTIZED
    )
    labels = [row.label for row in rows([later, in_one_run], [earlier])]
    assert labels == ["bert-base: train, quantize", "bert-base: train"]


def test_an_earlier_run_that_several_tasks_start_from_counts_once() -> None:
    earlier = run_on_glue(1, "rte", [{"accuracy": 0.6}])
    model = {"run": earlier.run_id, "stage": "train"}
    later = [
        run_on_glue(2, "rte", [{"accuracy": 0.5}], *QUANTIZED, model=model),
        run_on_glue(3, "rte", [{"accuracy": 0.5}], *QUANTIZED, model=model),
        run_on_glue(4, "qnli", [{"accuracy": 0.5}], *QUANTIZED, model=model),
    ]
    (row,) = rows(later, [earlier])
    assert row.it_energy_kwh.value == pytest.approx(3 * KWH)  # not 4: one before, one a task


def test_a_model_that_no_stage_made_has_no_energy_of_making() -> None:
    (row,) = rows([run_on_glue(1, "rte", [{"accuracy": 0.5}], {"kind": "evaluate"})])
    assert row.label == "bert-base: as submitted"
    assert (row.it_energy_kwh.value, row.it_energy_kwh.reason) == (
        None,
        "no stage of these runs made it",
    )


@settings(max_examples=50)
@given(
    scores=st.dictionaries(
        st.sampled_from(ALL_TASKS), st.lists(st.floats(0, 1), min_size=1, max_size=5)
    )
)
def test_an_average_is_the_mean_over_exactly_its_tasks(scores: dict[str, list[float]]) -> None:
    tasks = {}
    for name, values in scores.items():
        points = [100 * value for value in values]
        std = stdev(points) if len(points) > 1 else None
        assert Mean.of(points).std == std
        tasks[name] = TaskScore({}, Mean.of(points))
    for names in (WITHOUT_WNLI, ALL_TASKS):
        mean = average(tasks, names)
        if set(names) <= scores.keys():
            expected = fmean(100 * fmean(scores[name]) for name in names)
            assert mean.value == pytest.approx(expected)
        else:
            assert mean.value is None
            missing = [GLUE[name].title for name in names if name not in scores]
            assert mean.reason == f"no score on {', '.join(missing)}"


def table_of(context: dict[str, Any]) -> dict[str, Any]:
    table: dict[str, Any] = context["sections"][0]["tables"][0]
    return table


def test_the_report_has_the_shape_of_the_papers_tables() -> None:
    context = report([*every_task("cola"), *seeds("cola", [0.5, 0.6])])
    table = table_of(context)
    assert [column["label"] for column in table["columns"]] == [
        *("Model", "Runs", "Params", "Left"),
        *("CoLA", "SST-2", "MRPC", "STS-B", "QQP", "MNLI", "QNLI", "RTE", "WNLI"),
        *("Avg. of 8", "Avg. of 9"),
        *("Wh", "g CO2e", "Wh per 1,000"),
    ]
    assert table["notes"][0] == (
        "CoLA: Matthews correlation; SST-2, QNLI, RTE, WNLI: accuracy; MRPC, QQP: F1 / accuracy; "
        "STS-B: Pearson correlation / Spearman correlation; MNLI: accuracy on matched / mismatched "
        "texts."
    )
    (cells,) = [row["cells"] for row in table["rows"]]
    assert cells[4:10] == [
        "55.0 ± 7.1",
        "90.0",
        "90.0 / 80.0",
        "88.0 / 86.0",
        "70.0 / 90.0",
        "84.0 / 82.0",
    ]
    assert cells[13:15] == ["79.6", "77.0"]
    assert cells[15] == "92.5"


def test_columns_are_those_of_tasks_that_any_row_has() -> None:
    table = table_of(report(seeds("rte", [0.5])))
    labels = [column["label"] for column in table["columns"]]
    assert labels[4:6] == ["RTE", "Avg. of 8"]
    assert table["rows"][0]["cells"][5].startswith("n/a (")
    assert any("no score on CoLA, SST-2, MRPC" in note for note in table["notes"])


def test_every_format_has_the_table() -> None:
    context = report([*every_task("cola"), *seeds("cola", [0.5, 0.6])], "strubell2019")
    stored = json.loads(json.dumps(context))
    for fmt in FORMATS:
        content = render(stored, fmt).content
        assert content
        if fmt in ("html", "md", "tex"):
            assert ("55.0" if fmt == "tex" else "55.0 ± 7.1").encode() in content
    (line,) = csv.DictReader(io.StringIO(render(stored, "csv").content.decode()))
    assert line["model"] == "bert-base: train"
    assert float(line["cola_mcc_points"]) == pytest.approx(55)
    assert float(line["cola_mcc_std_points"]) == pytest.approx(stdev([50, 60]))
    assert float(line["mnli_accuracy_mismatched_points"]) == pytest.approx(82)
    assert float(line["average_9_points"]) == pytest.approx(fmean([55, *SCORES[1:], 56]))
    assert line["runs"] == "10"
    assert line["parameters"] == ""
    assert "parameters: no measure stage" in line["unknown"]
    assert stored["lines"][0]["energy_per_1000_inferences_wh"] is None


def test_runs_without_scores_are_counted_and_alone_are_an_error() -> None:
    plain = run_on_glue(1, "rte", [], {"kind": "train", "evaluate": False})
    context = report([plain, *seeds("rte", [0.5], first=2)])
    assert "1 run without scores on GLUE not in the table." in table_of(context)["notes"]
    with pytest.raises(NoScoresError):
        report([plain])


def test_scores_of_a_later_attempt_replace_earlier_ones() -> None:
    one = run_on_glue(1, "rte", [{"accuracy": 0.5}])
    document = json.loads(json.dumps(one.document))
    again = json.loads(json.dumps(document["stages"]))
    for stage in again:
        stage["attempt"] = 2
        for item in stage["quality"]:
            item |= {"attempt": 2, "value": 0.75}
    document["stages"] += again
    (row,) = rows([RunOnGlue(one.run_id, document, one.recipe)])
    assert row.tasks["rte"].score.value == pytest.approx(75)
    assert row.it_energy_kwh.value == pytest.approx(2 * KWH)  # both attempts cost


def test_a_run_with_kinds_of_another_version_has_its_row() -> None:
    one = run_on_glue(1, "rte", [{"accuracy": 0.5}])
    recipe = {**one.recipe, "stages": [{"kind": "train"}, {"kind": "transmute"}]}
    (row,) = rows([RunOnGlue(one.run_id, one.document, recipe)])
    assert row.label == "bert-base: train"
    assert row.tasks["rte"].score.value == pytest.approx(50)


def test_the_variant_for_blind_review_has_the_figures_and_no_name() -> None:
    pruned = ({"kind": "prune", "sparsity": 0.5}, {"kind": "evaluate"})
    runs = [
        *every_task("cola"),
        *seeds("cola", [0.5, None]),
        run_on_glue(
            300, "cola", [{"mcc": 0.4}, {"mcc": 0.3}, {"mcc": 0.3}], {"kind": "train"}, *pruned
        ),
    ]
    shown, blind = report(runs), report(runs, names=Pseudonyms())
    assert [line["model"].partition(": ")[0] for line in blind["lines"]] == ["Model A"] * len(
        shown["lines"]
    )
    assert blind["lines"][0]["model"] == "Model A: train"
    assert "sparsity 0.5" in blind["lines"][-1]["model"]
    for old, new in zip(shown["lines"], blind["lines"], strict=True):
        texts = {"model", "run_ids", "unknown"}
        assert {key: old[key] for key in old.keys() - texts} == {
            key: new[key] for key in new.keys() - texts
        }
    written = json.dumps(blind)
    hidden = {"bert-base", *(one.run_id for one in runs)}
    assert [name for name in hidden if name not in json.dumps(shown)] == []
    assert [name for name in hidden if name in written] == []
