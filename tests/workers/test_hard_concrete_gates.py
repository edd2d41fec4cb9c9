"""Hard-concrete gates against the authors' values, on a model, and what they choose to cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertForQuestionAnswering, PreTrainedModel

from workers.methods.qa import (
    BETA,
    GAMMA,
    ZETA,
    Gates,
    choose,
    gains,
    gate_at_test,
    initial_log_alpha,
    open_probability,
    probability_up_to,
    random_scores,
    sampled_gate,
)
from workers.training.cost.flops import FlopProfile
from workers.training.plugin import BatchPlace
from workers.training.structured.units import Units, cut, scale_units, units_of

CASES = json.loads((Path(__file__).parents[1] / "data/golden/hard_concrete.json").read_text())[
    "cases"
]
LOG_ALPHA = torch.tensor(CASES["inputs"]["log_alpha"], dtype=torch.float64)
UNIFORMS = CASES["inputs"]["u"]
MIDPOINTS = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000


def golden(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def close(ours: torch.Tensor, values: Any, rtol: float = 1e-5) -> None:
    torch.testing.assert_close(ours, golden(values), rtol=rtol, atol=1e-12)


def test_gates_are_sampled_as_in_the_authors_code() -> None:
    assert len(UNIFORMS) == len(CASES["sampled_gate_by_u"])
    for u, row in zip(UNIFORMS, CASES["sampled_gate_by_u"], strict=True):
        close(sampled_gate(LOG_ALPHA, torch.full_like(LOG_ALPHA, u)), row)


def test_the_gate_at_test_has_no_temperature() -> None:
    close(gate_at_test(LOG_ALPHA), CASES["test_gate"])
    with_temperature = (torch.sigmoid(LOG_ALPHA / BETA) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
    assert not torch.allclose(gate_at_test(LOG_ALPHA), with_temperature)


def test_probabilities_of_gates() -> None:
    close(open_probability(LOG_ALPHA), CASES["p_open"])
    close(open_probability(LOG_ALPHA), CASES["penalty_per_gate"])
    close(probability_up_to(LOG_ALPHA, 0), CASES["p_exactly_zero"])
    close(1 - probability_up_to(LOG_ALPHA, 1), CASES["p_exactly_one"])
    mean = torch.tensor(CASES["hf_regularisation_mean_of_gates"], dtype=torch.float64)
    torch.testing.assert_close(open_probability(LOG_ALPHA).mean(), mean, rtol=1e-9, atol=0)


def test_the_mean_gate_is_the_integral_over_its_noise() -> None:
    drawn = sampled_gate(LOG_ALPHA.unsqueeze(1), MIDPOINTS)
    close(drawn.mean(1), CASES["expected_gate"])


def test_the_penalty_and_its_gradient() -> None:
    case = CASES["amlab_L0Dense_in8_out3"]
    log_alpha = LOG_ALPHA.clone().requires_grad_()
    penalty = case["lamba"] * 3 * open_probability(log_alpha).sum()  # each gate has 3 weights
    (gradient,) = torch.autograd.grad(penalty, log_alpha)
    assert penalty.item() == pytest.approx(case["penalty"], rel=1e-9)
    close(gradient, case["grad_log_alpha"])


def test_first_values_of_log_alpha() -> None:
    case = CASES["init_log_alpha_for_droprate"]
    assert initial_log_alpha(0.5) == case["r_5"]
    assert initial_log_alpha(0.2) == pytest.approx(case["r_2"], rel=1e-12)
    scale = golden(case["hf_mask_scale"])
    assert gate_at_test(scale).item() == pytest.approx(case["hf_mask_scale_gate"], rel=1e-12)
    assert initial_log_alpha(0.1) == pytest.approx(case["hf_mask_scale"], abs=5e-4)


@settings(deadline=None, max_examples=40)
@given(st.floats(-6, 6))
def test_probabilities_are_shares_of_the_noise(log_alpha: float) -> None:
    alpha = torch.tensor(log_alpha, dtype=torch.float64)
    drawn = sampled_gate(alpha, MIDPOINTS)
    assert (drawn > 0).double().mean().item() == pytest.approx(
        open_probability(alpha).item(), abs=2e-4
    )
    assert (drawn == 1).double().mean().item() == pytest.approx(
        1 - probability_up_to(alpha, 1).item(), abs=2e-4
    )
    assert bool((drawn.diff() >= 0).all())


def test_extreme_noise_gives_finite_gradients() -> None:
    log_alpha = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    for u in (0.0, 1e-6, 1 - 1e-6):
        drawn = sampled_gate(log_alpha, torch.full((3,), u)).sum()
        (gradient,) = torch.autograd.grad(drawn, log_alpha)
        assert bool(gradient.isfinite().all())


# ---- gates on a model ----

HEADS, INNER, LAYERS = 4, 10, 2


def network() -> BertForQuestionAnswering:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        intermediate_size=INNER, max_position_embeddings=40, initializer_range=0.4,
    )  # fmt: skip
    model = BertForQuestionAnswering(config).double()
    model.train(False)
    return model


TOKENS = torch.randint(5, 60, (6, 8), generator=torch.Generator().manual_seed(2))
ANSWERS = torch.tensor([[1, 2], [0, 5], [3, 3], [6, 7], [2, 4], [1, 1]])


def logits(model: PreTrainedModel, rows: slice = slice(None)) -> torch.Tensor:
    outputs = model(input_ids=TOKENS[rows])
    return torch.stack([outputs.start_logits, outputs.end_logits])


def losses(model: PreTrainedModel, size: int) -> Iterator[Callable[[], torch.Tensor]]:
    for start in range(0, len(TOKENS), size):
        rows = slice(start, start + size)

        def loss(rows: slice = rows) -> torch.Tensor:
            two = logits(model, rows)
            ends = ANSWERS[rows].T
            each = torch.nn.functional.cross_entropy(
                two.flatten(0, 1), ends.flatten(), reduction="sum"
            )
            return each / 2

        yield loss


COUNTS = FlopProfile(square=0, linear=10, fixed=0, method="test")


def gates_on(model: PreTrainedModel, **options: Any) -> Gates:
    wanted = {"learning_rate": 0.1, "drop_rate": 0.1, "frozen": True, "profile": COUNTS}
    return Gates(("heads", "neurons"), **{**wanted, **options})


@pytest.mark.parametrize("size", [1, 4, 6])
def test_gains_are_means_over_examples_of_the_gates_derivatives(size: int) -> None:
    """Against differences of the loss with a gate that is a little less than 1."""
    model, step = network(), 1e-6
    mean_gains = gains(model, losses(model, size))
    for part, layer, unit in (("heads", 0, 2), ("heads", 1, 3), ("neurons", 0, 7)):
        factors = {
            "heads": [[1.0] * HEADS for _ in range(LAYERS)],
            "neurons": [[1.0] * INNER for _ in range(LAYERS)],
        }
        factors[part][layer][unit] -= step
        other = network()
        scale_units(other, factors["heads"], factors["neurons"])
        with torch.no_grad():
            before = [one().item() for one in losses(model, 1)]
            after = [one().item() for one in losses(other, 1)]
        expected = sum(abs(a - b) for a, b in zip(after, before, strict=True)) / step / 6
        assert mean_gains[part][layer][unit] == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert {part: [len(layer) for layer in layers] for part, layers in mean_gains.items()} == {
        "heads": [HEADS] * LAYERS,
        "neurons": [INNER] * LAYERS,
    }
    assert all(not module._forward_pre_hooks for module in model.modules())


def test_the_cut_model_computes_what_the_gated_one_does_at_test() -> None:
    model, plain = network(), network()
    gates = gates_on(model)
    gates.attach(model)
    with torch.no_grad():
        for parameter in (*gates.parameters("heads"), *gates.parameters("neurons")):
            parameter.copy_(torch.linspace(-4, 3, len(parameter)))
        gated = logits(model)
    gates.detach(model)
    assert dict(model.named_parameters()).keys() == dict(plain.named_parameters()).keys()
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        assert torch.equal(logits(model), logits(plain))
    learned = {part: [one.tolist() for one in each] for part, each in gates.log_alpha.items()}
    before = units_of(model)
    choice = choose(before, learned, {"heads": None, "neurons": None})
    cut(model, before, choice.units)
    scale_units(model, choice.factors["heads"], choice.factors["neurons"])
    assert choice.units.counts() < before.counts()
    with torch.no_grad():
        torch.testing.assert_close(logits(model), gated, rtol=1e-6, atol=1e-7)


def test_draws_are_the_same_on_all_ranks_and_new_in_each_batch() -> None:
    model = network().train()
    gates = gates_on(model, drop_rate=0.5)
    gates.attach(model)
    batch = {"input_ids": TOKENS}

    def drawn(step: int, rank: int) -> torch.Tensor:
        gates.change_batch(batch, BatchPlace(step, 0, rank, 7))
        torch.manual_seed(0)  # dropout
        return logits(model)

    assert torch.equal(drawn(3, 0), drawn(3, 1))
    assert not torch.equal(drawn(3, 0), drawn(4, 0))
    gradients = torch.autograd.grad(drawn(5, 0).sum(), gates.parameters("heads"))
    assert all(bool(gradient.any()) for gradient in gradients)
    assert all(not parameter.requires_grad for parameter in model.bert.embeddings.parameters())


units = Units([[0, 1, 2], [0, 1, 2]], [[0, 1, 2, 3], [0, 1, 2, 3]])


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 50))
def test_a_share_removes_that_number_and_leaves_one_in_each_layer(
    heads: float, neurons: float, seed: int
) -> None:
    choice = choose(units, random_scores(units, seed), {"heads": heads, "neurons": neurons})
    left = choice.units.counts()
    assert left == (max(6 - int(heads * 6 + 1e-9), 2), max(8 - int(neurons * 8 + 1e-9), 2))
    assert all(choice.units.heads) and all(choice.units.neurons)  # noqa: PT018
    assert choice.factors == {}


def test_closed_gates_leave_and_the_best_of_a_layer_stays() -> None:
    scores = {"heads": [[-5.0, -4.0, -6.0], [3.0, -9.0, 0.0]]}
    choice = choose(units, scores, {"heads": None, "neurons": 0})
    assert choice.units == Units([[1], [0, 2]], units.neurons)
    assert choice.factors == {"heads": [[0.0], [1.0, pytest.approx(0.5)]]}
