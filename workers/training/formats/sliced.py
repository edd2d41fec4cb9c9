"""Sliced encoders: with heads and feed-forward neurons removed from their layers, or added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from workers.training.formats.base import Format, Note, require_format
from workers.training.model.recording import encoder_layers

_PARTS = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)


def slice_layer(
    model: PreTrainedModel, layer: int, heads: Sequence[int], neurons: Sequence[int]
) -> None:
    """Keep only some heads and neurons of a layer, in place.

    Rows of query, key, value (and columns of the attention's output) belong to heads, rows of
    the first feed-forward matrix (and columns of the second) to neurons.

    Args:
        model: A BERT-shaped model, changed in place.
        layer: Number of the layer.
        heads: Numbers of the heads to keep, among the layer's heads; at least one.
        neurons: Numbers of the neurons to keep; at least one.

    Raises:
        ValueError: No head or no neuron would remain, or the layer is not BERT-shaped.

    Source: Michel, Levy, Neubig 2019, arXiv:1905.10650; McCarley et al. 2019, arXiv:1910.06360.
    """
    if not heads or not neurons:
        raise ValueError(f"layer {layer}: keep at least one head and one neuron")
    module: Any = encoder_layers(model)[layer]
    parts = _parts(module)
    if parts is None:
        raise ValueError(f"the layers of a {model.config.model_type} model cannot be sliced")
    size = head_size(model)
    rows = torch.tensor([head * size + i for head in sorted(heads) for i in range(size)])
    neuron_indexes = torch.tensor(sorted(neurons))
    for name in _PARTS[:3]:
        _keep(parts[name], rows, dim=0)
    _keep(parts["attention.output.dense"], rows, dim=1)
    _keep(parts["intermediate.dense"], neuron_indexes, dim=0)
    _keep(parts["output.dense"], neuron_indexes, dim=1)
    module.is_sliced = True  # some architectures have other widths by design


def widen_layer(model: PreTrainedModel, layer: int, heads: int, neurons: int) -> None:
    """Add heads and neurons to a layer, after those it has, in place.

    They start as the architecture starts: weights from a normal distribution with the standard
    deviation ``initializer_range`` of the configuration, biases at 0, drawn from torch's own
    generator. What the layer had stays as it is.

    Args:
        model: A BERT-shaped model, changed in place.
        layer: Number of the layer.
        heads: Number of heads that the layer gets in all, not fewer than it has.
        neurons: Number of neurons that the layer gets in all, not fewer than it has.

    Raises:
        ValueError: The layer has more heads or neurons already, or is not BERT-shaped.
    """
    module: Any = encoder_layers(model)[layer]
    parts = _parts(module)
    if parts is None:
        raise ValueError(f"the layers of a {model.config.model_type} model cannot be widened")
    before = layer_sizes(model, layer)
    if before[0] > heads or before[1] > neurons:
        raise ValueError(f"layer {layer} already has {before[0]} heads and {before[1]} neurons")
    std, width = float(model.config.initializer_range), heads * head_size(model)
    for name in _PARTS[:3]:
        _grow(parts[name], width, std, dim=0)
    _grow(parts["attention.output.dense"], width, std, dim=1)
    _grow(parts["intermediate.dense"], neurons, std, dim=0)
    _grow(parts["output.dense"], neurons, std, dim=1)
    module.is_sliced = True


def layer_sizes(model: PreTrainedModel, layer: int) -> tuple[int, int]:
    """Number of heads and neurons of a layer.

    Raises:
        ValueError: The layer is not BERT-shaped.
    """
    parts = _parts(encoder_layers(model)[layer])
    if parts is None:
        raise ValueError(f"the layers of a {model.config.model_type} model have no such parts")
    heads = _width(parts["attention.self.query"], 0) // head_size(model)
    return heads, _width(parts["intermediate.dense"], 0)


def head_size(model: PreTrainedModel) -> int:
    """Width of one attention head."""
    return int(model.config.hidden_size // model.config.num_attention_heads)


class Sliced(Format):
    """A model with other numbers of heads or neurons in some layers than its configuration's."""

    name = "sliced"
    note_file = "slices.json"
    order = 20

    def describe(self, model: PreTrainedModel) -> Note | None:
        """See ``Format.describe``: heads and neurons of every layer."""
        try:
            layers = encoder_layers(model)
        except ValueError:
            return None
        if not any(getattr(layer, "is_sliced", False) for layer in layers):
            return None
        sizes = []
        for layer in layers:
            parts = _parts(layer)
            if parts is None:
                return None
            query, first = parts["attention.self.query"], parts["intermediate.dense"]
            sizes.append([_width(query, 0) // head_size(model), _width(first, 0)])
        full = [model.config.num_attention_heads, model.config.intermediate_size]
        if all(size == full for size in sizes):
            return None
        return {"format": 1, "layers": [{"heads": h, "neurons": n} for h, n in sizes]}

    def rebuild(self, model: PreTrainedModel, note: Note) -> None:
        """See ``Format.rebuild``."""
        require_format(note, 1, self.note_file)
        for number, sizes in enumerate(note["layers"]):
            # A shared layer was sliced with the first layer of its group.
            heads, neurons = sizes["heads"], sizes["neurons"]
            now = layer_sizes(model, number)
            if now != (heads, neurons):
                slice_layer(model, number, range(min(now[0], heads)), range(min(now[1], neurons)))
                widen_layer(model, number, heads, neurons)


FORMAT = Sliced()


def _parts(layer: nn.Module) -> dict[str, Any] | None:
    """The six matrices of a BERT-shaped layer; None for another shape."""
    try:
        return {name: layer.get_submodule(name) for name in _PARTS}
    except AttributeError:
        return None


def _width(module: Any, dim: int) -> int:
    """Size of a linear module of any format."""
    return int(module.out_features if dim == 0 else module.in_features)


def _keep(module: nn.Linear, index: torch.Tensor, dim: int) -> None:
    """Keep rows (dim 0) or columns (dim 1) of a linear module, in place."""
    index = index.to(module.weight.device)
    weight = module.weight.detach().index_select(dim, index).clone()
    module.weight = nn.Parameter(weight, requires_grad=module.weight.requires_grad)
    if dim == 0:
        module.out_features = len(index)
        if module.bias is not None:
            module.bias = nn.Parameter(module.bias.detach().index_select(0, index).clone())
    else:
        module.in_features = len(index)


def _grow(module: nn.Linear, size: int, std: float, dim: int) -> None:
    """Add rows (dim 0) or columns (dim 1) to a linear module up to a size, in place."""
    old = module.weight.detach()
    shape = list(old.shape)
    shape[dim] = size - old.shape[dim]
    if shape[dim] == 0:
        return
    # Drawn on the CPU: the same on every device.
    device = old.device if old.is_meta else torch.device("cpu")
    new = torch.empty(shape, dtype=old.dtype, device=device).normal_(0, std).to(old.device)
    weight = torch.cat([old, new], dim)
    module.weight = nn.Parameter(weight, requires_grad=module.weight.requires_grad)
    if dim == 0:
        module.out_features = size
        if module.bias is not None:
            bias = module.bias.detach()
            zeros = bias.new_zeros(shape[0])
            module.bias = nn.Parameter(torch.cat([bias, zeros]))
    else:
        module.in_features = size
