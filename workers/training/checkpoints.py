"""Checkpoints of an interrupted training, as tensors without pickles; finds complete ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pricetag.atomic_files import replaced

STATE = "trainer_state.json"  # written last: where it exists, the checkpoint is complete


def newest(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps."""
    complete = [path for path in folder.glob("checkpoint-*") if _complete(path)]
    return max(complete, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """Optimizer steps that were done when a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def trainable_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """A model's tensors by name; one that several layers share appears once."""
    everything: dict[str, torch.Tensor] = {}
    for prefix, module in model.named_modules():  # each module once
        module._save_to_state_dict(everything, f"{prefix}." if prefix else "", keep_vars=False)
    tensors: dict[str, torch.Tensor] = {}
    stored: set[tuple[int, int]] = set()
    for name, tensor in everything.items():
        place = (tensor.data_ptr(), tensor.numel())
        if tensor.numel() and place in stored:
            continue
        stored.add(place)
        tensors[name] = tensor.contiguous()
    return tensors


def save_tensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors atomically: the file is complete or does not exist."""
    ready = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    with replaced(path) as draft:
        save_file(ready, draft, metadata={"format": "pt"})


def save_states(states: Mapping[str, Mapping[str, torch.Tensor]], path: Path) -> None:
    """Write the states of several owners into one file."""
    save_tensors(
        {
            f"{owner}/{key}": value
            for owner, state in states.items()
            for key, value in state.items()
        },
        path,
    )


def load_states(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Read back what ``save_states`` wrote, by owner."""
    states: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(path).items():
        owner, _, key = name.partition("/")
        states.setdefault(owner, {})[key] = tensor
    return states


def _complete(checkpoint: Path) -> bool:
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(state, dict) and "global_step" in state
