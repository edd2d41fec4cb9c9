"""MiniLM: a student learns the relations between queries, keys and values of one layer.

Source: Wang, Wei, Dong, Bao, Yang, Zhou 2020, MiniLM, arXiv:2002.10957; Wang, Bao, Huang, Dong,
Wei 2021, MiniLMv2, arXiv:2012.15828.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from pricetag.recipes.methods.distill_minilm import DistillMinilm
from workers.training.forward_pass import ForwardPass
from workers.training.model.attention_inputs import VALUES, attention_inputs
from workers.training.model.recording import LayerAttention, Needs, encoder_layers
from workers.training.plugin import LossTerm, Plugin
from workers.training.teacher import Teacher

Part = Literal["query", "key", "value"]


def split_heads(states: torch.Tensor, heads: int) -> torch.Tensor:
    """States ``[batch, seq, width]`` as ``[batch, heads, seq, width / heads]``."""
    batch, length, _ = states.shape
    return states.view(batch, length, heads, -1).transpose(1, 2)


def relation_loss(
    student: tuple[torch.Tensor, torch.Tensor],
    teacher: tuple[torch.Tensor, torch.Tensor],
    mask: torch.Tensor,
) -> torch.Tensor:
    """KL(teacher || student) of softmax(A B^T / sqrt(head_dim)), for each row a distribution.

    Padding is cut from rows and columns before the softmax. The sum over heads and rows is
    divided by both numbers, each text by its own; then the mean over the texts.

    Args:
        student: A and B, each ``[batch, heads, seq, student_head_dim]``.
        teacher: A and B of the teacher, with as many heads and their own head_dim.
        mask: 1 for tokens, 0 for padding ``[batch, seq]``.

    Source: Wang et al. 2020, equations 5 to 8; Wang et al. 2021, equations 3 and 4.
    """
    real = mask.bool()
    padding = ~real[:, None, None, :]
    own, theirs = _log_relation(*student, padding), _log_relation(*teacher, padding)
    divergence = functional.kl_div(own, theirs, reduction="none", log_target=True).sum(-1)
    rows = real[:, None, :].to(divergence.dtype)
    heads, lengths = divergence.shape[1], real.sum(-1).clamp(min=1)
    return ((divergence * rows).sum((1, 2)) / (heads * lengths)).mean()


def _log_relation(a: torch.Tensor, b: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
    """Logarithms of the distributions ``[batch, heads, seq, seq]``; 0 in columns of padding."""
    scores = torch.matmul(a, b.transpose(2, 3)) * a.shape[-1] ** -0.5
    logs = functional.log_softmax(scores.masked_fill(padding, -torch.inf), dim=-1)
    return logs.masked_fill(padding, 0.0)


class Relation(LossTerm):
    """One relation of the student's last layer to that of a layer of its teacher.

    Args:
        teacher: The model that the student learns from.
        parts: The two of query, key and value whose relation is learned.
        layer: The teacher's layer, from 0; negative from the end.
        heads: Number of relation heads; None for the attention heads.
        weight: Factor of the term.
    """

    needs = Needs(attention_states=True)
    reads_logits = False

    def __init__(
        self,
        teacher: Teacher,
        parts: tuple[Part, Part],
        layer: int = -1,
        heads: int | None = None,
        weight: float = 1.0,
    ) -> None:
        self.name = f"{parts[0]}_{parts[1]}"
        self.teacher = teacher
        self.weight = weight
        self._parts = parts
        self._layer = layer
        self._heads = heads
        self._widths = 0, 0

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert self.teacher is not None
        own = self._related(forward.attention[-1])
        theirs = self._related(self.teacher.outputs(forward).attention[self._layer])
        self._widths = own[0].shape[1] * own[0].shape[3], theirs[0].shape[1] * theirs[0].shape[3]
        return relation_loss(own, theirs, forward.inputs["attention_mask"])

    def _related(self, attention: LayerAttention) -> tuple[torch.Tensor, torch.Tensor]:
        first, second = (self._headed(getattr(attention, part)) for part in self._parts)
        return first, second

    def _headed(self, states: torch.Tensor) -> torch.Tensor:
        if self._heads is not None and self._heads != states.shape[1]:
            states = split_heads(states.transpose(1, 2).flatten(2), self._heads)
        return states.float()

    def extra_flops(self, rows: int, width: int) -> float:
        """The products A B^T: the student's forward and backward, the teacher's forward."""
        own, theirs = self._widths
        return rows * 2.0 * width**2 * (3 * own + theirs)


class IdleEnd(Plugin):
    """Freezes what follows queries, keys and values in the last layer: it gets no gradient."""

    def __init__(self) -> None:
        self._frozen: list[nn.Parameter] = []
        self._matrices = 0
        self._attention = 0

    def attach(self, model: nn.Module) -> None:
        """Freeze the rest of the last layer."""
        last = encoder_layers(model)[-1]
        inputs = attention_inputs(last)
        used = {id(each) for module in inputs.values() for each in module.parameters()}
        self._attention = sum(inputs[leaf].out_features for leaf in VALUES & inputs.keys())
        idle = [parameter for parameter in last.parameters() if id(parameter) not in used]
        self._matrices = sum(parameter.numel() for parameter in idle if parameter.dim() == 2)
        self._frozen = [parameter for parameter in idle if parameter.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)

    def detach(self, model: nn.Module) -> None:
        """Make the rest of the last layer trainable again."""
        for parameter in self._frozen:
            parameter.requires_grad_(True)

    def extra_flops(self, rows: int, width: int) -> float:
        """The backward pass that is not computed: 2 forward passes of the rest of the layer."""
        saved_forward = 2.0 * width * self._matrices + 4.0 * width**2 * self._attention
        return -2.0 * rows * saved_forward


def relations(params: DistillMinilm, teacher: Teacher) -> list[Relation]:
    """The terms of the loss: two of weight 1 (v1), or three of weight 1/3 (v2).

    Args:
        params: The stage's options.
        teacher: The model that the student learns from.
    """
    layer = -1 if params.teacher_layer is None else params.teacher_layer
    if params.version == "v1":
        pairs: tuple[tuple[Part, Part], ...] = (("query", "key"), ("value", "value"))
        return [Relation(teacher, pair, layer) for pair in pairs]
    heads = params.heads(teacher.model.config.num_attention_heads)
    parts: tuple[Part, ...] = ("query", "key", "value")
    return [Relation(teacher, (part, part), layer, heads, 1 / 3) for part in parts]
