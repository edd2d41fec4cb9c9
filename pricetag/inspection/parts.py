"""Parameters, bytes and operations of a stored model by its parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from pricetag.inspection.files import StoredModel, StoredTensor, UnreadableModelError

PartName = Literal["embedding", "attention", "feed_forward", "head"]
PARTS: tuple[PartName, ...] = ("embedding", "attention", "feed_forward", "head")

LAYER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?|albert_layer_groups)\.(\d+)\.")
_ATTENTION = re.compile(r"attention|attn|\.sa_layer_norm|\.ln_1\.", re.IGNORECASE)
_EMBEDDING = re.compile(r"embed|(?:^|\.)w[tp]e\.")
_PROJECTION = re.compile(r"project|mapping")
_QUERY = re.compile(r"\.(?:query|q_lin|q_proj)(?:\.second)?\.weight$")
_FUSED = re.compile(r"\.c_attn(\.second)?\.weight$")
_TABLE = re.compile(r"(?:word_embeddings|wte|embed_tokens)\.weight$")
_OUTPUT = re.compile(r"(?:predictions\.decoder|lm_head|lm_head\.decoder|vocab_projector)\.weight$")
_BIAS = "predictions.decoder.bias"  # the same as predictions.bias, in older files
_ONE_TEXT = re.compile(r"pooler|(?:^|\.)exits\.")
_POOLER = re.compile(r"(?:^|\.)pooler\.")
_WORDS = ("ForMaskedLM", "LMHeadModel", "ForCausalLM")


@dataclass
class Part:
    """A part of a model.

    Attributes:
        parameters: Number of parameters.
        size_bytes: Bytes of its tensors.
        flops: Operations of a forward pass on one text.
    """

    parameters: int = 0
    size_bytes: int = 0
    flops: int = 0


@dataclass
class Parts:
    """A model by its parts, on a text of ``length`` tokens."""

    length: int
    by_name: dict[PartName, Part] = field(default_factory=lambda: {name: Part() for name in PARTS})

    @property
    def total(self) -> Part:
        """All parts together."""
        parts = self.by_name.values()
        return Part(
            sum(part.parameters for part in parts),
            sum(part.size_bytes for part in parts),
            sum(part.flops for part in parts),
        )


def part_of(name: str) -> PartName:
    """The part to which a tensor belongs, by its name."""
    if LAYER.search(name):
        return "attention" if _ATTENTION.search(name) else "feed_forward"
    return "embedding" if _EMBEDDING.search(name) else "head"


def weights_of(model: StoredModel) -> list[StoredTensor]:
    """The tensors of parameters: no buffers, scales of 8-bit weights, or a tied matrix again."""
    shapes = {tensor.name: tensor.shape for tensor in model.tensors}
    tables = {shape for name, shape in shapes.items() if _TABLE.search(name)}
    is_tied = model.config.get("tie_word_embeddings", True)

    def is_weight(tensor: StoredTensor) -> bool:
        name = tensor.name
        if name.endswith(".scale") and f"{name.removesuffix('scale')}weight" in shapes:
            return False
        if name.endswith(_BIAS) and name.replace(".decoder.", ".") in shapes:
            return False
        if name.endswith(".rotations"):
            return False
        if is_tied and _OUTPUT.search(name) and tensor.shape in tables:
            return False
        return tensor.dtype.startswith(("F", "BF")) or tensor.dtype == "I8"

    return [tensor for tensor in model.tensors if is_weight(tensor)]


def parts_of(model: StoredModel, length: int) -> Parts:
    """Count a model's parameters, bytes and operations by part, from the shapes of its tensors.

    A matrix in a layer costs 2 x tokens x weights in each layer that uses it, the mixing in
    attention 4 x tokens² x width; a classifier computes once for the text, other heads for each
    token. Normalization, activation and softmax are omitted, as is customary.

    Args:
        model: The model.
        length: Number of tokens of the text.

    Raises:
        UnreadableModelError: The model is an encoder with a decoder, or has no known layers.
    """
    if model.config.get("is_encoder_decoder"):
        raise UnreadableModelError("a model of an encoder and a decoder cannot be inspected")
    parts, uses = Parts(length), _uses(model)
    for tensor in model.tensors:
        parts.by_name[part_of(tensor.name)].size_bytes += tensor.size_bytes
    for tensor in weights_of(model):
        part = parts.by_name[part_of(tensor.name)]
        part.parameters += tensor.numbers
        part.flops += 2 * tensor.numbers * _rows(model, tensor, length, uses)
    for layer, width in _attention_widths(model):
        parts.by_name["attention"].flops += _mixing(model, length, width) * uses.get(layer, 1)
    parts.by_name["head"].flops += 2 * length * _tied_output(model)
    return parts


@dataclass(frozen=True)
class Exit:
    """The operations of an example that leaves after a layer.

    Attributes:
        layer: The layer, from 0.
        flops: Operations on the text, with the classifiers on the way.
    """

    layer: int
    flops: int


def exits_of(model: StoredModel, length: int) -> list[Exit]:
    """The operations up to each early exit of a model; empty for a model without exits.

    Args:
        model: The model.
        length: Number of tokens of the text.
    """
    if not model.exits:
        return []
    once = dict.fromkeys(_uses(model), 1)
    of_layer = dict.fromkeys(once, 0)
    embedding = pooler = classifier = 0
    for tensor in weights_of(model):
        flops = 2 * tensor.numbers * _rows(model, tensor, length, once)
        if in_layer := LAYER.search(tensor.name):
            of_layer[int(in_layer[1])] += flops
        elif part_of(tensor.name) == "embedding":
            embedding += flops
        elif _POOLER.search(tensor.name):
            pooler += 2 * tensor.numbers if len(tensor.shape) == 2 else 0
        elif tensor.name == "classifier.weight":
            classifier = flops
    for layer, width in _attention_widths(model):
        of_layer[layer] += _mixing(model, length, width)
    stored = model.groups or tuple(range(model.exits[-1] + 1))
    return [
        Exit(
            layer,
            embedding
            + sum(of_layer[stored[each]] + pooler for each in range(layer + 1))
            + classifier * (number + 1),
        )
        for number, layer in enumerate(model.exits)
    ]


def _uses(model: StoredModel) -> dict[int, int]:
    """How many layers compute with each stored layer."""
    numbers = {int(m[1]) for t in model.tensors if (m := LAYER.search(t.name))}
    if not numbers:
        raise UnreadableModelError(
            f"the layers of a {model.config.get('model_type', 'model')} are not known"
        )
    if model.groups is not None:
        return {number: model.groups.count(number) for number in numbers}
    if model.config.get("model_type") == "albert":
        return dict.fromkeys(numbers, int(model.config["num_hidden_layers"]) // len(numbers))
    return dict.fromkeys(numbers, model.evaluations)


def _mixing(model: StoredModel, length: int, width: int) -> int:
    """Operations of a layer's attention on a text, beside those of its weights."""
    hashing = model.hashing
    if hashing is None:
        return 4 * length**2 * width
    chunks = -(-length // hashing["chunk"])
    of_chunk = 8 * hashing["chunk"] ** 2 * width + hashing["chunk"] * width * hashing["buckets"]
    return chunks * hashing["rounds"] * of_chunk


def _rows(model: StoredModel, tensor: StoredTensor, length: int, uses: dict[int, int]) -> int:
    """How many vectors are multiplied by a matrix; 0 for a tensor that is not one."""
    name = tensor.name
    if len(tensor.shape) != 2:
        return 0
    part = part_of(name)
    if part == "embedding":
        return length if _PROJECTION.search(name) else 0
    layer = LAYER.search(name)
    if layer:
        return 0 if _EMBEDDING.search(name) else length * uses[int(layer[1])]
    if _POOLER.search(name) and model.exits:  # the pooler serves every layer
        return sum(uses.values())
    once = _ONE_TEXT.search(name) or _architecture(model).endswith("ForSequenceClassification")
    reads_all = model.config.get("model_type") == "gpt2"  # its classifier scores every token
    return 1 if once and not reads_all else length


def _attention_widths(model: StoredModel) -> Iterator[tuple[int, int]]:
    """Stored layer and width of all its heads."""
    is_known = False
    for tensor in weights_of(model):
        layer = LAYER.search(tensor.name)
        if layer is None:
            continue
        if _QUERY.search(tensor.name):
            is_known = True
            yield int(layer[1]), tensor.shape[0]
        elif fused := _FUSED.search(tensor.name):
            is_known = True
            yield int(layer[1]), tensor.shape[0 if fused[1] else 1] // 3
    if not is_known:
        kind = model.config.get("model_type", "model")
        raise UnreadableModelError(f"the attention of a {kind} is not known")


def _tied_output(model: StoredModel) -> int:
    """Weights of a language model's output that are those of its embedding table."""
    if not _architecture(model).endswith(_WORDS):
        return 0
    weights = weights_of(model)
    if any(_OUTPUT.search(tensor.name) for tensor in weights):
        return 0
    return next((tensor.numbers for tensor in weights if _TABLE.search(tensor.name)), 0)


def _architecture(model: StoredModel) -> str:
    names = model.config.get("architectures") or [""]
    return str(names[0])
