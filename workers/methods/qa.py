"""Gates of heads and neurons: at random, by their gradient, or hard-concrete with an L0 penalty.

Source: McCarley, Chakravarti, Sil 2019, Structured Pruning of a BERT-based Question Answering
Model, arXiv:1910.06360; Louizos, Welling, Kingma 2018, Learning Sparse Neural Networks through L0
Regularization, arXiv:1712.01312.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pricetag.recipes.methods.prune_qa import PruneQa
from pricetag.recipes.pruning import units_removed
from workers.training.cost.flops import FlopProfile
from workers.training.finetune import model_profile
from workers.training.fit import Outcome
from workers.training.forward_pass import ForwardPass
from workers.training.plugin import BatchPlace, LossTerm, ParameterGroup, Plugin
from workers.training.rounds import Round
from workers.training.structured.checks import require_share
from workers.training.structured.gate_pass import gate_pass_flops
from workers.training.structured.places import PARTS, Place, places
from workers.training.structured.stage import Choice, Scores, UnitStage
from workers.training.structured.units import Units, without_least

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
SMALLEST = 1e-6


def sampled_gate(log_alpha: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """z = clamp(sigmoid((log u - log(1 - u) + log alpha) / beta)(zeta - gamma) + gamma, 0, 1).

    Args:
        log_alpha: Parameter of each gate, ``[gates]``.
        uniform: u of each gate, between 0 and 1, ``[gates]``.

    Source: Louizos et al. 2018, equations 10 and 11.
    """
    noise = uniform.log() - (-uniform).log1p()
    stretched = torch.sigmoid((noise + log_alpha) / BETA) * (ZETA - GAMMA) + GAMMA
    return stretched.clamp(0, 1)


def gate_at_test(log_alpha: torch.Tensor) -> torch.Tensor:
    """z = clamp(sigmoid(log alpha)(zeta - gamma) + gamma, 0, 1), without beta.

    Source: Louizos et al. 2018, equation 13.
    """
    return (torch.sigmoid(log_alpha) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def probability_up_to(log_alpha: torch.Tensor, value: float) -> torch.Tensor:
    """P(s <= value) of the stretched variable before the clamp.

    So ``probability_up_to(log_alpha, 0)`` is P(z = 0), and 1 - ``probability_up_to(log_alpha, 1)``
    is P(z = 1).

    Args:
        log_alpha: Parameter of each gate.
        value: A number between gamma and zeta.

    Source: Louizos et al. 2018, appendix A.
    """
    return torch.sigmoid(BETA * math.log((value - GAMMA) / (ZETA - value)) - log_alpha)


def open_probability(log_alpha: torch.Tensor) -> torch.Tensor:
    """P(z > 0) = sigmoid(log alpha - beta log(-gamma / zeta)), of each gate.

    Source: Louizos et al. 2018, equation 12.
    """
    return torch.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))


def initial_log_alpha(drop_rate: float) -> float:
    """log alpha = log(1 - r) - log(r).

    Args:
        drop_rate: r.

    Source: the code of Louizos et al. 2018, ``l0_layers.py``.
    """
    return math.log(1 - drop_rate) - math.log(drop_rate)


class Gates(Plugin):
    """Hard-concrete gates on heads and neurons, the same draws on all ranks.

    They multiply the inputs of ``attention.output.dense`` and ``output.dense``. After training
    ``log_alpha`` has their parameters.

    Args:
        parts: ``heads``, ``neurons`` or both.
        learning_rate: Peak learning rate of log(alpha).
        drop_rate: See ``initial_log_alpha``.
        frozen: Whether the model's weights are not trained.
        profile: Operations of the model, before the gates are attached.
    """

    def __init__(
        self,
        parts: Sequence[str],
        *,
        learning_rate: float,
        drop_rate: float,
        frozen: bool,
        profile: FlopProfile,
    ) -> None:
        self._parts = parts
        self._learning_rate, self._start = learning_rate, initial_log_alpha(drop_rate)
        self._is_frozen, self._profile = frozen, profile
        self._model: PreTrainedModel | None = None
        self._places: list[Place] = []
        self._uniforms: list[torch.Tensor] = []
        self._hooks: list[Any] = []
        self._frozen: list[nn.Parameter] = []
        self.log_alpha: dict[str, list[torch.Tensor]] = {}

    def attach(self, model: nn.Module) -> None:
        """Add the gates to the model, and freeze its weights if requested."""
        assert isinstance(model, PreTrainedModel)
        self._model = model
        if self._is_frozen:
            self._frozen = [each for each in model.parameters() if each.requires_grad]
            for parameter in self._frozen:
                parameter.requires_grad_(False)
        self._places = [place for place in places(model) if place.part in self._parts]
        for number, place in enumerate(self._places):
            start = torch.full((place.units,), self._start, device=place.module.weight.device)
            place.module.register_parameter("log_alpha", nn.Parameter(start))
            hook = self._multiplying(number, place)
            self._hooks.append(place.module.register_forward_pre_hook(hook))

    def _multiplying(
        self, number: int, place: Place
    ) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
        def multiply(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            if module.training and self._uniforms:
                gate = sampled_gate(module.log_alpha, self._uniforms[number])
            else:
                gate = gate_at_test(module.log_alpha)
            wide = gate.to(inputs[0].dtype).repeat_interleave(place.width)
            return (inputs[0] * wide, *inputs[1:])

        return multiply

    def parameters(self, part: str) -> list[nn.Parameter]:
        """log(alpha) of each layer's gates of a part, while the gates are attached."""
        return [place.module.log_alpha for place in self._places if place.part == part]

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """The gates, without weight decay."""
        everything = [place.module.log_alpha for place in self._places]
        return [ParameterGroup(everything, self._learning_rate, 0.0)]

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """Draw the gates of this pass; the batch does not change."""
        generator = replace(place, rank=0).generator("hard-concrete")
        device = batch["input_ids"].device
        self._uniforms = [
            torch.rand(each.units, generator=generator).clamp(SMALLEST, 1 - SMALLEST).to(device)
            for each in self._places
        ]
        return batch

    def extra_flops(self, rows: int, width: int) -> float:
        """Operations that a backward pass to the gates alone saves (negative)."""
        return self.extra_effective_flops(rows, width, 1.0)

    def extra_effective_flops(self, rows: int, width: int, density: float) -> float:
        """The same without the zeros of the encoder."""
        if not self._is_frozen:
            return 0.0
        assert self._model is not None
        gated = gate_pass_flops(self._model, self._profile, width, density, self._parts)
        return rows * (gated - self._profile.training(width, density))

    def detach(self, model: nn.Module) -> None:
        """Take the gates out of the model; their parameters remain in ``log_alpha``."""
        self._model = None
        for hook in self._hooks:
            hook.remove()
        for place in self._places:
            value = place.module.log_alpha.detach().cpu()
            self.log_alpha.setdefault(place.part, []).append(value)
            del place.module.log_alpha
        for parameter in self._frozen:
            parameter.requires_grad_(True)


