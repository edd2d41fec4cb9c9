"""Operations of an encoder: counted once per architecture, on meta tensors, and checked."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry, sdpa_flop_count
from transformers import AutoModelForSequenceClassification, PreTrainedConfig

from pricetag.accounting.work.flops import TRAINING_PER_FORWARD, EncoderShape, encoder_flops

CLASSES = 2  # of the head that is counted
_LENGTHS = (16, 32, 64)
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
    "vocab_size",
}


@dataclass(frozen=True)
class FlopProfile:
    """Forward operations on one example of L tokens: ``square`` L^2 + ``linear`` L + ``fixed``.

    The linear part is multiplication by weights, the square one is attention's mixing.
    """

    square: float
    linear: float
    fixed: float
    method: str
    uncounted: tuple[str, ...] = ()

    def forward(self, length: int, density: float = 1.0) -> float:
        """Operations for one example; ``density`` is the share of weights that are not zero."""
        return self.square * length**2 + density * self.linear * length + self.fixed

    def with_classes(self, classes: int, hidden: int) -> FlopProfile:
        """The same encoder with a head of other size, its last layer ``[hidden, classes]``."""
        return replace(self, fixed=self.fixed + 2 * hidden * (classes - CLASSES))

    def training(self, length: int, density: float = 1.0) -> float:
        """Operations of forward and backward for one example."""
        return TRAINING_PER_FORWARD * self.forward(length, density)

    def low_bit(self, length: int, density: float = 1.0) -> float:
        """The part of ``forward`` that an 8-bit model does on 8-bit numbers."""
        return density * self.linear * length + self.fixed


def profile(config: PreTrainedConfig) -> FlopProfile:
    """Count an architecture's forward pass at three lengths, with a head of two classes.

    Exact for any encoder; a BERT-shaped one is checked against the closed form.

    Raises:
        ValueError: count and closed form differ, so neither can be trusted.
    """
    plain = copy.deepcopy(config)
    plain.num_labels = CLASSES
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(plain)  # type: ignore[no-untyped-call]
    model.train(False)
    limit = int(getattr(config, "max_position_embeddings", _LENGTHS[-1])) - 2
    lengths = _LENGTHS if limit >= _LENGTHS[-1] else (2, 3, 4)
    watch = UncountedOperators()
    with watch:
        counts = [count_forward(model, length) for length in lengths]
    square, linear, fixed = _parabola(lengths, counts)
    method = "FlopCounterMode on meta tensors, 2 per multiply-add"
    closed = closed_form(plain, lengths[-1])
    if closed is not None:
        if closed != counts[-1]:
            raise ValueError(f"FLOPs counted {counts[-1]} differ from the closed form {closed}")
        method += ", equal to the closed form 2L(4H*A + 2H*I) + 4L^2*A a layer"
    return FlopProfile(square, linear, fixed, method, watch.names())


def architecture_key(config: PreTrainedConfig) -> str:
    """Names the architecture: its configuration without vocabulary, classes and origin."""
    kept = {k: v for k, v in config.to_dict().items() if k not in _NOT_ARCHITECTURE}
    return json.dumps(kept, sort_keys=True, default=str)


def closed_form(config: PreTrainedConfig, length: int) -> int | None:
    """Forward operations of a BERT classifier of two; None for other architectures."""
    if config.model_type != "bert":
        return None
    shape = EncoderShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        attention=config.hidden_size,
    )
    return encoder_flops(shape, length, classes=CLASSES)


def count_forward(model: nn.Module, length: int) -> int:
    """Operations that ``FlopCounterMode`` sees in one example's forward pass."""
    device = next(model.parameters()).device
    ids = torch.ones((1, length), dtype=torch.long, device=device)
    counter = FlopCounterMode(display=False, custom_mapping=_OURS)
    with torch.no_grad(), counter:
        model(input_ids=ids)
    return int(counter.get_total_flops())


class UncountedOperators(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names the operators of a forward pass that compute something and that nobody counts.

    Operators that only look at memory otherwise, move or fill it are not among them.
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


def _parabola(lengths: tuple[int, ...], counts: list[int]) -> tuple[float, float, float]:
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
