"""Operations of a model, counted once per architecture, on meta tensors where possible."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count
from transformers import PreTrainedConfig, PreTrainedModel

from pricetag.accounting.work.flops import TRAINING_PER_FORWARD
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
        whole = self.square * length**2 + per_token * length + self.fixed
        return whole + self.per_chunk * -(-length // self.chunk) if self.per_chunk else whole

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
        except Exception as error:  # a model's own code may raise anything
            failures.append(f"on {device} tensors: {type(error).__name__}: {str(error)[:200]}")
    reasons = "; ".join(dict.fromkeys(failures))
    return unknown(f"the forward pass of {config.model_type} ({reasons})")


class CountMismatchError(ValueError):
    """A count differs from its closed form."""


def unknown(what: str) -> FlopProfile:
    """The profile of a model whose operations cannot be counted.

    Its figures are NaN, and so is every sum of them; reporters report NaN as unknown.

    Args:
        what: The uncounted part, and the reason.
    """
    return FlopProfile(math.nan, math.nan, math.nan, "not counted", (what,))


def _counted(plain: PreTrainedConfig, device: str, head: Head) -> FlopProfile:
    with torch.random.fork_rng(), torch.device(device):
        model = head.build(plain)
    model.train(False)
    limit = position_limit(model)
    lengths = _LENGTHS if limit is None or limit - 2 >= _LENGTHS[-1] else (2, 3, 4)
    watch = UncountedOperators()
    with torch.random.fork_rng(), watch:
        counts = [count_forward(model, length) for length in lengths]
        between = (lengths[0] + lengths[-1]) // 2
        check = count_forward(model, between) if between not in lengths else None
    square, linear, fixed = parabola(lengths, counts)
    method = f"FlopCounterMode on {device} tensors, 2 per multiply-add"
    closed = head.closed_form(plain, lengths[-1])
    if closed is not None:
        if closed != counts[-1]:
            raise CountMismatchError(
                f"FLOPs counted {counts[-1]} differ from the closed form {closed}"
            )
        method += f", equal to the closed form 2L(4H*A + 2H*I) + 4L^2*A a layer{head.formula}"
    in_head = head_flops_per_token(model, lengths, linear)
    counted = FlopProfile(square, linear - in_head, fixed, method, watch.names(), in_head)
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
    """Forward operations of a BERT classifier of two; None for other architectures."""
    return CLASSIFIER.closed_form(config, length)


def head_flops_per_token(model: PreTrainedModel, lengths: tuple[int, ...], linear: float) -> float:
    """Operations per token of a model's head; 0 for a head that computes once for a text.

    Args:
        model: The model with its head.
        lengths: Three sequence lengths.
        linear: Operations per token of the whole model.
    """
    if not head_of(model).per_token:
        return 0.0
    base = [count_forward(model.base_model, length) for length in lengths]
    return linear - parabola(lengths, base)[1]


def count_forward(model: nn.Module, length: int) -> int:
    """Operations that ``FlopCounterMode`` sees in one example's forward pass."""
    device = next(model.parameters()).device
    ids = torch.full((1, length), _plain_token(model), dtype=torch.long, device=device)
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        ids[:, -1] = config.eos_token_id  # type: ignore[union-attr]  # their class is computed from that token
    counter = FlopCounterMode(display=False, custom_mapping=_OURS)
    with torch.no_grad(), counter:
        model(input_ids=ids)
    return int(counter.get_total_flops())


def _plain_token(model: nn.Module) -> int:
    """The lowest token from 1 that neither pads nor ends a text."""
    config = getattr(model, "config", None)
    special = {getattr(config, name, None) for name in ("pad_token_id", "eos_token_id")}
    return next(token for token in range(1, 4) if token not in special)


class UncountedOperators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names the operators of a forward pass that compute something but are not counted.

    Operators that only view, move or fill memory are not among them.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func._overloadpacket
        moves = func.is_view or packet.__name__.removesuffix("_") in _MOVES
        if packet not in flop_registry and packet not in _OURS and not moves:
            self._names.add(str(packet))
        return func(*args, **(kwargs or {}))

    def names(self) -> tuple[str, ...]:
        """Such as ``aten.native_layer_norm``, sorted."""
        return tuple(sorted(self._names))


def _attention_flops(
    query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def parabola(lengths: tuple[int, ...], counts: list[int]) -> tuple[float, float, float]:
    """The parabola through three points (Newton's divided differences)."""
    (x0, x1, x2), (y0, y1, y2) = lengths, counts
    first = (y1 - y0) / (x1 - x0)
    square = ((y2 - y1) / (x2 - x1) - first) / (x2 - x0)
    linear = first - square * (x0 + x1)
    return square, linear, y0 - square * x0**2 - linear * x0


_OURS = {
    # On a CPU attention is one operation that the counter does not know.
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}
_MOVES = {
    "_to_copy", "arange", "cat", "clone", "contiguous", "copy", "detach", "empty", "empty_like",
    "empty_strided", "fill", "full", "full_like", "new_empty", "new_full", "new_ones", "new_zeros",
    "ones", "ones_like", "scalar_tensor", "stack", "_unsafe_view", "zeros", "zeros_like",
}  # fmt: skip
