"""MobileBERT: a thin student learns its teacher's layers one after another, then its words.

Source: Sun, Yu, Song, Liu, Yang, Zhou 2020, MobileBERT: a Compact Task-Agnostic BERT for
Resource-Limited Devices, arXiv:2004.02984.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    MobileBertConfig,
    MobileBertForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from pricetag.recipes.methods.distill_mobilebert import DistillMobilebert
from pricetag.recipes.shapes import MisfitError, stored_shape
from workers.job.request import JobError
from workers.training.cost.flops import FlopProfile
from workers.training.fit import Horizon
from workers.training.forward_pass import ForwardPass
from workers.training.model.loaded import Loaded
from workers.training.model.recording import Needs, encoder_layers
from workers.training.phases import Phase
from workers.training.plugin import LossTerm, ParameterGroup
from workers.training.teacher import Teacher

IN_PHASE, AFTER_PHASE = 3.0, 0.3
EPSILON = 1e-12


def feature_map_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of one layer's states, each normalized without parameters.

    Args:
        student: States ``[batch, seq, hidden]``.
        teacher: States of the same shape.

    Source: Sun et al. 2020, equation 2 and section 3.5 (layer normalization: released code).
    """
    shape = student.shape[-1:]
    own, theirs = (
        functional.layer_norm(states, shape, eps=EPSILON) for states in (student, teacher)
    )
    return functional.mse_loss(own, theirs)


def attention_map_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of one layer's attention, mean over batch, heads and queries.

    Args:
        student: Scores before the softmax, masked ``[batch, heads, seq, seq]``.
        teacher: Scores of the same shape.

    Source: Sun et al. 2020, equation 3; the released code has the cross-entropy, which differs
    from the divergence by the teacher's entropy.
    """
    theirs = functional.softmax(teacher, dim=-1)
    logs = functional.log_softmax(student, dim=-1)
    # A masked column has probability 0 and, in exact arithmetic, the logarithm -inf.
    return -torch.where(theirs > 0, theirs * logs, 0.0).sum(-1).mean()


def layer_rate(layer: int, step: int, steps_per_phase: int, background: float = 1.0) -> float:
    """Factor of a layer's learning rate: 0 before its phase, 3 in it, 0.3 after it.

    A phase excludes its first step and includes the one after its last, as in the released code.

    Args:
        layer: Number of the layer, from 0.
        step: Number of finished optimizer steps.
        steps_per_phase: Length of a phase.
        background: Factor of all layers.

    Source: Sun et al. 2020, section 3.5, progressive knowledge transfer; released code.
    """
    if step <= layer * steps_per_phase:
        return 0.0
    in_phase = step <= (layer + 1) * steps_per_phase
    return background * (IN_PHASE if in_phase else AFTER_PHASE)


def layer_gate(layer: int, step: int, steps_per_phase: int, background: float = 1.0) -> float:
    """Factor of a layer's loss: 1 in its phase (with a background above 0.5), else 0.

    Args:
        layer: Number of the layer, from 0.
        step: Number of finished optimizer steps.
        steps_per_phase: Length of a phase.
        background: Factor of all layers' learning rates.

    Source: released code of Sun et al. 2020.
    """
    return float(layer_rate(layer, step, steps_per_phase, background) > IN_PHASE / 2)


def background_rate(done: int, steps: int) -> float:
    """Factor of all learning rates within a phase: a tenth of it up to 1, then down to 0.9.

    Args:
        done: Steps of the phase that are finished.
        steps: Length of the phase.

    Source: released code of Sun et al. 2020.
    """
    if steps <= 1:
        return 1.0
    left = 1 - min(done, steps) / steps
    return min(0.9 + 0.1 * math.sqrt(left), 10 * (1 - left))


class LayerTransfer(LossTerm):
    """One layer's feature map and attention; the layers above it are not computed.

    Args:
        teacher: The model that the student learns from, with as many layers and heads.
        layer: The layer, from 0.
        weights: Factors of feature map and attention.
        profiles: Operations of student and teacher.
    """

    name = "transfer"
    needs = Needs(hidden_states=True, attention_scores=True)
    reads_logits = False

    def __init__(
        self,
        teacher: Teacher,
        layer: int,
        weights: tuple[float, float],
        profiles: tuple[FlopProfile, FlopProfile],
    ) -> None:
        self.teacher = teacher
        self._layer = layer
        self._weights = weights
        self._profiles = profiles
        self._saved: list[tuple[float, float]] = []
        self._frozen: list[nn.Parameter] = []
        self._layers: list[nn.Module] = []

    def attach(self, model: nn.Module) -> None:
        """Skip and freeze the layers above."""
        assert self.teacher is not None
        both = model, self.teacher.model
        self._saved = [
            _per_layer(each, profile) for each, profile in zip(both, self._profiles, strict=True)
        ]
        self._layers = list(encoder_layers(model))
        for each in both:
            for layer in list(encoder_layers(each))[self._layer + 1 :]:
                layer.forward = MethodType(_pass_on, layer)
        above = self._layers[self._layer + 1 :]
        self._frozen = [p for layer in above for p in layer.parameters() if p.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    def detach(self, model: nn.Module) -> None:
        """Compute and train all layers again."""
        assert self.teacher is not None
        for each in (model, self.teacher.model):
            for layer in encoder_layers(each):
                layer.__dict__.pop("forward", None)
        for parameter in self._frozen:
            parameter.requires_grad_(True)

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """The layer with 3 times the learning rate, those below and the embeddings with 0.3."""
        own = self._layers[self._layer]
        upper = {id(p) for p in own.parameters()}
        base: Any = model.base_model
        below = [p for p in base.parameters() if p.requires_grad and id(p) not in upper]
        if self._layer == 0:  # the embeddings learn with the first layer
            return _groups([*below, *own.parameters()], IN_PHASE)
        return [*_groups(list(own.parameters()), IN_PHASE), *_groups(below, AFTER_PHASE)]

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        outputs = self.teacher.outputs(forward)
        states = forward.hidden_states[self._layer + 1], outputs.hidden_states[self._layer + 1]
        scores = forward.attention[self._layer].scores, outputs.attention[self._layer].scores
        assert scores[0] is not None
        assert scores[1] is not None
        feature, attention = self._weights
        loss = feature * feature_map_loss(states[0].float(), states[1].float())
        loss = loss + attention * attention_map_loss(scores[0].float(), scores[1].float())
        return loss / len(self._layers)

    def extra_flops(self, rows: int, width: int) -> float:
        """The layers above, which neither model computes."""
        above = len(self._layers) - self._layer - 1
        student, teacher = (width**2 * square + width * linear for square, linear in self._saved)
        return -rows * above * (3 * student + teacher)


def _pass_on(layer: nn.Module, hidden_states: torch.Tensor, *args: Any, **options: Any) -> Any:
    return hidden_states


def _groups(parameters: Sequence[nn.Parameter], factor: float) -> list[ParameterGroup]:
    """Parameters with a factor of the learning rate; only matrices decay."""

    def rate(done: int, total: int) -> float:
        return factor * background_rate(done + 1, total)  # the first step changes something too

    matrices = [parameter for parameter in parameters if parameter.dim() > 1]
    others = [parameter for parameter in parameters if parameter.dim() < 2]
    return [
        ParameterGroup(matrices, schedule=rate),
        ParameterGroup(others, weight_decay=0.0, schedule=rate),
    ]


def _per_layer(model: nn.Module, profile: FlopProfile) -> tuple[float, float]:
    """A layer's operations: those by squared length, and those by length."""
    layers = list(encoder_layers(model))
    inside = {id(module) for layer in layers for module in layer.modules()}
    base: Any = model.base_model
    outside = sum(
        2 * module.weight.numel()
        for name, module in base.named_modules()
        if isinstance(module, nn.Linear)
        and id(module) not in inside
        and not name.startswith("pooler")
    )
    return profile.square / len(layers), (profile.linear - outside) / len(layers)


