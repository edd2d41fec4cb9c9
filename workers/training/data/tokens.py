"""Text as token numbers: the data set, its batches, and their order."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers import BatchEncoding, PreTrainedTokenizerBase

from workers.job.context import StageContext
from workers.training.data.examples import Examples

# Number of batches among which sentences are sorted by length: large enough for little padding,
# small enough that every epoch has another order.
MEGA_BATCHES = 50

_CALL = ("truncation", "padding")

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Encoded:
    """The token numbers of a split, without labels."""

    input_ids: list[list[int]]
    token_type_ids: list[list[int]] | None  # of pairs alone

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of each example."""
        return [len(ids) for ids in self.input_ids]


class TokenData(Dataset[dict[str, Any]]):
    """Token numbers with labels; by ``index`` a loss finds what it stores for an example."""

    def __init__(self, encoded: Encoded, labels: Sequence[Any]) -> None:
        self.encoded = encoded
        self.labels = labels
        self.lengths = encoded.lengths

    def part(self, rows: Sequence[int]) -> TokenData:
        """Some of the examples, numbered again."""
        kinds = self.encoded.token_type_ids
        encoded = Encoded(
            [self.encoded.input_ids[row] for row in rows],
            None if kinds is None else [kinds[row] for row in rows],
        )
        return TokenData(encoded, [self.labels[row] for row in rows])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = {
            "input_ids": self.encoded.input_ids[index],
            "labels": self.labels[index],
            "index": index,
        }
        if self.encoded.token_type_ids is not None:
            item["token_type_ids"] = self.encoded.token_type_ids[index]
        return item


def encode(
    context: StageContext, examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Encoded:
    """Token numbers of a split, cached for the stages that use the same tokenizer."""
    key = ("encoded", examples.split, max_length, tokenizer_key(tokenizer))
    encoded: Encoded = context.cached(
        key, lambda: _encode(context, examples, tokenizer, max_length)
    )
    return encoded


def tokenizer_key(tokenizer: PreTrainedTokenizerBase) -> str:
    """A key that is equal for equivalent tokenizers."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        description: object = sorted(tokenizer.get_vocab().items())
    else:
        # The backend also remembers how it was last called, which is irrelevant here.
        parts = json.loads(backend.to_str())
        description = {name: part for name, part in parts.items() if name not in _CALL}
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def _encode(
    context: StageContext, examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Encoded:
    # The tokens of a single sentence are all of kind 0, the models' default.
    with_kinds = examples.pairs is not None and "token_type_ids" in tokenizer.model_input_names
    tokens = tokenizer(
        examples.texts,
        examples.pairs,
        truncation=True,
        max_length=max_length,
        return_attention_mask=False,
        return_token_type_ids=with_kinds,
    )
    encoded = Encoded(tokens["input_ids"], tokens.get("token_type_ids"))
    context.reporter.log(_cut_texts(examples, encoded, tokens, max_length))
    return encoded


def _cut_texts(examples: Examples, encoded: Encoded, tokens: BatchEncoding, max_length: int) -> str:
    """A log line with the number of examples of a split that are too long and are cut.

    A tokenizer written in Python does not report cuts: examples of the maximum length may fit
    exactly.
    """
    full = [row for row, ids in enumerate(encoded.input_ids) if len(ids) >= max_length]
    bound = "" if tokens.encodings is not None else "at most "
    if tokens.encodings is not None:
        full = [row for row in full if tokens.encodings[row].overflowing]
    total = len(examples)
    share = f"{len(full) / total:.1%}"
    return (
        f"{examples.split}: {bound}{len(full)} of {total} examples ({share}) are longer than "
        f"{max_length} tokens and are cut"
    )


@dataclass(frozen=True)
class Collator:
    """Pads a batch to its longest example, or to the next multiple of ``multiple``."""

    pad_token_id: int
    regression: bool
    multiple: int = 1

    def __call__(self, items: Sequence[dict[str, Any]]) -> Batch:
        batch = padded(items, self.pad_token_id, self.multiple)
        batch["labels"] = torch.tensor(
            [item["labels"] for item in items],
            dtype=torch.float if self.regression else torch.long,
        )
        return batch


def padded(items: Sequence[dict[str, Any]], pad_token_id: int, multiple: int = 1) -> Batch:
    """The inputs of a batch, ``[batch, seq]``, and the numbers of its examples, ``[batch]``.

    Args:
        items: Items of a ``TokenData``.
        pad_token_id: Token that fills short examples.
        multiple: Divisor of the width.
    """
    longest = max(len(item["input_ids"]) for item in items)
    width = math.ceil(longest / multiple) * multiple
    ids = torch.full((len(items), width), pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    for row, item in enumerate(items):
        length = len(item["input_ids"])
        ids[row, :length] = torch.tensor(item["input_ids"], dtype=torch.long)
        mask[row, :length] = 1
    batch = {
        "input_ids": ids,
        "attention_mask": mask,
        "index": torch.tensor([item["index"] for item in items], dtype=torch.long),
    }
    if "token_type_ids" in items[0]:
        kinds = torch.zeros((len(items), width), dtype=torch.long)
        for row, item in enumerate(items):
            kinds[row, : len(item["token_type_ids"])] = torch.tensor(item["token_type_ids"])
        batch["token_type_ids"] = kinds
    return batch


class EpochSampler(Sampler[int]):
    """A fresh order each epoch, fixed by seed and epoch, so that it can be resumed.

    With ``by_length``, batches have sentences of similar length, and their order is random.
    ``unit`` is the number of examples in one optimizer step: batch x accumulation x ranks.
    """

    def __init__(
        self, lengths: Sequence[int], unit: int, seed: int, *, by_length: bool = True
    ) -> None:
        self.lengths = lengths
        self.unit = unit
        self.seed = seed
        self.by_length = by_length
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.lengths)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that determines the next order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        if not self.by_length:
            return iter(order)
        mega = MEGA_BATCHES * self.unit
        units: list[list[int]] = []
        for start in range(0, len(order), mega):
            part = sorted(order[start : start + mega], key=self.lengths.__getitem__)
            units += [part[i : i + self.unit] for i in range(0, len(part), self.unit)]
        # A short unit must be last: the loader cuts batches by count.
        full_units = [unit for unit in units if len(unit) == self.unit]
        short = [unit for unit in units if len(unit) < self.unit]
        mixed = [
            full_units[i] for i in torch.randperm(len(full_units), generator=generator).tolist()
        ]
        return iter([index for unit in mixed + short for index in unit])
