"""Deep equilibrium models from scratch: states, gradients, operations, memory and whole runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, BertConfig, BertForMaskedLM

from app.services.quoting.likeness import likeness, steps
from app.services.quoting.operations import NoOperations, _training_step
from pricetag.recipes import FromScratch, parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.halves import assert_same_weights, in_halves
from tests.support.new_architectures import PRETRAIN, kept_tensors, pretrained_then_tuned, tokens
from tests.support.texts import SHALLOW, text_files, text_recipe
from tests.support.training import carry_out, recipe
from workers.training.architectures.fixed_point import relative_residual
from workers.training.formats import registry
from workers.training.formats.profile import profile

NOTE = {"format": 1, "solver": "broyden", "evaluations": 10, "gradient_evaluations": 10}
DEQ = {"name": "deq", "evaluations": 3, "gradient_evaluations": 2}
MODEL = {"config": {**SHALLOW, "num_hidden_layers": 1}, "architecture": DEQ}
STAGE = {**PRETRAIN, "max_steps": 4}


def deq(eager: bool = False, **changes: Any) -> BertForMaskedLM:
    torch.manual_seed(0)
    shape = BertConfig(**{**SHALLOW, "vocab_size": 60, "num_hidden_layers": 1})
    if eager:
        shape._attn_implementation = "eager"
    model = BertForMaskedLM(shape)
    model.config.architectures = ["BertForMaskedLM"]
    registry.rebuild(model, {"deq": {**NOTE, **changes}})
    return model


@pytest.mark.parametrize("solver", ["broyden", "anderson"])
def test_states_are_a_fixed_point_of_the_layers_on_states_and_embeddings(solver: str) -> None:
    model = deq(solver=solver, evaluations=14).train(False)
    with torch.no_grad():
        states = model.bert(tokens()).last_hidden_state
        inner: Any = model.bert
        again = inner.encoder.layer[0](states + inner.embeddings(tokens()))
    assert float(relative_residual(states.flatten(1), again.flatten(1)).max()) < 1e-5


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training: bool) -> None:
    model = deq().train(False)
    ids, mask = tokens(), torch.ones(3, 8, dtype=torch.long)
    mask[1, 5:] = 0
    with torch.set_grad_enabled(training):
        padded = model(ids, attention_mask=mask).logits[1, :5]
        alone = model(ids[1:2, :5]).logits[0]
    torch.testing.assert_close(padded, alone, rtol=1e-5, atol=1e-6)


def test_the_model_is_trained_through_its_implicit_gradient() -> None:
    model = deq(evaluations=30, gradient_evaluations=30).double().train(False)
    target = next(iter(model.bert.encoder.layer[0].attention.output.dense.parameters()))
    loss = model(tokens()).logits.square().mean()
    torch.autograd.backward(loss)
    assert target.grad is not None
    with torch.no_grad():
        step = 1e-5
        values = []
        for sign in (1, -1):
            target[0, 0] += sign * step
            values.append(model(tokens()).logits.square().mean())
            target[0, 0] -= sign * step
    numeric = (values[0] - values[1]) / (2 * step)
    torch.testing.assert_close(target.grad[0, 0], numeric, rtol=1e-4, atol=1e-10)


def test_dropout_is_the_same_in_all_evaluations_and_differs_between_steps() -> None:
    model = deq(evaluations=14).train()
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(model(tokens()).logits)
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])
    torch.manual_seed(1)
    inner: Any = model.bert
    x = inner.embeddings(tokens())
    state = torch.get_rng_state()
    states_of_x = inner.encoder(x).last_hidden_state
    torch.set_rng_state(state)
    again = inner.encoder.layer[0](states_of_x + x)
    residual = relative_residual(states_of_x.flatten(1), again.flatten(1))
    assert float(residual.detach().max()) < 1e-4


# ---- operations and memory ----


def test_operations_are_the_closed_form() -> None:
    counted = profile(deq(evaluations=3)).flops
    wide, inner, vocabulary, length = 16, 24, 60, 8
    a_layer = 2 * length * (4 * wide**2 + 2 * wide * inner) + 4 * length**2 * wide
    head = 2 * length * (wide**2 + wide * vocabulary)
    assert counted.forward(length) == 4 * a_layer + head
    assert counted.head * length == head


@pytest.mark.parametrize(("evaluations", "products"), [(5, 3), (2, 4)])
def test_operations_of_training_are_those_that_torch_counts(
    evaluations: int, products: int
) -> None:
    changes: dict[str, Any] = {"evaluations": evaluations, "gradient_evaluations": products}
    model = deq(eager=True, **changes).train(False)
    counter = FlopCounterMode(display=False)
    with counter:
        torch.autograd.backward(model(tokens()).logits.sum())
    counted = profile(deq(**changes)).flops
    extra = registry.further_flops(model, {"deq": {**NOTE, **changes}}, counted, 8)
    assert 3 * (counted.training(8) + extra) == counter.get_total_flops()


def test_zeros_save_the_same_share_of_every_evaluation() -> None:
    counted = replace(profile(deq()).flops, square=0.0, head=0.0, fixed=0.0)
    dense, sparse = (
        counted.training(8, density)
        + registry.further_flops(deq(), {"deq": NOTE}, counted, 8, density)
        for density in (1.0, 0.1)
    )
    assert sparse == pytest.approx(0.1 * dense)


def kept(evaluations: int) -> int:
    """Values that a forward pass keeps for the backward pass."""
    model = deq(evaluations=evaluations, gradient_evaluations=2)
    size = 0

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal size
        size += tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(tokens())
    return size


def test_memory_for_the_backward_pass_does_not_grow_with_depth() -> None:
    assert kept(1) == kept(4) == kept(16) > 0


# ---- whole runs ----


def test_a_model_is_pretrained_reloaded_measured_and_fine_tuned_on_classes(tmp_path: Path) -> None:
    shared = kept_tensors(*pretrained_then_tuned(tmp_path, MODEL))
    assert len([name for name in shared if ".encoder.layer.0." in name]) == 16


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    text_files(tmp_path)
    stage = {**STAGE, "checkpoint_after_s": 0, "checkpoint_every_s": 0}
    described = text_recipe("masked_lm", stage, model=MODEL)
    carry_out(tmp_path / "whole", described, data_roots=[tmp_path])
    in_halves(tmp_path / "halves", described, 2, data_roots=[tmp_path])
    assert_same_weights(tmp_path / "whole", tmp_path / "halves")


def test_electra_pretrains_such_an_encoder(tmp_path: Path) -> None:
    text_files(tmp_path)
    electra = {**STAGE, "method": "electra", "max_steps": 2}
    train = {**STAGE, "kind": "train", "max_steps": 1, "evaluate": True}
    del train["method"]
    reporter = carry_out(tmp_path, text_recipe("masked_lm", electra, train, model=MODEL))
    assert reporter.of("metric", name="perplexity")
    assert (tmp_path / "work" / "stage-00" / "model" / "deq.json").exists()


# ---- the recipe ----


def test_recipes_without_an_architecture_are_stored_as_before() -> None:
    plain = recipe()
    stored = parse_recipe(plain).model_dump(mode="json")
    assert "architecture" not in stored["model"]
    named = parse_recipe(recipe(model=MODEL)).model_dump(mode="json")
    assert named["model"]["architecture"]["name"] == "deq"
    assert likeness(stored).model_sha256 != likeness(named).model_sha256
    assert isinstance(parse_recipe(named).model, FromScratch)


def test_the_closed_form_of_a_bert_is_not_a_quote_for_another_encoder() -> None:
    for model, is_quoted in ((MODEL, False), ({"config": MODEL["config"]}, True)):
        stored = parse_recipe(text_recipe("masked_lm", STAGE, model=model)).model_dump(mode="json")
        (step,) = steps(stored, 0)
        if is_quoted:
            assert _training_step(stored, step, 100.0, {})[0].value > 0
        else:
            with pytest.raises(NoOperations):
                _training_step(stored, step, 100.0, {})


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ({"architecture": {"name": "deep"}}, "recipe.model.architecture.name"),
        ({"architecture": {"evaluations": 3}}, "recipe.model.architecture.name"),
        ({"architecture": {**DEQ, "solver": "newton"}}, "recipe.model.architecture.solver"),
        ({"architecture": {**DEQ, "evaluations": 0}}, "recipe.model.architecture.evaluations"),
        ({"architecture": {**DEQ, "depth": 3}}, "recipe.model.architecture.depth"),
        ({"config": {**SHALLOW, "model_type": "gpt2"}}, "recipe.model.architecture"),
    ],
)
def test_what_does_not_fit_is_rejected(model: dict[str, Any], field: str) -> None:
    task = "causal_lm" if "config" in model else "masked_lm"
    stage = {**STAGE, "method": task}
    with pytest.raises(RecipeError) as rejected:
        parse_recipe(text_recipe(task, stage, model={**MODEL, **model}))
    assert rejected.value.errors[0].field == field, rejected.value.errors


def test_a_training_counts_evaluations_products_and_its_own_vocabulary(tmp_path: Path) -> None:
    text_files(tmp_path)
    described = text_recipe("masked_lm", STAGE, model=MODEL, data={"block_size": 16})
    reporter = carry_out(tmp_path, described)
    vocabulary = AutoConfig.from_pretrained(tmp_path / "work" / "stage-00" / "model").vocab_size
    wide, inner, length, rows = 16, 24, 16, 4 * 8
    weights, mixing = 2 * length * (4 * wide**2 + 2 * wide * inner), 4 * length**2 * wide
    head = 2 * length * (wide**2 + wide * vocabulary)
    layers = (3 + 1 + 2) * (weights + mixing) + 2 * (weights + 2 * mixing)
    (count,) = reporter.of("flops")[-1:]
    assert count["dense"] == rows * (layers + 3 * head)
