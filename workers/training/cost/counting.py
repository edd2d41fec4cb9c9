"""Counts the operations of a forward pass, by the formulas of torch's own counter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count, shape_wrapper


@dataclass(frozen=True)
class _Known:
    """An operator's results on meta tensors of known shapes, and its operations."""

    several: bool
    results: list[tuple[tuple[int, ...], tuple[int, ...], torch.dtype]]
    operations: int

    def made(self) -> Any:
        """Tensors of these shapes."""
        made = [
            torch.empty_strided(shape, stride, dtype=dtype, device="meta")
            for shape, stride, dtype in self.results
        ]
        return tuple(made) if self.several else made[0]


_KNOWN: dict[Any, _Known] = {}
"""By operator and shapes: a few hundred for each architecture that a process counts."""


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts as ``FlopCounterMode`` does, and names operators that compute without a count.

    Operators that only view, move or fill memory have no name here. Layers of the same shape are
    counted once: on meta tensors, which have no values, the shapes of the arguments determine
    the shape of a result. Torch takes up to a millisecond to find it, for each of some thirty
    operators of a layer.

    Attributes:
        total: Operations so far, two for a multiplication with an addition.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0
        ours = {k: shape_wrapper(v) for k, v in FORMULAS.items()}  # type: ignore[no-untyped-call]
        self._formulas = flop_registry | ours
        self._names: set[str] = set()
        self._whole: set[OpOverload[..., Any]] = set()  # operators that are not made of others

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in self._whole:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            self._whole.add(func)
        packet = func._overloadpacket
        formula = self._formulas.get(packet)
        if formula is None and not func.is_view and _plain_name(packet) not in _MOVES:
            self._names.add(str(packet))
        key = _key(func, args, kwargs)
        if (cached := _KNOWN.get(key)) is not None:
            self.total += cached.operations
            return cached.made()
        out = func(*args, **kwargs)
        operations = int(formula(*args, **kwargs, out_val=out)) if formula else 0
        self.total += operations
        if key is not None:
            _keep(key, out, operations)
        return out

    @contextmanager
    def within(self, module: nn.Module) -> Iterator[list[int]]:
        """Notes the operations of each pass through a module of the model.

        Yields:
            One number for each pass that has ended.
        """
        starts: list[int] = []
        passes: list[int] = []
        hooks = (
            module.register_forward_pre_hook(lambda *_: starts.append(self.total)),
            module.register_forward_hook(lambda *_: passes.append(self.total - starts.pop())),
        )
        try:
            yield passes
        finally:
            for hook in hooks:
                hook.remove()

    def names(self) -> tuple[str, ...]:
        """Such as ``aten.native_layer_norm``, sorted."""
        return tuple(sorted(self._names))


def _keep(key: Any, out: Any, operations: int) -> None:
    several = isinstance(out, tuple)
    tensors = list(out) if several else [out]
    if all(isinstance(each, torch.Tensor) and each.is_meta for each in tensors):
        results = [(tuple(t.shape), t.stride(), t.dtype) for t in tensors]
        _KNOWN[key] = _Known(several, results, operations)


def _key(func: Any, args: Any, kwargs: Any) -> Any:
    """What the shapes of a result depend on; None if on more than shapes, or if memory is shared.

    An operator without tensors among its arguments fills memory: that is quick.
    """
    schema = func._schema
    if func.is_view or schema.is_mutable or any(each.alias_info for each in schema.returns):
        return None
    try:
        parts = [_described(each) for each in (*args, *kwargs.items())]
        key = (func, len(args), *parts)
        hash(key)
    except (_HasValuesError, TypeError):
        return None
    return key if any(isinstance(each, torch.Tensor) for each in args) else None


class _HasValuesError(Exception):
    """A tensor among the arguments has values."""


def _described(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        if not argument.is_meta:
            raise _HasValuesError
        return (tuple(argument.shape), argument.stride(), argument.dtype)
    if isinstance(argument, list | tuple):
        return (type(argument), *(_described(each) for each in argument))
    return (type(argument), argument)


def _plain_name(packet: Any) -> str:
    return str(packet.__name__).removesuffix("_")


def _attention_flops(
    query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


FORMULAS = {
    # On a CPU attention is one operation that torch's counter does not know.
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}
"""Operations by the shapes of the arguments, beside torch's formulas."""

_MOVES = {
    "_to_copy", "arange", "cat", "clone", "contiguous", "copy", "detach", "empty", "empty_like",
    "empty_strided", "fill", "full", "full_like", "new_empty", "new_full", "new_ones", "new_zeros",
    "ones", "ones_like", "scalar_tensor", "stack", "_unsafe_view", "zeros", "zeros_like",
}  # fmt: skip
