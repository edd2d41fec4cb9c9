"""Profile of a model of any format: parameters, bytes, operations per token and sequence."""

from __future__ import annotations

import copy
from dataclasses import dataclass

from transformers import PreTrainedConfig, PreTrainedModel

from workers.training.cost import flops as flops_module
from workers.training.cost.counting import OperationCounter
from workers.training.cost.flops import (
    FlopProfile,
    count_lengths,
    hidden_size,
    parabola,
)
from workers.training.formats import registry
from workers.training.formats.exits import exits_of
from workers.training.formats.sparse import is_sparse
from workers.training.formats.weights import Weights, count_weights
from workers.training.model.heads import head_of
from workers.training.model.positions import position_limit

SPARSE = "sparse"
LENGTHS = (16, 32, 64)
SHORT_LENGTHS = (2, 3, 4)


@dataclass(frozen=True)
class ModelProfile:
    """Costs of a model that follow from its shape and weights.

    Attributes:
        formats: Names of its formats; ``plain`` if there are none.
        weights: Parameters (shared ones once), parameters that are not zero, bytes.
        flops: Operations of one example; layers that share weights count each time, and so do
            the heads of all exits.
        exits: Operations of an example that leaves at each exit, the last one included.
        trainable: Whether the model can be trained further.
        only_on_cpu: Whether it computes on the CPU even if the job has a GPU.
        low_bit: Whether it multiplies by its weights in 8 bits or fewer.
    """

    formats: tuple[str, ...]
    weights: Weights
    flops: FlopProfile
    exits: tuple[FlopProfile, ...] = ()
    trainable: bool = True
    only_on_cpu: bool = False
    low_bit: bool = False

    @property
    def density(self) -> float:
        """Share of the encoder's weights that are not zero."""
        return self.weights.density

    @property
    def is_sparse(self) -> bool:
        """Whether the model was pruned: more of its weights are zero than by chance."""
        return SPARSE in self.formats

    @property
    def sparsity(self) -> float:
        """Share of the encoder's weights that are zero."""
        return 1 - self.density

    def effective_flops_per_sequence(self, length: int) -> float:
        """Operations of one example of ``length`` tokens, without multiplications by zero."""
        return self.flops.forward(length, self.density)

    def low_bit_ops_per_sequence(self, length: int) -> float:
        """The part of one example's operations that works on 8-bit numbers."""
        return self.flops.low_bit(length) if self.low_bit else 0.0

    def speed_note(self) -> str | None:
        """A note that zeros save no time, for a model with zeros: its kernels multiply them too."""
        if self.density >= 1:
            return None
        kind = "8-bit" if self.low_bit else "dense"
        return (
            f"{self.sparsity:.1%} of the encoder's weights are zero: no speed-up on {kind} kernels"
        )

    def flops_per_sequence(self, length: int) -> float:
        """Operations of one example of ``length`` tokens, multiplications by zero included."""
        return self.flops.forward(length)

    def flops_per_token(self, length: int) -> float:
        """Operations per token in an example of ``length`` tokens."""
        return self.flops.forward(length) / length


def profile(
    model: PreTrainedModel,
    flops: FlopProfile | None = None,
    exits: tuple[FlopProfile, ...] = (),
) -> ModelProfile:
    """Count a model of any format, without a forward pass on its weights.

    Args:
        model: A model of any format.
        flops: Its operations, where they were counted before.
        exits: Operations up to each exit, where ``flops`` are stated.
    """
    notes = registry.describe(model)
    weights = count_weights(model)
    low_bit = registry.low_bit(notes)
    sparse = not registry.rounds_to_zero(notes) and is_sparse(weights.density, low_bit=low_bit)
    names = [*notes, *([SPARSE] if sparse else [])]
    if flops is None:
        flops, exits = _count_operations(model, notes)
    return ModelProfile(
        tuple(names) or ("plain",),
        weights,
        flops,
        exits,
        trainable=not registry.is_final(notes),
        only_on_cpu=registry.only_on_cpu(notes),
        low_bit=low_bit,
    )


def _count_operations(
    model: PreTrainedModel, notes: registry.Notes
) -> tuple[FlopProfile, tuple[FlopProfile, ...]]:
    """Operations of the whole model, and up to each exit."""
    if not registry.same_operations(notes):
        return count_structure(model.config, notes)
    head = head_of(model)
    counted = flops_module.profile(model.config, head)
    if head.per_token:
        return counted, ()
    return counted.with_classes(model.config.num_labels or 1, hidden_size(model.config)), ()


def count_structure(
    config: PreTrainedConfig, notes: registry.Notes
) -> tuple[FlopProfile, tuple[FlopProfile, ...]]:
    """Operations of a forward pass, and up to each exit, counted on meta tensors.

    The head is counted with the configuration's own number of classes.
    """
    model = registry.meta_skeleton(copy.deepcopy(config), notes)
    exits = exits_of(model)
    if exits is None:
        return _counted(model), ()
    exits.threshold = None  # operations do not depend on values
    parts = []
    for number in range(len(exits.layers)):
        exits.stop_at = number
        parts.append(_counted(model, exits.layers[number] + 1))
    return parts[-1], tuple(parts)


def _counted(model: PreTrainedModel, layers: int | None = None) -> FlopProfile:
    """The count, or an unknown profile with the reason; training continues in both cases."""
    configs = [getattr(part, "config", None) for part in model.modules()]
    failures = []
    for keeps_padding in (True, False):
        if not keeps_padding:  # some compare values with it, which meta tensors do not have
            for config in configs:
                if isinstance(config, PreTrainedConfig):
                    config.pad_token_id = None
        try:
            return _counted_unchanged(model, layers)
        except MemoryError:
            raise
        except Exception as error:  # a model's own code may raise anything
            failures.append(f"{type(error).__name__}: {str(error)[:200]}")
    reasons = "; ".join(dict.fromkeys(failures))
    return flops_module.unknown(
        f"the forward pass of {model.config.model_type} (on meta tensors: {reasons})"
    )


def _counted_unchanged(model: PreTrainedModel, layers: int | None) -> FlopProfile:
    limit = position_limit(model)
    lengths = LENGTHS if limit is None or limit - 2 >= LENGTHS[-1] else SHORT_LENGTHS
    counter = OperationCounter()
    counts, in_head = count_lengths(model, lengths, counter)
    chunk, per_chunk = registry.chunked_flops(model, layers)
    pairs = zip(lengths, counts, strict=True)
    others = [count - per_chunk * -(-length // chunk) for length, count in pairs]
    square, linear, fixed = parabola(lengths, others)
    method = "FlopCounterMode on meta tensors of the model's own modules, 2 per multiply-add"
    linear -= in_head
    return FlopProfile(
        square, linear, fixed, method, counter.names(), in_head, chunk, float(per_chunk)
    )
