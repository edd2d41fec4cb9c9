"""A small masked-language model that shares the embeddings of the model in training."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn
from transformers import ElectraConfig, ElectraForMaskedLM, PreTrainedConfig, PreTrainedModel

from workers.job.request import JobError


def generator_config(config: PreTrainedConfig, size: float, layers: float) -> ElectraConfig:
    """The shape of a generator.

    Args:
        config: The shape of the model in training, whose embeddings it shares.
        size: Share of its hidden size, feed-forward size and heads.
        layers: Share of its layers.

    Source: Clark et al. 2020, ELECTRA, section 3.2 and table 6, arXiv:2003.10555.
    """
    hidden = max(1, round(config.hidden_size * size))
    return ElectraConfig(
        vocab_size=config.vocab_size,
        embedding_size=getattr(config, "embedding_size", config.hidden_size),
        hidden_size=hidden,
        num_hidden_layers=max(1, round(config.num_hidden_layers * layers)),
        num_attention_heads=_heads(hidden, config.num_attention_heads * size),
        intermediate_size=max(1, round(config.intermediate_size * size)),
        hidden_act=config.hidden_act,
        hidden_dropout_prob=config.hidden_dropout_prob,
        attention_probs_dropout_prob=config.attention_probs_dropout_prob,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        layer_norm_eps=config.layer_norm_eps,
        pad_token_id=config.pad_token_id,
    )


def _heads(hidden: int, wanted: float) -> int:
    """The largest number of heads, up to the wanted one, that divides the width."""
    return next(heads for heads in range(max(1, int(wanted)), 0, -1) if hidden % heads == 0)


def sizes(config: ElectraConfig) -> dict[str, int]:
    """A generator's sizes, for the card of the model."""
    return {
        "generator_layers": config.num_hidden_layers,
        "generator_hidden_size": config.hidden_size,
    }


def require_type(config: PreTrainedConfig, field: str) -> None:
    """Reject a type of model whose embeddings a generator cannot share.

    Raises:
        JobError: ``bad-model``.
    """
    if config.model_type not in ("bert", "electra"):
        raise JobError(
            "bad-model",
            f"a generator cannot share the embeddings of a {config.model_type} model; use a BERT "
            "or ELECTRA model",
            field,
        )


def require_shareable(model: PreTrainedModel, field: str) -> None:
    """Reject a model whose embeddings a generator cannot share.

    Raises:
        JobError: ``bad-model``.
    """
    require_type(model.config, field)
    if not isinstance(model.get_input_embeddings(), nn.Embedding):
        message = "a generator cannot share a factorized embedding table; use a plain model"
        raise JobError("bad-model", message, field)


def generator_of(model: PreTrainedModel, config: ElectraConfig, seed: int) -> ElectraForMaskedLM:
    """A generator with random weights, and the embeddings of a model.

    Args:
        model: The model in training. Tokens, positions, kinds and their norm are shared, and the
            embedding table is the generator's last layer as well.
        config: The generator's shape.
        seed: Seed of its weights.
    """
    torch.manual_seed(seed)
    build: Any = ElectraForMaskedLM._from_config
    generator = cast(ElectraForMaskedLM, build(config))
    shared: Any = model.base_model.embeddings
    generator.electra.embeddings = shared
    generator.generator_lm_head.weight = shared.word_embeddings.weight
    return generator
