"""All formats, and saving and loading models through them."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from workers.training import formats
from workers.training.checkpoints import trainable_state
from workers.training.formats.base import Format, Note, StoredTensor

if TYPE_CHECKING:
    from workers.training.cost.flops import FlopProfile

WEIGHTS = "model.safetensors"

Notes = dict[str, Note]  # by the format's name


@cache
def all_formats() -> tuple[Format, ...]:
    """Every format of the package (the modules that define ``FORMAT``), in order of rebuilding."""
    modules = [
        importlib.import_module(f"{formats.__name__}.{info.name}")
        for info in pkgutil.iter_modules(formats.__path__)
    ]
    return tuple(
        sorted(
            (module.FORMAT for module in modules if hasattr(module, "FORMAT")),
            key=lambda each: each.order,
        )
    )


def describe(model: PreTrainedModel) -> Notes:
    """The notes of a model's formats; empty for a plain model."""
    notes = {each.name: each.describe(model) for each in all_formats()}
    return {name: note for name, note in notes.items() if note is not None}


def read_notes(folder: Path) -> Notes:
    """The notes beside a saved model; empty for a plain model."""
    return {
        each.name: json.loads((folder / each.note_file).read_text(encoding="utf-8"))
        for each in all_formats()
        if (folder / each.note_file).exists()
    }


def is_final(notes: Notes) -> bool:
    """Whether the weights cannot be trained any further."""
    return any(not each.trainable for each in all_formats() if each.name in notes)


def in_encoder(notes: Notes) -> bool:
    """Whether the model's formats change its encoder alone."""
    return all(each.in_encoder for each in all_formats() if each.name in notes)


def chunked_flops(model: PreTrainedModel, layers: int | None = None) -> tuple[int, int]:
    """Tokens of a chunk, and forward operations of the model for each chunk of a text."""
    notes = describe(model)
    chunked = [each.chunked_flops(model, layers) for each in all_formats() if each.name in notes]
    return max(chunked, key=lambda pair: pair[1], default=(1, 0))


def further_flops(
    model: PreTrainedModel, notes: Notes, profile: FlopProfile, width: int, density: float = 1.0
) -> float:
    """Operations of training on a text of ``width`` tokens, beyond three forward passes."""
    return sum(
        each.further_flops(model, notes[each.name], profile, width, density)
        for each in all_formats()
        if each.name in notes
    )


def only_on_cpu(notes: Notes) -> bool:
    """Whether the model computes on the CPU even if the job has a GPU."""
    return any(each.only_on_cpu for each in all_formats() if each.name in notes)


def low_bit(notes: Notes) -> bool:
    """Whether the model multiplies by its weights in 8 bits or fewer."""
    return any(each.low_bit for each in all_formats() if each.name in notes)


def rounds_to_zero(notes: Notes) -> bool:
    """Whether zeros among the weights do not mean that the model was pruned."""
    return any(each.rounds_to_zero for each in all_formats() if each.name in notes)


def speed_notes(notes: Notes, device: str) -> list[str]:
    """Why the model is not faster on a device than a plain one; empty if it may be."""
    reasons = [
        each.speed_note(notes[each.name], device) for each in all_formats() if each.name in notes
    ]
    return [reason for reason in reasons if reason is not None]


def same_operations(notes: Notes) -> bool:
    """Whether the operations follow from the configuration."""
    return all(each.same_operations for each in all_formats() if each.name in notes)


def structure(notes: Notes) -> Notes:
    """The notes without fields that do not change the modules, such as a threshold."""
    return {
        each.name: {k: v for k, v in notes[each.name].items() if k not in each.only_in_use}
        for each in all_formats()
        if each.name in notes
    }


def stored_tensors(module: nn.Module) -> Sequence[StoredTensor]:
    """A module's tensors as its format stores them; none for a module of plain parameters."""
    return next((stored for each in all_formats() if (stored := each.stored_tensors(module))), ())


def save(model: PreTrainedModel, folder: Path) -> None:
    """Write a model of any format: configuration, notes and tensors. No pickle."""
    folder.mkdir(parents=True, exist_ok=True)
    notes = describe(model)
    if not notes:
        model.save_pretrained(folder)
        return
    save_file(trainable_state(model), folder / WEIGHTS, metadata={"format": "pt"})
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    for each in all_formats():
        if each.name in notes:
            text = json.dumps(notes[each.name], indent=2)
            (folder / each.note_file).write_text(text, encoding="utf-8")


def load(folder: Path) -> PreTrainedModel:
    """Rebuild a model that ``save`` wrote with notes.

    Raises:
        ValueError: A note has an unknown format, or the tensors do not fit.
    """
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    model = skeleton(config, read_notes(folder))
    tensors = load_file(folder / WEIGHTS)
    names = trainable_state(model).keys()
    wrong = sorted(names ^ tensors.keys())
    if wrong:
        raise ValueError(f"{WEIGHTS} does not fit its config: {wrong[:5]}")
    model.load_state_dict(tensors, strict=False)  # a shared tensor has one of its names
    model.train(False)
    return model


def load_encoder(folder: Path, model: PreTrainedModel) -> None:
    """Load the encoder of a model that ``save`` wrote into one with another head, in place.

    Its pooler stays as it is where the saved model has none.

    Args:
        folder: Folder of the saved model.
        model: A model of the same formats.

    Raises:
        ValueError: The tensors do not fit.
    """
    prefix = f"{model.base_model_prefix}."
    tensors = load_file(folder / WEIGHTS)
    own = [name for name in trainable_state(model) if name.startswith(prefix)]
    stored = {name: tensors.get(name, tensors.get(name.removeprefix(prefix))) for name in own}
    missing = [name for name, tensor in stored.items() if tensor is None]
    if wrong := [name for name in missing if not name.startswith(f"{prefix}pooler.")]:
        raise ValueError(f"{WEIGHTS} does not fit its config: {wrong[:5]}")
    model.load_state_dict({n: t for n, t in stored.items() if t is not None}, strict=False)


def skeleton(config: PreTrainedConfig, notes: Notes) -> PreTrainedModel:
    """The modules of a model, without its weights."""
    name = (config.architectures or [""])[0]
    kind = getattr(transformers, name, None)
    model: PreTrainedModel
    if isinstance(kind, type) and issubclass(kind, PreTrainedModel):
        model = kind._from_config(config)  # type: ignore[no-untyped-call]
    else:
        model = AutoModelForSequenceClassification.from_config(config)  # type: ignore[no-untyped-call]
    rebuild(model, notes)
    return model


def rebuild(model: PreTrainedModel, notes: Notes) -> None:
    """Give a model fresh from its configuration the modules of its formats, in place."""
    for each in all_formats():
        if each.name in notes:
            each.rebuild(model, notes[each.name])


def meta_skeleton(config: PreTrainedConfig, notes: Notes) -> PreTrainedModel:
    """The modules without memory, for counting operations; without formats of the same count."""
    counted = {
        each.name: notes[each.name]
        for each in all_formats()
        if each.name in notes and not each.same_operations
    }
    with torch.device("meta"):
        model = skeleton(config, counted)
    model.train(False)
    return model


def note_files() -> list[str]:
    """File names of the notes."""
    return [each.note_file for each in all_formats()]
