"""The teacher of a distillation: one forward pass per batch, for any number of loss terms."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from workers.training.cost.flops import FlopProfile
from workers.training.formats.exits import exits_of
from workers.training.forward_pass import ForwardPass
from workers.training.model import precision
from workers.training.model.heads import head_of
from workers.training.model.recording import NOTHING, LayerAttention, Needs, Recorder, prepared

CACHE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class TeacherOutputs:
    """The teacher's outputs on a batch; states and attention if a term needs them.

    ``outputs`` are the model's own, or its logits alone where they were cached.
    """

    outputs: Any
    hidden_states: Sequence[torch.Tensor] = ()
    attention: Sequence[LayerAttention] = ()

    @cached_property
    def logits(self) -> torch.Tensor:
        """The teacher's logits in fp32, ``[batch, ..., classes]``."""
        logits: torch.Tensor = self.outputs.logits.float()
        return logits


class Teacher:
    """A frozen model in evaluation mode (no dropout), shared by all terms of a loss.

    Where the terms need a classifier's logits alone, an example's logits are computed once and
    kept for later epochs. The cache is exact: an example's logits never change once they are
    known. It is bounded; the logits of further examples, and those of every token of a text, are
    computed in each epoch.

    Args:
        model: The model; frozen here.
        precision_: Number format of its arithmetic.
        profile: Its operations.
        cache_bytes: Largest size of the cache.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        precision_: precision.Precision,
        profile: FlopProfile,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.model = model.requires_grad_(False)
        self.model.train(False)
        if (exits := exits_of(model)) is not None:
            exits.threshold = None  # its students learn from all layers
        self.model.config.use_cache = False  # it generates nothing: keys and values need no copy
        self._precision = precision_
        self._profile = profile
        self._cache_bytes = cache_bytes
        self._examples = 0
        self._needs = NOTHING
        self._with_head = True
        self._recorder = Recorder(model, NOTHING)
        self._logits: torch.Tensor | None = None
        self._cached = torch.zeros(0, dtype=torch.bool)
        self._batch: ForwardPass | None = None
        self._outputs: TeacherOutputs | None = None
        self._rows_computed = 0

    def begin(self, needs: Needs, examples: int, *, logits: bool = True) -> None:
        """Prepare for training.

        Args:
            needs: Recordings that the terms need.
            examples: Number of examples.
            logits: Whether a term reads logits; without one the head is not computed.
        """
        self._needs, self._examples, self._with_head = needs, examples, logits
        self._recorder = Recorder(self.model, needs)

    def serving(self) -> AbstractContextManager[Recorder]:
        """A context with the kind of attention that the terms need, for the time of training."""
        return prepared(self.model, self._needs)

    def outputs(self, forward: ForwardPass) -> TeacherOutputs:
        """The teacher's outputs for the student's batch, on the student's device."""
        if self._outputs is None or self._batch is not forward:
            self._batch, self._outputs = forward, self._for(forward)
        return self._outputs

    def flops(self, width: int) -> float:
        """Operations of the last batch, padded to ``width``; 0 if its logits were cached."""
        profile = self._profile if self._with_head else self._profile.without_head()
        return self._rows_computed * profile.forward(width)

    def forget_batch(self) -> None:
        """Free the last batch's tensors."""
        self._batch = self._outputs = None
        self._rows_computed = 0

    def _for(self, forward: ForwardPass) -> TeacherOutputs:
        device = forward.inputs["input_ids"].device
        cacheable = forward.as_in_data and not head_of(self.model).per_token
        if self._needs.records or not cacheable:
            return self._computed(forward, device)
        rows = forward.index.cpu()
        cached = self._is_cached(rows)
        if not bool(cached.all()):
            fresh = self._computed(forward, device).logits
            self._remember(rows, cached, fresh)
            cached = self._is_cached(rows)
            if not bool(cached.all()):
                return _only_logits(self._with_cached(fresh, rows, cached))
        assert self._logits is not None
        return _only_logits(self._logits[rows].to(device))

    def _is_cached(self, rows: torch.Tensor) -> torch.Tensor:
        """Whether each example's logits are cached, ``[batch]``."""
        cached = rows < len(self._cached)
        cached[cached.clone()] = self._cached[rows[cached]]
        return cached

    def _with_cached(
        self, fresh: torch.Tensor, rows: torch.Tensor, cached: torch.Tensor
    ) -> torch.Tensor:
        if self._logits is not None and bool(cached.any()):
            fresh[cached.to(fresh.device)] = self._logits[rows[cached]].to(fresh.device)
        return fresh

    def _computed(self, forward: ForwardPass, device: torch.device) -> TeacherOutputs:
        self.model.to(device)  # type: ignore[arg-type]
        with (
            torch.no_grad(),
            precision.autocast(self._precision, device.type),
            self._recorder.recording(),
        ):
            model = self.model if self._with_head else self.model.base_model
            outputs = model(**forward.inputs)
        self._rows_computed = len(forward.inputs["input_ids"])
        recorder = self._recorder
        return TeacherOutputs(outputs, recorder.hidden_states, recorder.attention)

    def _remember(self, rows: torch.Tensor, cached: torch.Tensor, fresh: torch.Tensor) -> None:
        """Cache the logits of examples that have a place in the cache and are not cached yet."""
        if self._logits is None:
            places = min(self._examples, self._cache_bytes // (4 * fresh.shape[1]))
            self._logits = torch.zeros((places, fresh.shape[1]))
            self._cached = torch.zeros(places, dtype=torch.bool)
        new = ~cached & (rows < len(self._cached))
        self._logits[rows[new]] = fresh.cpu()[new]
        self._cached[rows[new]] = True

    def state(self) -> dict[str, torch.Tensor]:
        """The cached logits, for a checkpoint."""
        if self._logits is None:
            return {}
        return {"logits": self._logits, "cached": self._cached}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore a checkpoint's logits."""
        if state:
            self._logits, self._cached = state["logits"], state["cached"]


def _only_logits(logits: torch.Tensor) -> TeacherOutputs:
    return TeacherOutputs(SequenceClassifierOutput(logits=logits))