def student_config(
    params: DistillMobilebert, field: str, teacher: PreTrainedConfig
) -> MobileBertConfig:
    """The student's shape: the teacher's depth, width and heads, with a bottleneck inside.

    Args:
        params: The stage's options.
        field: Field of the stage in messages.
        teacher: The teacher's shape.

    Raises:
        JobError: ``bad-student``.

    Source: Sun et al. 2020, table 1.
    """
    try:
        bottleneck, embedding = params.sizes(stored_shape(teacher.to_dict()))
    except MisfitError as error:
        raise JobError("bad-student", str(error), f"{field}.{error.option}") from error
    assert bottleneck is not None
    assert embedding is not None
    return MobileBertConfig(
        vocab_size=teacher.vocab_size,
        hidden_size=teacher.hidden_size,
        num_hidden_layers=teacher.num_hidden_layers,
        num_attention_heads=teacher.num_attention_heads,
        intermediate_size=4 * bottleneck,
        max_position_embeddings=teacher.max_position_embeddings,
        type_vocab_size=teacher.type_vocab_size,
        pad_token_id=teacher.pad_token_id,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        embedding_size=embedding,
        intra_bottleneck_size=bottleneck,
        num_feedforward_networks=params.feedforward_networks,
    )


def student_of(params: DistillMobilebert, field: str, teacher: Loaded) -> PreTrainedModel:
    """A student with random weights.

    Args:
        params: The stage's options.
        field: Field of the stage in messages.
        teacher: The teacher.

    Raises:
        JobError: ``bad-student``.
    """
    config = student_config(params, field, teacher.model.config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seed)
        return MobileBertForMaskedLM(config)


def phases(
    params: DistillMobilebert,
    teacher: Teacher,
    profiles: tuple[FlopProfile, FlopProfile],
    last: Sequence[LossTerm],
) -> list[Phase]:
    """One phase for each layer, then the distillation of the words.

    Args:
        params: The stage's options.
        teacher: The model that the student learns from.
        profiles: Operations of student and teacher.
        last: Terms of the loss of the distillation.
    """
    layers = teacher.model.config.num_hidden_layers
    share = Horizon(params.transfer_epochs / layers)
    alone = params.model_copy(update={"mid_evaluation": None})
    weights = params.hidden_weight, params.attention_weight
    transfer = [
        Phase(f"layer {layer}", alone, share, [LayerTransfer(teacher, layer, weights, profiles)])
        for layer in range(layers)
    ]
    horizon = Horizon(params.effective_epochs, params.max_steps)
    return [*transfer, Phase("words", params, horizon, last)]
