"""A step written directly in PyTorch: the arithmetic that a method cannot do without."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from benchmarks.steps.definition import Shapes, definition
from workers.methods.electra import Electra
from workers.training.forward_pass import MODEL_INPUTS, ForwardPass, accepted
from workers.training.grafting import Replacing
from workers.training.model import precision
from workers.training.model.recording import NOTHING, Needs, encoder_layers, set_attention
from workers.training.plugin import LossTerm
from workers.training.quantization.shared_weights import SharedWeights
from workers.training.tasks.language import IGNORED
from workers.training.trainer import Participants

Batch = Mapping[str, torch.Tensor]


class Bare:
    """Teachers forward, the model forward and backward, clipping and fused AdamW.

    Its models are copies. Attention is computed step by step where the method reads its scores,
    else fused. The loss is the task's own; where no term reads logits, the mean square of the
    last states, without the head. Parameters of the method itself, such as scores of the weights,
    are in the optimizer, too, with constant gradients. Weights from whose gradients those of the
    method's parameters are summed have gradients as well.

    Args:
        model: The model, before plug-ins have changed it.
        parts: The losses and plug-ins of the method.
    """

    def __init__(self, model: PreTrainedModel, parts: Participants) -> None:
        self._model = _copy(model)
        self._teachers = [_copy(teacher.model) for teacher in parts.teachers]
        self._generators = [_copy(one.generator) for one in parts.all if isinstance(one, Electra)]
        self._parts = parts
        self._needs = _needs(parts)
        self._with_head = parts.read_logits
        self._grafted = any(isinstance(one, Replacing) for one in parts.all)
        self._between: list[nn.Parameter] = []

    def begin(
        self,
        attached: PreTrainedModel,
        task_loss: LossTerm,
        number_format: precision.Precision,
        options: Any,
    ) -> None:
        """Freeze what the attached plug-ins have frozen, and make the optimizer.

        Args:
            attached: The model in training. Where modules of another model are grafted into it,
                the copy has these modules as well.
            task_loss: The task's own loss.
            number_format: Number format of the arithmetic.
            options: Options of the training.
        """
        if self._grafted:
            self._model = _copy(attached)
        frozen = {name for name, one in attached.named_parameters() if not one.requires_grad}
        between = _between(self._parts)
        for name, parameter in self._model.named_parameters():
            if name in between:
                self._between.append(parameter)
            elif name in frozen or (not self._with_head and _is_of_the_head(self._model, name)):
                parameter.requires_grad_(False)
        models = [self._model, *self._teachers]
        if self._needs.attention_scores or self._needs.eager_attention:
            for model in models:
                set_attention(model, "eager")
        for teacher in self._teachers:
            teacher.train(False)
        self._model.train()
        self._definition = definition(attached, self._parts)
        self._format, self._loss = number_format, task_loss
        self._clip = options.max_grad_norm
        trained = {id(p): p for one in (self._model, *self._generators) for p in one.parameters()}
        for parameter in self._between:
            del trained[id(parameter)]
        self._trained = [parameter for parameter in trained.values() if parameter.requires_grad]
        if not self._trained:  # gates alone learn: gradients flow to all states, none to weights
            self._trained = [*encoder_layers(self._model)[0].parameters()][-1:]
            self._trained[0].requires_grad_()
        own = [] if self._generators else _outside(attached, self._parts)
        for parameter in own:
            parameter.grad = torch.randn_like(parameter)
        self._trained += own
        self._own = own
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
        )

    def step(self, batch: Batch) -> None:
        """One step on a batch of the collator."""
        inputs = {name: tensor for name, tensor in batch.items() if name in MODEL_INPUTS}
        targets = {name: tensor for name, tensor in batch.items() if name not in MODEL_INPUTS}
        with torch.no_grad(), self._computing():
            for teacher in self._teachers:
                self._whole(teacher)(**accepted(teacher, inputs))
        losses = [self._generated(one, inputs, targets) for one in self._generators]
        with self._computing():
            outputs = self._whole(self._model)(**accepted(self._model, inputs))
        if self._with_head:
            losses.append(self._loss.value(ForwardPass(self._model, outputs, inputs, targets)))
        else:
            losses.append(outputs.last_hidden_state.float().square().mean())
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        if self._clip:
            nn.utils.clip_grad_norm_(self._trained, self._clip)
        self._optimizer.step()
        gradients = [parameter.grad for parameter in self._own]
        self._optimizer.zero_grad()
        for parameter in self._between:
            parameter.grad = None
        for parameter, gradient in zip(self._own, gradients, strict=True):
            parameter.grad = gradient

    def define(self, batch: Batch) -> None:
        """What the method's definition adds to the passes, on tensors of the batch's shapes."""
        rows, width = batch["input_ids"].shape
        shapes = Shapes(self._model, (rows, width), int(batch["attention_mask"].sum()))
        for work in self._definition:
            for _ in work(shapes):
                pass

    def _whole(self, model: PreTrainedModel) -> nn.Module:
        return model if self._with_head else model.base_model

    def _computing(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(precision.autocast(self._format, self._model.device.type))
        return stack

    def _generated(self, generator: Any, inputs: Batch, targets: Batch) -> torch.Tensor:
        is_predicted = targets["labels"] != IGNORED
        with self._computing():
            states = generator.electra(**accepted(generator, inputs)).last_hidden_state
            hidden = generator.generator_predictions(states[is_predicted])
            logits = generator.generator_lm_head(hidden).float()
        return nn.functional.cross_entropy(logits, targets["labels"][is_predicted])


def _copy(model: PreTrainedModel) -> PreTrainedModel:
    return copy.deepcopy(model)


def _needs(parts: Participants) -> Needs:
    needs = NOTHING
    for plugin in parts.all:
        needs |= plugin.needs
    return needs


def _between(parts: Participants) -> set[str]:
    """Weights that are not trained, but from whose gradients a method computes its own."""
    shared = [one for one in parts.all if isinstance(one, SharedWeights)]
    return {f"{name}.weight" for one in shared for name in one.differentiated}


def _outside(model: PreTrainedModel, parts: Participants) -> list[nn.Parameter]:
    """Copies of the parameters that plug-ins train beside the model's."""
    inside = {id(parameter) for parameter in model.parameters()}
    groups = [group for plugin in parts.all for group in plugin.parameter_groups(model)]
    return [
        nn.Parameter(parameter.detach().clone())
        for group in groups
        for parameter in group.parameters
        if id(parameter) not in inside
    ]


def _is_of_the_head(model: PreTrainedModel, name: str) -> bool:
    return not name.startswith(f"{model.base_model_prefix}.") or ".pooler." in name
