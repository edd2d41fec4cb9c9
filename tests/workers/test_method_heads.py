"""Importance of heads against the authors' values; heads are cut out, counted, and reloaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops, linear_flops
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.methods.prune_heads import removed_after
from tests.support.gates import gate_pass
from tests.support.halves import assert_same_weights, in_halves, made_by
from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.job.reporter import JobError
from workers.methods.heads import (
    gate_gradients,
    head_importance,
    importance_of,
    normalized,
)
from workers.training.formats import registry
from workers.training.formats.profile import profile
from workers.training.structured import head_steps
from workers.training.structured.units import without_least

CASES = json.loads((Path(__file__).parents[1] / "data/golden/head_importance.json").read_text())[
    "cases"
]
INPUTS = CASES["inputs"]
SUMS = ["authors_per_token", "mean_over_batches_abs", "paper_mean_over_examples"]
"""Cases with importances by a rule of their own, of which the file has some."""
HEADS = {"kind": "prune", "method": "heads", "examples": 32, "batch_size": 8}


@pytest.fixture(scope="module")
def model() -> BertForSequenceClassification:
    """The network of the golden values, from its recipe of weights, in float64."""
    sizes = {name: value for name, value in INPUTS["config"].items() if name != "num_labels"}
    made = BertForSequenceClassification(BertConfig(**sizes)).double()
    rng = np.random.default_rng(302)
    named = dict(made.named_parameters())
    with torch.no_grad():
        for name in sorted(named):
            value = np.round(rng.normal(0, 0.35, tuple(named[name].shape)), 4)
            if name.endswith("LayerNorm.weight"):
                value = np.round(1 + 0.1 * value, 4)
            named[name].copy_(torch.tensor(value))
            assert float(value.sum()) == pytest.approx(INPUTS["weight_check"][name], abs=1e-9)
    made.train(False)
    return made


def losses(
    model: BertForSequenceClassification, batch_size: int, reduction: str = "sum"
) -> Iterator[Callable[[], torch.Tensor]]:
    for start in range(0, len(INPUTS["labels"]), batch_size):
        rows = slice(start, start + batch_size)
        inputs = {
            name: torch.tensor(INPUTS[name][rows])
            for name in ("input_ids", "attention_mask", "token_type_ids")
        }
        labels = torch.tensor(INPUTS["labels"][rows])

        def loss(
            inputs: dict[str, torch.Tensor] = inputs, labels: torch.Tensor = labels
        ) -> torch.Tensor:
            return functional.cross_entropy(model(**inputs).logits, labels, reduction=reduction)

        yield loss


def golden(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_every_case_is_computed() -> None:
    of_test = {"inputs", "logits", "loss", "grad_gate_whole_batch", "run_bertology", "prune_order"}
    settings_of = {"batch_size_for_batched_variants", "prune_counts_5x10pct_of_144"}
    assert set(CASES) <= of_test | settings_of | set(SUMS)


def test_the_gradient_of_the_gates_is_that_of_the_whole_batch(
    model: BertForSequenceClassification,
) -> None:
    (loss,) = losses(model, 6, "mean")
    inputs = {n: torch.tensor(INPUTS[n]) for n in ("input_ids", "attention_mask", "token_type_ids")}
    with torch.no_grad():
        logits = model(**inputs).logits
    torch.testing.assert_close(logits, golden(CASES["logits"]), rtol=1e-9, atol=0)
    assert loss().item() == pytest.approx(CASES["loss"], rel=1e-9)
    gradients = torch.stack([g.sum((0, 1)) for g in gate_gradients(model, loss)])
    torch.testing.assert_close(gradients, golden(CASES["grad_gate_whole_batch"]), rtol=1e-9, atol=0)


@pytest.mark.parametrize("batch_size", [1, 2, 6])
def test_the_papers_importance_is_a_mean_over_examples(
    model: BertForSequenceClassification, batch_size: int
) -> None:
    case = CASES["paper_mean_over_examples"]
    for normalize, key in ((False, "raw"), (True, "l2_per_layer")):
        importance = importance_of(
            model, losses(model, batch_size), kind="examples", normalize=normalize
        )
        torch.testing.assert_close(torch.stack(importance), golden(case[key]), rtol=1e-9, atol=0)


def test_the_common_script_adds_up_gradients_that_it_forgets_to_reset(
    model: BertForSequenceClassification,
) -> None:
    """Its values follow from the same gradients of the gates, by its own rule."""
    case = CASES["run_bertology"]
    tokens = float(np.sum(INPUTS["attention_mask"]))
    running = torch.zeros(2, 3, dtype=torch.float64)
    total = torch.zeros_like(running)
    for loss in losses(model, CASES["batch_size_for_batched_variants"], "mean"):
        running += torch.stack([g.sum((0, 1)) for g in gate_gradients(model, loss)])
        total += running.abs()
    torch.testing.assert_close(total / tokens, golden(case["raw_div_tokens"]), rtol=1e-9, atol=0)
    torch.testing.assert_close(
        torch.stack(normalized(list(total))), golden(case["l2_per_layer"]), rtol=1e-9, atol=0
    )
    scaled = torch.stack(normalized(list(total)))
    scaled = (scaled - scaled.min()) / (scaled.max() - scaled.min())
    torch.testing.assert_close(scaled, golden(case["global_minmax"]), rtol=1e-9, atol=1e-12)


def summed(model: BertForSequenceClassification, rule: str) -> torch.Tensor:
    """Importances by the rule of a case, before the division by each layer's norm."""
    size = CASES["batch_size_for_batched_variants"]
    if rule == "mean_over_batches_abs":
        each = [gate_gradients(model, loss) for loss in losses(model, size, "mean")]
        sums = [torch.stack([g.sum((0, 1)) for g in of_batch]).abs() for of_batch in each]
        return torch.stack(sums).mean(0)
    kind: Any = "tokens" if rule == "authors_per_token" else "examples"
    importance = head_importance((gate_gradients(model, one) for one in losses(model, size)), kind)
    if kind == "tokens":  # theirs divides all layers but the last by the number of tokens
        share = len(INPUTS["labels"]) / float(np.sum(INPUTS["attention_mask"]))
        importance = [*(share * each for each in importance[:-1]), importance[-1]]
    return torch.stack(importance)


