"""Models of a few neurons with a tokenizer of a few words, saved in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

WORDS = [
    *[
        "good",
        "bad",
        "nice",
        "awful",
        "great",
        "dull",
        "film",
        "fun",
        "one",
        "thing",
        "here",
        "the",
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
    ],
    *map(str, range(10)),
]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]  # pad is 1, as in the family of RoBERTa
VOCABULARY = len(SPECIAL) + len(WORDS)
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 34,
    "vocab_size": VOCABULARY,
    "pad_token_id": 1,
}


def tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    """Words to numbers, ``<s> ... </s>`` around them; no ``model_max_length``.

    ``pad_token=None`` and similar options omit a special token.
    """
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    named = {
        "bos_token": "<s>",
        "cls_token": "<s>",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask>",
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        **options,
    }
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=made, **{name: value for name, value in named.items() if value is not None}
    )


def config(model_type: str = "bert", labels: list[str] | None = None, **changes: Any) -> Any:
    """A tiny configuration; ``labels`` name the classes of its head."""
    names = {} if labels is None else {"id2label": dict(enumerate(labels))}
    made = AutoConfig.for_model(model_type, **{**SIZES, **names, **changes})
    if labels is not None:
        made.label2id = {name: number for number, name in enumerate(labels)}
    return made


def save(folder: Path, made: Any, *, seed: int = 0, **options: Any) -> PreTrainedModel:
    """Write a classifier with random weights and its tokenizer; ``options`` go to the latter."""
    torch.manual_seed(seed)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(made)  # type: ignore[no-untyped-call]
    model.train(False)
    model.save_pretrained(folder)
    tokenizer(**options).save_pretrained(folder)
    return model