class GatePenalty(LossTerm):
    """lambda * sum of P(z > 0) over the gates, with a lambda for each part.

    Args:
        gates: The gates.
        penalties: lambda by part.

    Source: McCarley et al. 2019, section 3; Louizos et al. 2018, equation 12.
    """

    name = "gates"
    reads_logits = False

    def __init__(self, gates: Gates, penalties: Mapping[str, float]) -> None:
        self._gates, self._penalties = gates, penalties

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        terms = [
            penalty * open_probability(log_alpha).sum()
            for part, penalty in self._penalties.items()
            for log_alpha in self._gates.parameters(part)
        ]
        return torch.stack(terms).sum()


def gains(model: PreTrainedModel, losses: Iterable[Callable[[], torch.Tensor]]) -> Scores:
    """The mean over the examples of |dL / dgate| with gates of 1, for heads and neurons.

    Args:
        model: A BERT-shaped model, without dropout.
        losses: For each batch a function that returns the sum of its examples' losses.

    Source: McCarley et al. 2019, section 3; Michel et al. 2019, equation 2, arXiv:1905.10650.
    """
    everywhere = places(model)
    sums = [torch.zeros(place.units, dtype=torch.float64) for place in everywhere]
    examples = 0
    for loss in losses:
        gates: dict[int, torch.Tensor] = {}
        hooks = [
            place.module.register_forward_pre_hook(_opening(gates, number, place))
            for number, place in enumerate(everywhere)
        ]
        try:
            value = loss()
        finally:
            for hook in hooks:
                hook.remove()
        gradients = torch.autograd.grad(value, [gates[n] for n in range(len(everywhere))])
        for total, gradient in zip(sums, gradients, strict=True):
            total += gradient.abs().double().sum((0, 1)).cpu()
        examples += len(gradients[0])
    by_part: dict[str, list[list[float]]] = {}
    for place, total in zip(everywhere, sums, strict=True):
        by_part.setdefault(place.part, []).append((total / max(examples, 1)).tolist())
    return by_part


