"""Group lasso over neurons and heads: the authors' arithmetic, slicing, resumption and counts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from pricetag.accounting.work.flops import EncoderShape, encoder_layer_flops, linear_flops
from pricetag.recipes import parse_recipe
from pricetag.recipes.errors import RecipeError
from tests.support.halves import assert_same_weights, in_halves, made_by
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, TRAIN, carry_out, counted_once, data_set, recipe
from workers.job.reporter import JobError
from workers.methods.group_lasso import (
    GroupLasso,
    ShrinkGroups,
    kept_groups,
    norms_of,
    penalty,
    shrink,
    surviving,
)
from workers.training.formats import registry
from workers.training.formats.profile import profile
from workers.training.formats.sliced import layer_sizes
from workers.training.forward_pass import ForwardPass
from workers.training.plugin import Step
from workers.training.structured.groups import group_norms, groups_of
from workers.training.structured.units import cut, units_of

GOLDEN = Path(__file__).parents[1] / "data/golden/group_lasso_morphnet.json"
CASE = json.loads(GOLDEN.read_text())["cases"]["dodge"]
SMALL = {**CONFIG, "num_hidden_layers": 2, "num_attention_heads": 4}
LASSO = {**TRAIN, "kind": "prune", "method": "group_lasso", "precision": "fp32", "evaluate": False}
BOTH: Any = ("neurons", "heads")


def golden(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(values: torch.Tensor, expected: Any) -> None:
    torch.testing.assert_close(values.detach(), golden(expected), rtol=1e-9, atol=1e-14)


def content() -> torch.Tensor:
    """The golden groups as ``[automata, states, weights]``."""
    return golden(CASE["W"]).movedim(0, -1)


# ---- the authors' arithmetic ----


def test_norms_penalty_and_gradient_are_those_of_the_authors() -> None:
    weights = content().requires_grad_()
    norms = group_norms([weights], axes=2)
    close(norms, CASE["norms"])
    total = penalty(norms)
    close(total, CASE["penalty_sum"])
    (gradient,) = torch.autograd.grad(CASE["lam"] * total, weights)
    close(gradient.movedim(-1, 0), CASE["grad"])


def test_the_proximal_step_is_that_of_the_authors() -> None:
    (shorter,) = shrink([content()], CASE["lam"], axes=2)
    close(shorter.movedim(-1, 0), CASE["prox_step"])
    assert int((shorter == 0).all(-1).sum()) == CASE["groups_zeroed"]


def test_states_stay_above_the_threshold_if_all_before_them_do() -> None:
    norms = golden(CASE["norms"])
    assert surviving(norms, 0.1).long().tolist() == CASE["above_threshold"]
    assert surviving(norms, 0.1, chained=True).long().tolist() == CASE["above_threshold"]
    broken = golden([[0.2, 0.05, 0.3, 0.1], [0.1, 0.2, 0.2, 0.2]])
    assert surviving(broken, 0.1).long().tolist() == [[1, 0, 1, 0], [0, 1, 1, 1]]
    assert surviving(broken, 0.1, chained=True).long().tolist() == [[1, 0, 0, 0], [0, 0, 0, 0]]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(-2, 2), min_size=3, max_size=3), min_size=1, max_size=5),
    st.floats(0, 2),
)
def test_the_proximal_step_minimizes_its_objective(
    groups: list[list[float]], threshold: float
) -> None:
    weights = golden(groups)
    (shorter,) = shrink([weights], threshold)
    assert bool(torch.isfinite(shorter).all())
    expected = (group_norms([weights]) - threshold).clamp(min=0)
    torch.testing.assert_close(group_norms([shorter]), expected, rtol=1e-9, atol=1e-9)
    # At the minimum of |x - w|^2 / 2 + threshold * |x|, a nonzero x has x - w + t * x / |x| = 0.
    for new, old in zip(shorter, weights, strict=True):
        if new.norm() > 1e-6:
            torch.testing.assert_close(new + threshold * new / new.norm(), old)


def test_a_group_of_zeros_has_no_gradient() -> None:
    weights = torch.zeros(2, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(group_norms([weights]).sum(), weights)
    assert gradient.tolist() == [[0.0] * 3] * 2


# ---- groups of a model ----


def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {**SMALL, "hidden_dropout_prob": 0.0}
    made = BertForSequenceClassification(BertConfig(**sizes))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_()
    made.train(False)
    return made


def test_a_group_is_all_the_weights_of_a_neuron_or_a_head() -> None:
    model = network()
    layer: Any = model.bert.encoder.layer[1]
    norms = norms_of(model, BOTH)[1]
    first, second = layer.intermediate.dense, layer.output.dense
    brute = torch.cat([first.weight[5], first.bias[5:6], second.weight[:, 5]]).norm()
    torch.testing.assert_close(norms["neurons"][5], brute.detach())
    own, out = layer.attention.self, layer.attention.output.dense
    rows = slice(16, 24)  # the third head
    parts = [part for m in (own.query, own.key, own.value) for part in (m.weight, m.bias)]
    brute = torch.cat([*(part[rows].flatten() for part in parts), out.weight[:, rows].flatten()])
    torch.testing.assert_close(norms["heads"][2], brute.detach().norm())
    assert [len(norms[kind]) for kind in BOTH] == [64, 4]


def test_a_group_of_norm_zero_can_leave_without_a_change_of_the_model() -> None:
    model = network()
    ids = torch.arange(5, 25).view(2, 10)
    with torch.no_grad():
        for group, number in (("neurons", 7), ("heads", 1)):
            for tensor in groups_of(model, BOTH)[0][group].tensors:  # type: ignore[index]
                tensor[number] = 0
        before = model(input_ids=ids).logits
    kept = kept_groups(model, norms_of(model, BOTH), 1e-6)
    assert kept.heads == [[0, 2, 3], [0, 1, 2, 3]]
    assert kept.neurons == [[n for n in range(64) if n != 7], list(range(64))]
    cut(model, units_of(model), kept)
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=ids).logits, before, rtol=1e-4, atol=1e-5)


def test_the_largest_group_of_a_layer_always_stays() -> None:
    model = network()
    norms = norms_of(model, BOTH)
    for kind, numbers in kept_groups(model, norms, 1e6).as_json().items():
        assert numbers == [[int(of[kind].argmax())] for of in norms]  # type: ignore[index]


def test_the_term_has_the_gradient_of_each_groups_norm() -> None:
    model = network()
    term = GroupLasso(1.0, BOTH)
    term.attach(model)
    value = term.value(ForwardPass(nn.Module(), None, {}, {}))
    norms = norms_of(model, BOTH)
    expected = sum(float(values.sum()) for layer in norms for values in layer.values())
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)
    weight: Any = model.get_parameter("bert.encoder.layer.0.output.dense.weight")
    (gradient,) = torch.autograd.grad(value, weight)
    torch.testing.assert_close(gradient, weight.detach() / norms[0]["neurons"])


def test_the_proximal_plugin_shortens_every_group() -> None:
    model = network()
    before = norms_of(model, BOTH)
    step = ShrinkGroups(0.25, BOTH)
    step.attach(model)
    step.after_step(Step(1, 4, 0.0))
    for old, new in zip(before, norms_of(model, BOTH), strict=True):
        for kind, values in old.items():
            torch.testing.assert_close(new[kind], (values - 0.25).clamp(min=0))


# ---- stages ----

ONE_BY_ONE = {
    **{name: value for name, value in LASSO.items() if name != "max_steps"},
    **{"solver": "proximal", "penalty": 0.002, "batch_size": 1, "recovery_epochs": 1.0},
}


@pytest.fixture(scope="module")
def shrunk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecordingReporter]:
    """A model from whose layers the proximal steps and the threshold have removed groups."""
    root = data_set(tmp_path_factory.mktemp("lasso"), train=32)
    with counted_once():
        return root, carry_out(root, recipe(ONE_BY_ONE, model={"config": SMALL}))


def test_small_groups_are_cut_out_and_counted_in_closed_form(
    shrunk: tuple[Path, RecordingReporter],
) -> None:
    root, reporter = shrunk
    model = registry.load(made_by(root))
    sizes = [layer_sizes(model, number) for number in range(2)]
    neurons = sum(size[1] for size in sizes)
    assert 2 <= neurons < 128
    assert reporter.of("metric", name="neurons_left")[-1]["value"] == neurons
    assert reporter.of("metric", name="heads_left")[-1]["value"] == sum(s[0] for s in sizes)
    counts, length = profile(model), 20
    layers = [
        encoder_layer_flops(EncoderShape(1, 32, neurons, heads * 8), length)
        for heads, neurons in sizes
    ]
    head = linear_flops(1, 32, 32) + linear_flops(1, 32, 2)
    assert counts.flops_per_sequence(length) == sum(layers) + head


def test_training_counts_the_whole_model_and_then_its_remaining_part(
    shrunk: tuple[Path, RecordingReporter],
) -> None:
    root, reporter = shrunk
    small = registry.load(made_by(root))
    whole = registry.skeleton(small.config, {})
    tokenizer = AutoTokenizer.from_pretrained(made_by(root))
    rows = (root / "data/train.tsv").read_text().splitlines()[1:]
    lengths = [len(tokenizer(row.split("\t")[0]).input_ids) for row in rows]
    expected = sum(
        3 * counts.flops_per_sequence(length)
        for counts in (profile(whole), profile(small))
        for length in lengths
    )
    flops = reporter.of("flops")[-1]
    assert flops["dense"] == pytest.approx(expected, rel=1e-9)
    assert "the proximal step of the groups" in flops["uncounted"]


def test_the_penalty_in_the_loss_shrinks_groups(tmp_path: Path) -> None:
    data_set(tmp_path)
    options = {"penalty": 1.0, "threshold": 1e-6, "groups": "neurons", "recovery_epochs": 0.2}
    described = recipe({**LASSO, **options}, model={"config": SMALL})
    with counted_once():
        reporter = carry_out(tmp_path, described)
    losses = [event["value"] for event in reporter.of("metric", name="loss_groups")]
    assert losses[-1] < losses[0] or len(losses) == 1
    assert reporter.of("metric", name="heads_left")[-1]["value"] == 8
    assert "the penalty of the groups" in reporter.of("flops")[-1]["uncounted"]


def test_a_stage_interrupted_after_the_cut_ends_at_the_same_weights(
    shrunk: tuple[Path, RecordingReporter], tmp_path: Path
) -> None:
    root, _ = shrunk
    described = recipe(ONE_BY_ONE, model={"config": SMALL})
    second = in_halves(tmp_path, described, 50, data_roots=[root])
    logs = [event["text"] for event in second.of("log")]
    assert any("finished in an earlier attempt" in text for text in logs)
    assert_same_weights(root, tmp_path)


def test_a_model_whose_layers_have_no_groups_of_their_own_is_rejected(tmp_path: Path) -> None:
    data_set(tmp_path)
    share = {"kind": "share", "method": "albert", "embedding_size": 16, "max_steps": 1}
    with counted_once():
        carry_out(tmp_path, recipe({**share, "evaluate": False}, model={"config": SMALL}))
    made_by(tmp_path).rename(tmp_path / "shared")
    described = recipe({"kind": "measure"}, LASSO, model="shared")
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path / "next", described, data_roots=[tmp_path])
    refused = caught.value.code, caught.value.field
    assert refused == ("heads-not-removable", "recipe.stages.1.kind")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"penalty": 0.0}, "penalty"),
        ({"threshold": -1.0}, "threshold"),
        ({"groups": "layers"}, "groups"),
        ({"solver": "adam"}, "solver"),
        ({"recovery_epochs": 0.0}, "recovery_epochs"),
        ({"sparsity": 0.5}, "sparsity"),
    ],
)
def test_options_out_of_range_are_rejected(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(recipe({**LASSO, **changes}, model={"config": SMALL}))
    assert caught.value.field == f"recipe.stages.0.{field}"
