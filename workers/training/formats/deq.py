"""Deep equilibrium models: the encoder's states are the fixed point of its layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

from workers.training.architectures.fixed_point import SOLVERS, equilibrium
from workers.training.architectures.masks import tokens_of
from workers.training.cost.flops import FlopProfile
from workers.training.formats.base import Format, Note, require_format


class EquilibriumEncoder(nn.Module):
    """States z* = f(z*; x), where f is the model's layers on z + x and x the embeddings.

    The states of padding are zero and take no part in the search. Dropout drops the same units in
    every evaluation of f.

    Args:
        layers: The layers that f computes in order.
        options: The solver's name and its numbers of evaluations.

    Source: Bai, Kolter, Koltun 2019, Deep Equilibrium Models, sections 3 and 4, arXiv:1909.01377.
    """

    def __init__(self, layers: nn.ModuleList, options: Note) -> None:
        super().__init__()
        self.layer = layers
        self.options = options

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **others: Any,
    ) -> BaseModelOutputWithPastAndCrossAttentions:
        """States ``[batch, seq, hidden]`` of the embeddings ``[batch, seq, hidden]``."""
        shape, tokens = hidden_states.shape, tokens_of(attention_mask)
        same = torch.promote_types(hidden_states.dtype, torch.float32)
        chance = _repeated(hidden_states.device) if self.training else nullcontext

        def function(flat: torch.Tensor) -> torch.Tensor:
            with chance():
                states = flat.view(shape).to(hidden_states.dtype) + hidden_states
                for layer in self.layer:
                    states = layer(states, attention_mask, **others)
            states = states.to(same)
            return (states if tokens is None else states * tokens.unsqueeze(-1)).flatten(1)

        start = torch.zeros(shape, dtype=same, device=hidden_states.device).flatten(1)
        options = self.options
        solve, evaluations = SOLVERS[options["solver"]], options["evaluations"]
        if torch.is_grad_enabled():
            flat = equilibrium(function, start, solve, evaluations, options["gradient_evaluations"])
        else:
            flat = function(solve(function, start, evaluations, 0.0).point)
        states = flat.view(shape).to(hidden_states.dtype)
        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=states)


def _repeated(device: torch.device) -> Callable[[], AbstractContextManager[None]]:
    """Creates contexts that all start from the current state of the random numbers."""
    cuda = device.type == "cuda"
    state = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()

    @contextmanager
    def context() -> Iterator[None]:
        if cuda:
            torch.cuda.set_rng_state(state, device)
        else:
            torch.set_rng_state(state)
        yield

    return context


class Equilibrium(Format):
    """A model whose encoder is the fixed point of its layers."""

    name = "deq"
    note_file = "deq.json"
    order = 12
    in_encoder = True

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: the solver and its numbers of evaluations."""
        notes = [m.options for m in model.modules() if isinstance(m, EquilibriumEncoder)]
        return dict(notes[0]) if notes else None

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        base: Any = model.base_model
        base.encoder = EquilibriumEncoder(base.encoder.layer, note)

    def further_flops(
        self,
        model: PreTrainedModel,
        note: Note,
        profile: FlopProfile,
        width: int,
        density: float = 1.0,
    ) -> float:
        """See ``Format.further_flops``.

        A forward pass has k + 1 evaluations of the layers. Training adds two for the gradient of
        one, and the products with their Jacobian: each costs the multiplications by weights once
        and those of the attention, both of whose factors depend on the states, twice.
        """
        linear = density * profile.linear * width / (note["evaluations"] + 1)
        square = profile.square * width**2 / (note["evaluations"] + 1)
        products = note["gradient_evaluations"] * (linear + 2 * square)
        return float(products - 2 * note["evaluations"] * (linear + square))


FORMAT = Equilibrium()
