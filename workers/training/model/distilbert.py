"""A DistilBERT student made from some layers of a BERT model.

Source: Sanh, Debut, Chaumond, Wolf 2019, DistilBERT, section 3, arXiv:1910.01108.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from transformers import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from workers.job.request import JobError

_PARTS = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}
_EMBEDDINGS = ("word_embeddings", "position_embeddings", "LayerNorm")
_DECODER = {
    "cls.predictions.decoder.weight": "vocab_projector.weight",
    "cls.predictions.bias": "vocab_projector.bias",
}
_TRANSFORM = {
    "cls.predictions.transform.dense": "vocab_transform",
    "cls.predictions.transform.LayerNorm": "vocab_layer_norm",
}
_LAYER = re.compile(r"bert\.encoder\.layer\.(\d+)\.(.+)\.(weight|bias)")


def distilbert_config(teacher: PreTrainedConfig, layers: int, field: str) -> DistilBertConfig:
    """The shape of a student with ``layers`` layers of its teacher's width.

    Raises:
        JobError: ``bad-teacher`` if the teacher is not a BERT model.
    """
    if teacher.model_type != "bert":
        raise JobError(
            "bad-teacher",
            f"a DistilBERT student is made from a BERT model, not from a {teacher.model_type} "
            "model; use method: logits",
            field,
        )
    return DistilBertConfig(
        vocab_size=teacher.vocab_size,
        max_position_embeddings=teacher.max_position_embeddings,
        n_layers=layers,
        n_heads=teacher.num_attention_heads,
        dim=teacher.hidden_size,
        hidden_dim=teacher.intermediate_size,
        dropout=teacher.hidden_dropout_prob,
        attention_dropout=teacher.attention_probs_dropout_prob,
        activation=teacher.hidden_act,
        pad_token_id=teacher.pad_token_id,
    )


def distilbert_of(
    teacher: PreTrainedModel, layers: Sequence[int], *, transform: bool, seed: int, field: str
) -> PreTrainedModel:
    """A student with some layers of a BERT masked-language model, without its token types.

    Args:
        teacher: The model, not changed.
        layers: Its layers that are copied, from 0.
        transform: Whether the transform of the teacher's head is copied as well as its decoder.
        seed: Seed of the weights that are not copied.
        field: Field of the stage in messages.

    Raises:
        JobError: ``bad-teacher`` if the teacher is not a BERT model.
    """
    config = distilbert_config(teacher.config, len(layers), field)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        student = DistilBertForMaskedLM(config)
    numbers = {old: new for new, old in enumerate(layers)}
    copied = {}
    for name, tensor in teacher.state_dict().items():
        renamed = _renamed(name, numbers, transform=transform)
        if renamed is not None:
            copied[renamed] = tensor
    student.load_state_dict(copied, strict=False)
    student.tie_weights()
    return student


def _renamed(name: str, numbers: dict[int, int], *, transform: bool) -> str | None:
    """The name that a tensor of the teacher has in the student; None for one without a
    counterpart."""
    if name in _DECODER:
        return _DECODER[name]
    part, _, kind = name.rpartition(".")
    if transform and part in _TRANSFORM:
        return f"{_TRANSFORM[part]}.{kind}"
    if part.startswith("bert.embeddings.") and part.rpartition(".")[2] in _EMBEDDINGS:
        return f"distilbert.{name.removeprefix('bert.')}"
    layer = _LAYER.fullmatch(name)
    if layer is None or int(layer[1]) not in numbers or layer[2] not in _PARTS:
        return None
    return f"distilbert.transformer.layer.{numbers[int(layer[1])]}.{_PARTS[layer[2]]}.{layer[3]}"
