"""Pruning of neurons and heads whose weights a group lasso has made small.

Source: Dodge, Schwartz, Peng, Smith 2019, RNN Architecture Learning with Sparse Regularization,
section 3, arXiv:1909.03011, whose groups are the states of automata; here they are the neurons
and heads of an encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from pricetag.recipes.methods.prune_group_lasso import PruneGroupLasso
from workers.training.forward_pass import ForwardPass
from workers.training.plugin import LossTerm, Plugin, Step
from workers.training.structured.groups import Kind, Norms, best_of, group_norms, groups_of
from workers.training.structured.resizing import NewSizes, Resizing
from workers.training.structured.units import Units, units_of


def penalty(norms: torch.Tensor) -> torch.Tensor:
    """The group lasso: the sum of the norms, not weighted by the sizes of the groups (scalar).

    Source: Dodge et al. 2019, section 3.
    """
    return norms.sum()


def shrink(content: Sequence[torch.Tensor], threshold: float, axes: int = 1) -> list[torch.Tensor]:
    """The proximal step of the group lasso: w - threshold * w / ||w||, 0 for a smaller group.

    The threshold is the weight of the penalty itself, as in the authors' code, not multiplied by
    the learning rate.

    Args:
        content: Weights of the groups, as for ``group_norms``.
        threshold: Length by which each group's weights are shortened.
        axes: Number of the leading axes that number the groups.

    Source: the authors' ``prox_step``.
    """
    norms = group_norms(content, axes)
    scale = torch.where(norms < threshold, 0.0, 1 - threshold / norms)
    scale = scale.nan_to_num(0.0)  # a group of zeros, with a threshold of 0
    return [tensor * scale[(...,) + (None,) * (tensor.dim() - scale.dim())] for tensor in content]


def surviving(norms: torch.Tensor, threshold: float, *, chained: bool = False) -> torch.Tensor:
    """Whether each group stays: its norm is above the threshold, in the shape of the norms.

    Args:
        norms: Norms of the groups.
        threshold: The paper's epsilon.
        chained: Whether the groups along the last dimension are a chain, as the states of an
            automaton: a group then stays only if all those before it do.

    Source: Dodge et al. 2019, section 3; the authors' ``extract_learned_structure``.
    """
    alive = norms > threshold
    return alive.long().cumprod(-1).bool() if chained else alive


def norms_of(model: PreTrainedModel, kinds: Sequence[Kind]) -> list[Norms]:
    """Norms of the groups of each layer, without gradients."""
    with torch.no_grad():
        return [
            {kind: group_norms(group.tensors) for kind, group in layer.items()}
            for layer in groups_of(model, kinds)
        ]


def kept_groups(model: PreTrainedModel, norms: Sequence[Norms], threshold: float) -> Units:
    """Heads and neurons with a norm above the threshold, or a layer's largest one if none has.

    Args:
        model: The model; kinds without norms stay whole.
        norms: Norms of the groups of each layer.
        threshold: The paper's epsilon.
    """
    every = units_of(model).as_json()
    for kind in norms[0]:
        every[kind] = [best_of(of[kind], surviving(of[kind], threshold)) for of in norms]
    return Units(**every)


class GroupLasso(LossTerm):
    """The sum of the norms of the encoder's neurons and heads.

    Args:
        weight: Factor of the term.
        kinds: Kinds of groups.
    """

    name = "groups"
    reads_logits = False
    uncounted = ("the penalty of the groups",)

    def __init__(self, weight: float, kinds: Sequence[Kind]) -> None:
        self.weight = weight
        self._kinds = kinds
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module) -> None:
        """Remember the model."""
        self._model = model

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        assert isinstance(self._model, PreTrainedModel)
        layers = groups_of(self._model, self._kinds)
        parts = [penalty(group_norms(g.tensors)) for layer in layers for g in layer.values()]
        return torch.stack(parts).sum()


class ShrinkGroups(Plugin):
    """Shortens the weights of each neuron and head after every step, down to zero.

    Args:
        threshold: Length by which the weights of a group are shortened.
        kinds: Kinds of groups.
    """

    uncounted = ("the proximal step of the groups",)

    def __init__(self, threshold: float, kinds: Sequence[Kind]) -> None:
        self._threshold = threshold
        self._kinds = kinds
        self._model: nn.Module | None = None

    def attach(self, model: nn.Module) -> None:
        """Remember the model."""
        self._model = model

    def after_step(self, step: Step) -> None:
        """The proximal step."""
        assert isinstance(self._model, PreTrainedModel)
        with torch.no_grad():
            for layer in groups_of(self._model, self._kinds):
                for group in layer.values():
                    shorter = shrink(group.tensors, self._threshold)
                    for weight, new in zip(group.tensors, shorter, strict=True):
                        weight.copy_(new)


def resizing(model: PreTrainedModel, params: PruneGroupLasso) -> Resizing:
    """How a stage trains with the group lasso and cuts out the small groups.

    Args:
        model: The model, which the stage changes in place.
        params: The stage's options.
    """
    kinds: tuple[Kind, ...] = ("neurons", "heads") if params.groups == "both" else (params.groups,)
    gradient = params.solver == "gradient"
    return Resizing(
        terms=[GroupLasso(params.penalty, kinds)] if gradient else [],
        plugins=[] if gradient else [ShrinkGroups(params.penalty, kinds)],
        decide=lambda: NewSizes(kept_groups(model, norms_of(model, kinds), params.threshold)),
        options=params,
    )
