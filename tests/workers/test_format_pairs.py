"""Pairs of formats and methods that once failed in the middle of a job."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.training.formats import registry
from workers.training.formats.exits import add_exits, exits_of
from workers.training.formats.factorized_embedding import put_factors
from workers.training.formats.modules import take_modules
from workers.training.formats.sparse import prunable
from workers.training.pruning.selection import with_others, with_pruned_others

QUICK = {**TRAIN, "max_steps": 2, "evaluate": False}
TABLE = "bert.embeddings.word_embeddings"
PRUNE = {"kind": "prune", "sparsity": 0.5, "evaluate": False}
EXITS = {**QUICK, "method": "early_exit"}
SHARE = {**QUICK, "kind": "share", "method": "albert", "groups": None, "embedding_size": 8}
MORPHNET = {
    **QUICK, "kind": "prune", "method": "morphnet", "strength": 100, "threshold": 0.02,
    "recovery_epochs": 0.1,
}  # fmt: skip
HEADS = {
    "kind": "prune", "method": "heads", "share": 0.5, "steps": 1, "examples": 8, "evaluate": False,
    "recovery_epochs": 0,
}  # fmt: skip
COMPRESSBERT = {**QUICK, "kind": "prune", "method": "compressbert", "sparsity": 0.5}
MEASURE = {"kind": "measure", "min_seconds": 0.02, "batch_size": 2, "sequence_length": 16}


def network(layers: int = 3) -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {**CONFIG, "num_hidden_layers": layers}
    model = BertForSequenceClassification(BertConfig(**sizes))
    model.train(False)
    return model


def test_both_factors_of_a_table_are_pruned_with_the_embeddings() -> None:
    model = network()
    put_factors(model, 8)
    others = with_others(model).keys() - prunable(model).keys()
    assert others == {f"{TABLE}.table", f"{TABLE}.project", "bert.pooler.dense"}
    assert with_others(model, embeddings=False, pooler=False).keys() == prunable(model).keys()
    assert with_pruned_others(model).keys() == prunable(model).keys()
    with torch.no_grad():
        with_others(model)[f"{TABLE}.project"].weight[::2] = 0
    assert with_pruned_others(model).keys() - prunable(model).keys() == {f"{TABLE}.project"}


@pytest.mark.parametrize("threshold", [None, 0.4, 1.0])
def test_a_model_with_exits_can_be_copied_after_a_pass_and_take_the_copys_modules(
    threshold: float | None,
) -> None:
    model, other = network(), network()
    exits = add_exits(model, [0, 1, 2])
    exits.threshold = threshold
    model.train(False)
    ids = torch.randint(5, 60, (3, 9), generator=torch.Generator().manual_seed(1))
    first = model(input_ids=ids).logits
    assert (exits.left_at is None) == (threshold is None)
    model.train()
    model(input_ids=ids).logits.sum().backward()
    model.train(False)
    twin = copy.deepcopy(model)
    assert torch.equal(twin(input_ids=ids).logits, first)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    changed = model(input_ids=ids).logits
    assert not torch.equal(changed, first)
    take_modules(model, twin)
    assert torch.equal(model(input_ids=ids).logits, first)
    assert exits_of(model) is exits_of(twin)
    plain = other(input_ids=ids).logits
    take_modules(other, network())
    assert torch.equal(other(input_ids=ids).logits, plain)


@pytest.mark.parametrize(
    "stages",
    [
        [QUICK, PRUNE, SHARE, COMPRESSBERT],
        [EXITS, MORPHNET],
        [EXITS, {**HEADS, "floor": 1.0, "rescore": True}],
    ],
    ids=["prune, share, prune the factors", "exits, morphnet", "exits, heads with a floor"],
)
def test_they_run_through_and_are_measured(tmp_path: Path, stages: list[dict[str, Any]]) -> None:
    data_set(tmp_path, train=24, dev=12, test=4)
    with counted_once():
        reporter = carry_out(tmp_path, recipe(*stages, MEASURE))
    assert [e["status"] for e in reporter.of("stage_end")][-1] == "succeeded"
    folder = tmp_path / f"work/stage-{len(stages) - 1:02}/model"
    model = registry.load(folder)
    parameters = reporter.of("metric", name="parameters")[-1]["value"]
    assert parameters == sum(parameter.numel() for parameter in model.parameters())
    if stages[0] is QUICK:
        zeros = [int((m.weight == 0).sum()) / m.weight.numel() for m in with_others(model).values()]
        assert min(zeros) == pytest.approx(0.5, abs=0.01)