@pytest.mark.parametrize("rule", [name for name in SUMS if name in CASES])
def test_importances_are_those_of_each_rule(
    model: BertForSequenceClassification, rule: str
) -> None:
    sums, case = summed(model, rule), CASES[rule]
    torch.testing.assert_close(sums, golden(case["raw"]), rtol=1e-9, atol=0)
    by_layer = torch.stack(normalized(list(sums)))
    torch.testing.assert_close(by_layer, golden(case["l2_per_layer"]), rtol=1e-9, atol=0)


def test_importance_by_tokens_is_the_sum_of_their_absolute_gradients(
    model: BertForSequenceClassification,
) -> None:
    gradients = [gate_gradients(model, loss) for loss in losses(model, 2)]
    by_tokens = head_importance(gradients, "tokens")
    brute = sum(g[0].abs().sum((0, 1)) for g in gradients) / 6
    torch.testing.assert_close(by_tokens[0], brute)
    # Only the first token's output of the last layer reaches the head: there both are the same.
    torch.testing.assert_close(by_tokens[1], head_importance(gradients, "examples")[1])


def test_numbers_of_heads_in_steps() -> None:
    counts = [removed_after(0.5, 144, step, 5) for step in range(6)]
    steps = [after - before for before, after in pairwise(counts)]
    assert steps == CASES["prune_counts_5x10pct_of_144"]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.floats(0, 1, allow_nan=False), min_size=1, max_size=5), min_size=1, max_size=4
    ),
    st.integers(0, 25),
)
def test_the_least_important_heads_leave_and_the_best_of_a_layer_stays(
    importance: list[list[float]], count: int
) -> None:
    alive = [list(range(len(layer))) for layer in importance]
    left = without_least(alive, importance, count)
    total = sum(map(len, alive))
    assert sum(map(len, left)) == max(total - count, len(alive))
    for layer, heads in enumerate(left):
        assert max(importance[layer]) in [importance[layer][head] for head in heads]
        gone = [v for head, v in enumerate(importance[layer]) if head not in heads]
        assert not gone or max(gone) <= max(importance[layer])
    removed = [
        v
        for layer, heads in enumerate(left)
        for h, v in enumerate(importance[layer])
        if h not in heads
    ]
    spared = [sorted(importance[layer][h] for h in heads)[:-1] for layer, heads in enumerate(left)]
    if removed and any(spared):
        assert max(removed) <= min(v for layer in spared for v in layer)


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        ({"share": 0.05}, "share", "less than one"),
        ({"share": 0.8}, "share", "one head a layer must remain"),
        ({"share": 0.0}, "share", "greater than 0"),
        ({"floor": 1.2}, "floor", "must be at most 1"),
        ({"importance": "gates"}, "importance", "must be one of: examples, tokens"),
        ({"sparsity": 0.5}, "sparsity", "not a known field"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    options: dict[str, Any], field: str, message: str
) -> None:
    described = recipe(TRAIN, {**HEADS, **options}, model={"config": CONFIG})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(described)
    assert caught.value.field == f"recipe.stages.1.{field}"
    assert message in caught.value.message


def test_a_floor_needs_a_validation_split() -> None:
    stages = [{**TRAIN, "evaluate": False}, {**HEADS, "evaluate": False}]
    data = {"train": "data/train.tsv"}
    parse_recipe(recipe(*stages, data=data))
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe(stages[0], {**stages[1], "floor": 0.9}, data=data))
    assert caught.value.field == "recipe.data.validation"


# ---- stages ----

