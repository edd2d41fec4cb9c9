"""Operations of a model, counted once per architecture, on meta tensors where possible."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from pricetag.accounting.work.flops import TRAINING_PER_FORWARD
from workers.training.cost.counting import OperationCounter
from workers.training.model.heads import CLASSES, CLASSIFIER, Head, head_of
from workers.training.model.positions import position_limit

_LENGTHS = (16, 32, 64)
_NEGLIGIBLE = 1e-6
_NOT_ARCHITECTURE = {
    "_name_or_path",
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "num_labels",
    "pad_token_id",
    "problem_type",
    "transformers_version",
    "use_cache",  # of generation: the Trainer turns it off after the count
    "vocab_size",
}


@dataclass(frozen=True)
class FlopProfile:
    """Operations on L tokens, forward: ``square`` L^2 + (``linear`` + ``head``) L + ``fixed``.

    The linear part is the multiplication by weights, the square part the mixing in attention.
    ``head`` are the operations of a head for every token, such as a language model's logits.
    ``per_chunk`` are operations for each chunk of ``chunk`` tokens, the last one filled up, where
    attention is within chunks.
    """

    square: float
    linear: float
    fixed: float
    method: str
    uncounted: tuple[str, ...] = ()
    head: float = 0.0
    chunk: int = 1
    per_chunk: float = 0.0

    def forward(self, length: int, density: float = 1.0) -> float:
        """Operations for one example; ``density`` is the encoder's share of non-zero weights."""
        per_token = density * self.linear + self.head
        operations = self.square * length**2 + per_token * length + self.fixed
        return (
            operations + self.per_chunk * -(-length // self.chunk) if self.per_chunk else operations
        )

    def with_classes(self, classes: int, hidden: int) -> FlopProfile:
        """The same encoder with another head, whose last layer is ``[hidden, classes]``."""
        return replace(self, fixed=self.fixed + 2 * hidden * (classes - CLASSES))

    def without_head(self) -> FlopProfile:
        """The encoder alone, as a training on inner states computes it.

        The pooler of a classifier is computed, 2 H^2 operations for a text: it is named, not
        counted.
        """
        pooler = ("the pooler",) if self.fixed else ()
        return replace(self, fixed=0.0, head=0.0, uncounted=(*self.uncounted, *pooler))

    def training(self, length: int, density: float = 1.0) -> float:
        """Operations of forward and backward for one example."""
        return TRAINING_PER_FORWARD * self.forward(length, density)

    def low_bit(self, length: int, density: float = 1.0) -> float:
        """The part of ``forward`` that an 8-bit model does on 8-bit numbers."""
        return (density * self.linear + self.head) * length + self.fixed


def profile(config: PreTrainedConfig, head: Head = CLASSIFIER) -> FlopProfile:
    """Count an architecture's forward pass at three lengths; a classifier has two classes.

    A BERT-shaped encoder is checked against the closed form. The count is done on meta tensors;
    a model whose forward pass depends on values is counted on the CPU with random weights. If
    that fails too, the operations are unknown, with the reason: training continues.

    Raises:
        ValueError: Count and closed form differ, so neither can be trusted.
    """
    plain = copy.deepcopy(config)
    plain.num_labels = CLASSES
    # Decoders look for padding by value where they know its number; one text has none.
    unpadded = copy.deepcopy(plain)
    unpadded.pad_token_id = None
    failures = []
    for shape, device in ((plain, "meta"), (unpadded, "meta"), (plain, "cpu")):
        try:
            return _counted(shape, device, head)
        except (MemoryError, CountMismatchError):
            raise
        except Exception as error:  # a model's own code may raise any exception
            failures.append(f"on {device} tensors: {type(error).__name__}: {str(error)[:200]}")
    reasons = "; ".join(dict.fromkeys(failures))
    return unknown(f"the forward pass of {config.model_type} ({reasons})")


class CountMismatchError(ValueError):
    """A count differs from its closed form."""


def unknown(reason: str) -> FlopProfile:
    """The profile of a model whose operations cannot be counted.

    Its figures are NaN, and so is every sum of them; reporters report NaN as unknown.

    Args:
        reason: The uncounted part, and the reason.
    """
    return FlopProfile(math.nan, math.nan, math.nan, "not counted", (reason,))


def _counted(plain: PreTrainedConfig, device: str, head: Head) -> FlopProfile:
    with torch.random.fork_rng(), torch.device(device):
        model = head.build(plain)
    model.train(False)
    limit = position_limit(model)
    lengths = _LENGTHS if limit is None or limit - 2 >= _LENGTHS[-1] else (2, 3, 4)
    counter = OperationCounter()
    with torch.random.fork_rng():
        counts, in_head = count_lengths(model, lengths, counter)
        between = (lengths[0] + lengths[-1]) // 2
        check = count_forward(model, between, counter) if between not in lengths else None
    square, linear, fixed = parabola(lengths, counts)
    method = f"FlopCounterMode on {device} tensors, 2 per multiply-add"
    closed = head.closed_form(plain, lengths[-1])
    if closed is not None:
        if closed != counts[-1]:
            raise CountMismatchError(
                f"FLOPs counted {counts[-1]} differ from the closed form {closed}"
            )
        method += f", equal to the closed form 2L(4H*A + 2H*I) + 4L^2*A a layer{head.formula}"
    counted = FlopProfile(square, linear - in_head, fixed, method, counter.names(), in_head)
    if check is None:
        return counted
    off = counted.forward(between) / check - 1 if check else 0.0
    if abs(off) < _NEGLIGIBLE:
        return counted
    note = f", parabola through lengths {lengths}, {off:+.1%} off at {between}"
    return replace(counted, method=method + note)


def hidden_size(config: PreTrainedConfig) -> int:
    """Width of the last layer, whatever the architecture calls it."""
    names = ("hidden_size", "d_model", "dim", "n_embd", "emb_dim", "d_latents")
    return next((int(size) for n in names if (size := getattr(config, n, None)) is not None), 0)


def architecture_key(config: PreTrainedConfig) -> str:
    """A key of the architecture: its configuration without vocabulary, classes and origin."""
    architecture = {k: v for k, v in config.to_dict().items() if k not in _NOT_ARCHITECTURE}
    return json.dumps(architecture, sort_keys=True, default=str)


def closed_form(config: PreTrainedConfig, length: int) -> int | None:
    """Forward operations of a BERT classifier with two classes; None for other architectures."""
    return CLASSIFIER.closed_form(config, length)


def count_lengths(
    model: PreTrainedModel, lengths: tuple[int, ...], counter: OperationCounter
) -> tuple[list[int], float]:
    """Operations of a forward pass at three lengths, and those of its head per token.

    The latter are 0 for a head that computes once for a text.
    """
    if not head_of(model).per_token:
        return [count_forward(model, length, counter) for length in lengths], 0.0
    with counter.within(model.base_model) as base:
        counts = [count_forward(model, length, counter) for length in lengths]
    if len(base) != len(lengths):  # the model calls parts of its base instead
        base = [count_forward(model.base_model, length, counter) for length in lengths]
    in_heads = [count - part for count, part in zip(counts, base, strict=True)]
    return counts, parabola(lengths, in_heads)[1]


def count_forward(model: nn.Module, length: int, counter: OperationCounter | None = None) -> int:
    """Operations of one example's forward pass, by the formulas of ``FlopCounterMode``."""
    device = next(model.parameters()).device
    ids = torch.full((1, length), _plain_token(model), dtype=torch.long, device=device)
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        ids[:, -1] = config.eos_token_id  # type: ignore[union-attr]  # their class is computed from that token
    counter = counter or OperationCounter()
    before = counter.total
    with torch.no_grad(), counter:
        model(input_ids=ids)
    return counter.total - before


def _plain_token(model: nn.Module) -> int:
    """The lowest token from 1 that neither pads nor ends a text."""
    config = getattr(model, "config", None)
    special = {getattr(config, name, None) for name in ("pad_token_id", "eos_token_id")}
    return next(token for token in range(1, 4) if token not in special)


def parabola(lengths: tuple[int, ...], counts: list[int]) -> tuple[float, float, float]:
    """The parabola through three points (Newton's divided differences)."""
    (x0, x1, x2), (y0, y1, y2) = lengths, counts
    first = (y1 - y0) / (x1 - x0)
    square = ((y2 - y1) / (x2 - x1) - first) / (x2 - x0)
    linear = first - square * (x0 + x1)
    return square, linear, y0 - square * x0**2 - linear * x0
