"""The possible savings of each method, by arithmetic; quality is not considered."""

from __future__ import annotations

from dataclasses import dataclass

from pricetag.inspection.files import StoredModel, StoredTensor
from pricetag.inspection.parts import LAYER, Parts, weights_of

EMBEDDING_SIZE = 128


@dataclass(frozen=True)
class Saving:
    """Size and operations of a model after a method.

    Attributes:
        method: Kind of the stage, and the options that matter.
        parameters: Parameters that are stored and not zero.
        size_bytes: Bytes of the weights.
        flops: Operations of a forward pass, zeros included.
        note: What the method does not save.
    """

    method: str
    parameters: int
    size_bytes: int
    flops: int
    note: str = ""


def savings_of(model: StoredModel, parts: Parts) -> list[Saving]:
    """What remains after each method with usual options; empty for a model that is not plain.

    Bytes are 4 for each weight, except where the method stores fewer.

    Args:
        model: The model.
        parts: Its parts.
    """
    if model.notes or model.config.get("model_type") != "bert":
        return []
    weights = weights_of(model)
    matrices = [t for t in weights if len(t.shape) == 2 and LAYER.search(t.name)]
    total, length = parts.total, parts.length
    in_matrices = sum(tensor.numbers for tensor in matrices)
    return [
        Saving("quantize, method: bf16", total.parameters, 2 * total.parameters, total.flops),
        Saving(
            "quantize",
            total.parameters,
            sum(_int8_bytes(tensor) for tensor in weights),
            total.flops,
            "computes with 8-bit numbers, on the CPU",
        ),
        Saving(
            "prune, sparsity: 0.5",
            total.parameters - in_matrices // 2,
            4 * total.parameters - 2 * in_matrices + in_matrices // 8,
            total.flops,
            "zeros save no time on dense hardware",
        ),
        _half_of_the_heads(model, parts, matrices),
        _half_of_the_layers(parts, weights),
        _low_rank(parts, matrices),
        _albert(parts, weights, length),
    ]


def _int8_bytes(tensor: StoredTensor) -> int:
    """A byte for each weight of a matrix or a table, with a scale for each row."""
    if len(tensor.shape) != 2:
        return 4 * tensor.numbers
    return tensor.numbers + 4 * tensor.shape[0]


def _half_of_the_heads(model: StoredModel, parts: Parts, matrices: list[StoredTensor]) -> Saving:
    hidden, heads = (int(model.config[name]) for name in ("hidden_size", "num_attention_heads"))
    layers = _layers(matrices)
    removed = layers * heads // 2 * (hidden // heads)  # columns and rows, over all layers
    total = parts.total
    parameters = total.parameters - removed * (4 * hidden + 3)
    length = parts.length
    flops = total.flops - removed * (8 * length * hidden + 4 * length**2)
    method = "prune, method: heads, share: 0.5"
    return Saving(method, parameters, 4 * parameters, flops)


def _half_of_the_layers(parts: Parts, weights: list[StoredTensor]) -> Saving:
    total = parts.total
    gone = [t for t in weights if (m := LAYER.search(t.name)) and int(m[1]) % 2]
    in_layers = parts.by_name["attention"].flops + parts.by_name["feed_forward"].flops
    layers = _layers(weights)
    parameters = total.parameters - sum(tensor.numbers for tensor in gone)
    flops = total.flops - in_layers * (layers // 2) // layers
    return Saving("prune, method: layerdrop", parameters, 4 * parameters, flops)


def _low_rank(parts: Parts, matrices: list[StoredTensor]) -> Saving:
    saved = 0
    for tensor in matrices:
        rows, columns = tensor.shape
        rank = max(1, int(0.5 * rows * columns / (rows + columns)))
        saved += tensor.numbers - rank * (rows + columns)
    total = parts.total
    parameters = total.parameters - saved
    method = "factorize, method: low_rank, ratio: 0.5"
    return Saving(method, parameters, 4 * parameters, total.flops - 2 * parts.length * saved)


def _albert(parts: Parts, weights: list[StoredTensor], length: int) -> Saving:
    total, layers = parts.total, _layers(weights)
    in_layers = sum(tensor.numbers for tensor in weights if LAYER.search(tensor.name))
    parameters = total.parameters - in_layers * (layers - 1) // layers
    flops, size = total.flops, EMBEDDING_SIZE
    table = next(t for t in weights if t.name.endswith("word_embeddings.weight"))
    rows, hidden = table.shape
    options = ""
    if size * (rows + hidden) < table.numbers:
        parameters += size * (rows + hidden) - table.numbers
        flops += 2 * length * size * hidden
    else:
        options = ", embedding_size: null"
    method = f"share, method: albert{options}"
    return Saving(method, parameters, 4 * parameters, flops, "saves neither operations nor time")


def _layers(tensors: list[StoredTensor]) -> int:
    return len({m[1] for tensor in tensors if (m := LAYER.search(tensor.name))})