DEEP = {**CONFIG, "num_hidden_layers": 2, "num_attention_heads": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a classifier of 2 layers x 4 heads, trained until it knows its task."""
    root = data_set(tmp_path_factory.mktemp("heads"), train=160, dev=40, hard_share=0.0)
    train = {**TRAIN, "max_steps": 40, "batch_size": 16, "learning_rate": 5e-3, "evaluate": False}
    with counted_once():
        carry_out(root, recipe(train, model={"config": DEEP}))
    (root / "work/stage-00/model").rename(root / "trained")
    return root


def pruned(root: Path, folder: Path, **options: Any) -> Any:
    with counted_once():
        return carry_out(folder, recipe({**HEADS, **options}, model="trained"), data_roots=[root])


def test_removed_heads_are_cut_out_and_counted_in_closed_form(
    trained: Path, tmp_path: Path
) -> None:
    pruned(trained, tmp_path, share=0.5, steps=2, evaluate=False)
    note = registry.read_notes(made_by(tmp_path))["sliced"]
    heads = [layer["heads"] for layer in note["layers"]]
    assert sum(heads) == 4
    assert min(heads) >= 1
    model = registry.load(made_by(tmp_path))
    counts, length, hidden, size = profile(model), 20, 32, 8
    layers = [
        encoder_layer_flops(EncoderShape(1, hidden, 64, number * size), length) for number in heads
    ]
    head = linear_flops(1, hidden, hidden) + linear_flops(1, hidden, 2)
    assert counts.flops_per_sequence(length) == sum(layers) + head
    whole = profile(registry.skeleton(model.config, {}))
    gone = (8 - 4) * (4 * size * hidden + 3 * size)  # rows of three matrices, columns of one
    assert counts.weights.parameters == whole.weights.parameters - gone


def test_importances_cost_a_pass_to_the_gates_of_each_example(
    trained: Path, tmp_path: Path
) -> None:
    options = {"share": 0.2, "steps": 1, "examples": None, "batch_size": 1, "evaluate": False}
    reporter = pruned(trained, tmp_path, **options)
    head = linear_flops(1, 32, 32) + linear_flops(1, 32, 2)
    tokenizer = AutoTokenizer.from_pretrained(trained / "trained")
    rows = (trained / "data/train.tsv").read_text().splitlines()[1:]
    lengths = [len(tokenizer(row.split("\t")[0]).input_ids) for row in rows]
    expected = sum(gate_pass([4, 4], [64, 64], 32, 8, length, head) for length in lengths)
    assert reporter.of("flops")[-1]["dense"] == pytest.approx(expected, rel=1e-9)


def test_a_floor_undoes_the_step_that_falls_below_it(trained: Path, tmp_path: Path) -> None:
    options = {"share": 0.75, "steps": 6, "floor": 1.0, "evaluate": True}
    reporter = pruned(trained, tmp_path, **options)
    logs = [event["text"] for event in reporter.of("log")]
    undone = [text for text in logs if "undone" in text]
    left = reporter.of("metric", name="heads_left")[-1]["value"]
    first = json.loads((tmp_path / "work/stage-00/score.json").read_text())["value"]
    now = reporter.of("metric", name="accuracy")[-1]["value"]
    assert now >= first
    assert (left == 2) == (not undone)
    assert left + len([text for text in logs if ": accuracy" in text]) - len(undone) == 8


def test_a_score_that_is_no_longer_defined_undoes_the_step(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "all predictions are of one class"
    scores = iter([(0.5, None), (0.49, None), (None, reason)])

    def score(_: Any) -> dict[str, Any]:
        value, why = next(scores)
        return {"name": "mcc", "value": value, "reason": why}

    monkeypatch.setattr(head_steps._Steps, "_score", score)
    reporter = pruned(trained, tmp_path, share=0.5, steps=4, floor=0.9, evaluate=False)
    assert any(reason in event["text"] for event in reporter.of("log"))
    assert reporter.of("metric", name="heads_left")[-1]["value"] == 7


@pytest.mark.parametrize("questions", [4, 8], ids=["first step", "second step"])
def test_an_interrupted_step_ends_at_the_same_weights(
    trained: Path, tmp_path: Path, questions: int
) -> None:
    options = {"share": 0.5, "steps": 2, "recovery_epochs": 0.2, "rescore": True, "floor": 0.1}
    described = recipe({**HEADS, **options, "evaluate": False}, model="trained")
    with counted_once():
        carry_out(tmp_path / "whole", described, data_roots=[trained])
    second = in_halves(tmp_path / "halves", described, questions, data_roots=[trained])
    again = [event["text"] for event in second.of("log") if "earlier attempt" in event["text"]]
    assert len(again) == (0 if questions == 4 else 1)
    assert_same_weights(tmp_path / "whole", tmp_path / "halves")


def test_a_model_without_heads_of_its_own_is_rejected(trained: Path, tmp_path: Path) -> None:
    factors = {"kind": "factorize", "method": "low_rank", "ratio": 0.5, "recovery_epochs": 0}
    described = recipe({**factors, "evaluate": False}, model="trained")
    with counted_once():
        carry_out(tmp_path, described, data_roots=[trained])
    made_by(tmp_path).rename(tmp_path / "factors")
    described = recipe(HEADS, model="factors")
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path / "next", described, data_roots=[trained, tmp_path])
    refused = caught.value.code, caught.value.field
    assert refused == ("heads-not-removable", "recipe.stages.0.kind")
