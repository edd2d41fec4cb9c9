"""Configuration and tensors of a stored model: names, shapes and types, not values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pricetag.strict_json import StrictJsonError, parse_json

MAX_CONFIG_BYTES = 10_000_000
MAX_HEADER_BYTES = 100_000_000

ITEM_BYTES: Mapping[str, int] = {
    **{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1},
    **{"I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1},
}
"""Bytes of one number by its type in a safetensors file."""

PACKED = ("integers.json",)
"""Notes of models whose weights are packed: their tensors do not have the weights' shapes."""


class UnreadableModelError(ValueError):
    """A folder is not a model that can be inspected; the message states why."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor of a file: its name, shape and type."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def numbers(self) -> int:
        """Number of its elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Its bytes."""
        return self.numbers * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class StoredModel:
    """A stored model.

    Attributes:
        name: Name of its folder.
        config: Its ``config.json``.
        tensors: All tensors of its files, each once.
        groups: For models whose layers share weights: for each layer the layer that is stored.
        notes: Names of the files that state how its modules differ from the configuration.
        exits: Layers after which an example may leave, from 0; empty without early exits.
        evaluations: How often a forward pass computes the layers.
        hashing: Rounds, buckets and chunk of an attention within buckets of a hash.
    """

    name: str
    config: Mapping[str, Any]
    tensors: tuple[StoredTensor, ...]
    groups: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()
    exits: tuple[int, ...] = ()
    evaluations: int = 1
    hashing: Mapping[str, int] | None = None


def read_model(folder: Path) -> StoredModel:
    """Read the parts of a model from its folder.

    Raises:
        UnreadableModelError: There is no such model, or its files are damaged or packed.
    """
    if not folder.is_dir():
        raise UnreadableModelError(
            f"'{folder}' is not a folder; use the folder of a model, with config.json and "
            "*.safetensors (download a model of the hub first)"
        )
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))
    if not files:
        raise UnreadableModelError(f"'{folder}' has no weights (*.safetensors)")
    if packed := [name for name in PACKED if (folder / name).exists()]:
        raise UnreadableModelError(
            f"the weights of '{folder}' are packed ({packed[0]}); inspect the model that it was "
            "made from"
        )
    config = _json_object(folder / "config.json")
    tensors = {tensor.name: tensor for file in files for tensor in _header(file)}
    notes = [name for name in NOTES if (folder / name).exists()]
    groups = _json_object(folder / SHARED)["groups"] if SHARED in notes else None
    exits = _json_object(folder / EXITS).get("layers", ()) if EXITS in notes else ()
    return StoredModel(
        folder.resolve().name,
        config,
        tuple(tensors.values()),
        None if groups is None else tuple(groups),
        tuple(notes),
        tuple(exits),
        _json_object(folder / DEQ)["evaluations"] + 1 if DEQ in notes else 1,
        _json_object(folder / REFORMER) if REFORMER in notes else None,
    )


SHARED, EXITS = "shared_layers.json", "exits.json"
DEQ, REFORMER = "deq.json", "reformer.json"
NOTES = (
    *(SHARED, "factorized_embedding.json", "slices.json"),
    *("low_rank.json", EXITS, "quantization.json", "half.json", DEQ, REFORMER),
)
"""Notes beside models that are not plain."""


def _json_object(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise UnreadableModelError(f"{file} is larger than {MAX_CONFIG_BYTES} bytes")
        content = parse_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableModelError(f"cannot read {file}: {error.strerror}") from error
    except (StrictJsonError, UnicodeDecodeError) as error:
        raise UnreadableModelError(f"{file} is invalid: {error}") from error
    if not isinstance(content, dict):
        raise UnreadableModelError(f"{file} is not an object of fields")
    return content


def _header(file: Path) -> list[StoredTensor]:
    """The tensors that a safetensors file declares at its beginning."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise UnreadableModelError(f"{file} is not a safetensors file")
            declared = json.loads(stream.read(length))
        return [
            StoredTensor(name, tuple(map(int, entry["shape"])), _known(entry["dtype"], file))
            for name, entry in declared.items()
            if name != "__metadata__"
        ]
    except OSError as error:
        raise UnreadableModelError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, UnreadableModelError):
            raise
        raise UnreadableModelError(f"{file} is not a safetensors file") from error


def _known(dtype: str, file: Path) -> str:
    if dtype not in ITEM_BYTES:
        raise UnreadableModelError(f"{file} has numbers of the unknown type {dtype}")
    return dtype