def _opening(
    gates: dict[int, torch.Tensor], number: int, place: Place
) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...]]:
    """A hook that multiplies a module's input by gates of 1, ``[batch, 1, units]``."""

    def multiply(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        states = inputs[0]
        shape = (len(states), 1, place.units)
        gate = torch.ones(shape, dtype=states.dtype, device=states.device, requires_grad=True)
        gates[number] = gate
        return (states * gate.repeat_interleave(place.width, dim=-1), *inputs[1:])

    return multiply


def random_scores(units: Units, seed: int) -> Scores:
    """A random number from 0 to 1 for each head and each neuron.

    Args:
        units: The units of each layer.
        seed: Seed of the stage.

    Source: McCarley et al. 2019, section 3, the control.
    """
    generator = torch.Generator().manual_seed(seed)
    return {
        part: [torch.rand(len(layer), generator=generator).tolist() for layer in layers]
        for part, layers in units.as_json().items()
    }


def choose(units: Units, scores: Scores, shares: Mapping[str, float | None]) -> Choice:
    """The units that remain by their scores, one of each in every layer.

    Args:
        units: The units of each layer.
        scores: Scores of each part's units; of log(alpha) where a share is None.
        shares: Share of each part's units to remove. None: those whose gate at test is 0; the
            others are then multiplied by their gate.
    """
    remaining = units.as_json()
    factors: dict[str, list[list[float]]] = {}
    for part, before in units.as_json().items():
        if part not in scores or shares[part] == 0:
            continue
        share = shares[part]
        if share is not None:
            count = units_removed(share, sum(map(len, before)))
            remaining[part] = without_least(before, scores[part], count)
            continue
        remaining[part], factors[part] = [], []
        for units_of_layer, log_alpha in zip(before, scores[part], strict=True):
            left = _open(log_alpha)
            remaining[part].append([units_of_layer[number] for number in left])
            factors[part].append([left[number] for number in left])
    return Choice(Units(remaining["heads"], remaining["neurons"]), factors)


def _open(log_alpha: Sequence[float]) -> dict[int, float]:
    """The gates of a layer that are open at test, by number; the widest one if none is."""
    gates = gate_at_test(torch.tensor(log_alpha, dtype=torch.float64)).tolist()
    widest = max(range(len(gates)), key=lambda number: (log_alpha[number], -number))
    return {n: gate for n, gate in enumerate(gates) if gate > 0 or (not any(gates) and n == widest)}


def criterion(
    params: PruneQa, stage: UnitStage
) -> tuple[Callable[[], Choice], Callable[[Round], Outcome] | None]:
    """How the stage chooses its units, and the training of the gates before, if there is one.

    Args:
        params: The stage's options.
        stage: The stage.

    Raises:
        JobError: ``wrong-share-of-units``.
    """
    for part, before in stage.units.as_json().items():
        require_share(stage.context, part, getattr(params, part), before)
    if params.criterion == "l0":
        return _by_gates(params, stage)
    shares = {"heads": params.heads or 0.0, "neurons": params.neurons or 0.0}

    def scores() -> Scores:
        if params.criterion == "random":
            return random_scores(stage.units, params.seed)
        return gains(stage.loaded.model, stage.batch_losses(params))

    return lambda: choose(stage.units, scores(), shares), None


def _by_gates(
    params: PruneQa, stage: UnitStage
) -> tuple[Callable[[], Choice], Callable[[Round], Outcome]]:
    shares = {"heads": params.heads, "neurons": params.neurons}
    gates = Gates(
        [part for part in PARTS if shares[part] != 0],
        learning_rate=params.rate_of_gates,
        drop_rate=params.first_drop_rate,
        frozen=not params.train_weights,
        profile=model_profile(stage.context, stage.loaded),
    )
    penalty = GatePenalty(gates, params.penalties)

    def train(round_: Round) -> Outcome:
        return stage.train(round_, params.epochs_of_gates, [penalty], [gates])

    def choice() -> Choice:
        learned = {part: [of.tolist() for of in each] for part, each in gates.log_alpha.items()}
        return choose(stage.units, learned, shares)

    return choice, train
