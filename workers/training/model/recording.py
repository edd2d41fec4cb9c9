"""Hidden states and attention, recorded in the forward pass without a second one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, eager_mask, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

SCORES, STATES = "pricetag_scores", "pricetag_states"


@dataclass(frozen=True)
class Needs:
    """Recordings that a method needs of each forward pass, and its kind of attention.

    Attributes:
        hidden_states: The outputs of the embeddings and of every layer.
        attention_scores: Scores before the softmax, probabilities, queries, keys and values;
            attention is computed step by step, as in eager attention.
        attention_states: Queries, keys and values, with fused attention.
        eager_attention: The model's own step-by-step attention, nothing recorded.
    """

    hidden_states: bool = False
    attention_scores: bool = False
    attention_states: bool = False
    eager_attention: bool = False

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            self.hidden_states or other.hidden_states,
            self.attention_scores or other.attention_scores,
            self.attention_states or other.attention_states,
            self.eager_attention or other.eager_attention,
        )

    @property
    def implementation(self) -> str | None:
        """The attention implementation that satisfies the needs; None leaves the model's."""
        if self.attention_scores:
            return SCORES
        if self.eager_attention:
            # Recording queries, keys and values must not restore the fused kernel.
            return SCORES if self.attention_states else "eager"
        return STATES if self.attention_states else None

    @property
    def records(self) -> bool:
        """Whether something is recorded in a forward pass."""
        return self.hidden_states or self.attention_scores or self.attention_states


NOTHING = Needs()


@dataclass(frozen=True)
class LayerAttention:
    """One layer's attention.

    ``query``, ``key`` and ``value`` are ``[batch, heads, seq, head_dim]``; ``scores`` (scaled,
    with the mask added, before the softmax) and ``probabilities`` (before dropout) are
    ``[batch, heads, seq, seq]``, and None where only the states were recorded.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    scores: torch.Tensor | None = None
    probabilities: torch.Tensor | None = None


@dataclass
class Recorder:
    """Records one forward pass at a time of a model with ``layers`` encoder layers."""

    model: PreTrainedModel
    needs: Needs
    hidden_states: list[torch.Tensor] = field(default_factory=list)
    attention: list[LayerAttention] = field(default_factory=list)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the forward pass inside.

        Raises:
            ValueError: The pass did not record what is needed.
        """
        global _active
        self.hidden_states, self.attention = [], []
        if not self.needs.records:
            yield
            return
        layers = encoder_layers(self.model)
        hooks = self._watch(layers) if self.needs.hidden_states else []
        previous, _active = _active, self
        try:
            yield
        finally:
            _active = previous
            for hook in hooks:
                hook.remove()
        self._check(len(layers))

    def _watch(self, layers: nn.ModuleList) -> list[Any]:
        def before(module: nn.Module, args: Any, kwargs: Any) -> None:
            if not self.hidden_states:  # only at the first call of a shared layer
                self.hidden_states.append(args[0] if args else kwargs["hidden_states"])

        def after(module: nn.Module, args: Any, output: Any) -> None:
            self.hidden_states.append(output[0] if isinstance(output, tuple) else output)

        hooks: list[Any] = [layers[0].register_forward_pre_hook(before, with_kwargs=True)]
        # A module that several layers share has one hook, which records each of its calls.
        return hooks + [layer.register_forward_hook(after) for layer in dict.fromkeys(layers)]

    def _check(self, layers: int) -> None:
        attention = self.needs.attention_scores or self.needs.attention_states
        kind = self.model.config.model_type
        if attention and not self.attention:
            raise ValueError(f"a {kind} model does not show its attention")
        if self.needs.hidden_states and len(self.hidden_states) < 2:
            raise ValueError(f"a {kind} model does not show its hidden states ({layers} layers)")


@contextmanager
def prepared(model: PreTrainedModel, needs: Needs) -> Iterator[Recorder]:
    """Set the attention of a model that its needs require; restored afterwards.

    Raises:
        ValueError: The model's attention cannot be replaced.
    """
    own = model.config._attn_implementation
    wanted = needs.implementation
    if wanted is not None:
        set_attention(model, wanted)
    try:
        yield Recorder(model, needs)
    finally:
        if wanted is not None:
            set_attention(model, own)


def encoder_layers(model: nn.Module) -> nn.ModuleList:
    """The encoder's layers in order: the list with the configuration's number of layers.

    Raises:
        ValueError: There is no such list, or the configuration has no number of layers.
    """
    config: Any = model.config
    count = getattr(config, "num_hidden_layers", None)
    if not isinstance(count, int):
        raise ValueError(f"no number of layers in the configuration of a {config.model_type} model")
    for name, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and name.endswith("layer"):
            return module
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"no list of {count} layers in a {config.model_type} model")


def set_attention(model: PreTrainedModel, implementation: str) -> None:
    model.set_attn_implementation(implementation)
    if model.config._attn_implementation != implementation:
        raise ValueError(f"the attention of a {model.config.model_type} model cannot be replaced")


_active: Recorder | None = None


def _scores_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attention step by step: softmax(QK^T s + mask) V.

    Source: Vaswani et al. 2017, equation 1, arXiv:1706.03762.
    """
    factor = query.size(-1) ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(2, 3)) * factor
    if attention_mask is not None:
        scores = scores + attention_mask
    probabilities = functional.softmax(scores, dim=-1)
    if _active is not None:
        _active.attention.append(LayerAttention(query, key, value, scores, probabilities))
    dropped = functional.dropout(probabilities, p=dropout, training=module.training)
    mixed = torch.matmul(dropped, value).transpose(1, 2).contiguous()
    return mixed, dropped


def _states_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Record the inputs of the attention, then compute it fused."""
    if _active is not None:
        _active.attention.append(LayerAttention(query, key, value))
    return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)


for _name, _attention, _mask in (
    (SCORES, _scores_attention, eager_mask),
    (STATES, _states_attention, sdpa_mask),
):
    ALL_ATTENTION_FUNCTIONS.register(_name, _attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_name, _mask)
