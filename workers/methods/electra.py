"""ELECTRA: a model learns which tokens of a text a small generator has replaced.

Source: Clark, Luong, Le, Manning 2020, ELECTRA: Pre-training Text Encoders as Discriminators
Rather Than Generators, arXiv:2003.10555.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional
from transformers import ElectraForMaskedLM, PreTrainedModel
from transformers.activations import ACT2FN

from pricetag.accounting.work.flops import TRAINING_PER_FORWARD, linear_flops
from pricetag.recipes.methods.pretrain_electra import PretrainElectra
from workers.job.context import StageContext
from workers.training.cost.flops import FlopProfile
from workers.training.finetune import count_model, count_operations
from workers.training.forward_pass import ForwardPass, accepted
from workers.training.model import precision
from workers.training.model.generator import (
    generator_config,
    generator_of,
    require_shareable,
    require_type,
    sizes,
)
from workers.training.model.models import needed, read_config
from workers.training.plugin import BatchPlace, LossTerm, ParameterGroup, Plugin, Step
from workers.training.tasks.language import IGNORED

EPSILON = 1e-6  # of the means, in the authors' code, and of Adam
INITIAL_STD = 0.02


def generator_loss(
    logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Mean cross-entropy of the generator's predicted tokens (scalar).

    Args:
        logits: ``[..., vocabulary]``.
        targets: The original tokens ``[...]``.
        weights: 1 for predicted tokens, 0 for places that fill the tensor ``[...]``.

    Source: Clark et al. 2020, section 2 (L_MLM); 1e-6 in the divisor as in the authors' code.
    """
    losses = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), reduction="none"
    )
    weights = weights.reshape(-1).to(losses.dtype)
    return (losses * weights).sum() / (weights.sum() + EPSILON)


def sample(logits: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """Tokens drawn from softmax(logits), one for each row, by inverting its distribution.

    Args:
        logits: ``[rows, vocabulary]``; no gradient flows through the draw.
        uniforms: Random numbers from 0 up to 1 ``[rows]``.

    Source: Clark et al. 2020, section 2 (x̂ ~ p_G).
    """
    steps = logits.detach().softmax(-1, dtype=torch.float64).cumsum(-1)
    marks = uniforms.to(steps).unsqueeze(-1) * steps[..., -1:]
    drawn = torch.searchsorted(steps, marks, right=True).squeeze(-1)
    return drawn.clamp(max=logits.shape[-1] - 1)


def replace_tokens(
    ids: torch.Tensor, predicted: torch.Tensor, samples: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The corrupted text, and which of its tokens are not the original ones.

    A sample that equals the original counts as original.

    Args:
        ids: Original tokens ``[batch, seq]``.
        predicted: Whether the generator has predicted each token ``[batch, seq]``.
        samples: The generator's tokens; only read at predicted places ``[batch, seq]``.

    Source: Clark et al. 2020, section 2 (x^corrupt).
    """
    corrupted = torch.where(predicted.bool(), samples, ids)
    return corrupted, corrupted != ids


def detection_losses(
    logits: torch.Tensor, replaced: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary cross-entropy over all tokens that are not padding, special tokens included.

    Args:
        logits: The discriminator's, ``[batch, seq]``.
        replaced: Whether each token was replaced ``[batch, seq]``.
        mask: 1 for tokens, 0 for padding ``[batch, seq]``.

    Returns:
        The mean over all tokens (scalar), and the mean of each text ``[batch]``.

    Source: Clark et al. 2020, section 2 (L_Disc); 1e-6 in the divisors as in the authors' code.
    """
    weights = mask.to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(
        logits, replaced.to(logits.dtype), reduction="none"
    )
    losses = losses * weights
    mean_loss = losses.sum() / (weights.sum() + EPSILON)
    return mean_loss, losses.sum(-1) / (weights.sum(-1) + EPSILON)


class DetectionHead(nn.Module):
    """States ``[batch, seq, hidden]`` -> a logit for each token ``[batch, seq]``.

    Source: Clark et al. 2020, section 2: sigmoid(wᵀ h); a dense layer before it as in their code.
    """

    def __init__(self, hidden: int, activation: str) -> None:
        super().__init__()
        self.dense, self.score = nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.activation = ACT2FN[activation]
        for layer in (self.dense, self.score):
            nn.init.normal_(layer.weight, std=INITIAL_STD)
            nn.init.zeros_(layer.bias)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """See the class."""
        logits: torch.Tensor = self.score(self.activation(self.dense(states)))
        return logits.squeeze(-1)

    @staticmethod
    def flops(hidden: int) -> int:
        """Operations of the forward pass for each token."""
        return linear_flops(1, hidden, hidden) + linear_flops(1, hidden, 1)


class Electra(Plugin):
    """Replaces tokens of each batch by the generator's, and keeps its loss for the term.

    Args:
        generator: The generator, which shares the embeddings of the model in training.
        profile: Its operations.
        head: The discriminator's head; not part of the model.
        number_format: Number format of the generator's arithmetic.
    """

    uncounted = ("drawing the generator's tokens",)

    def __init__(
        self,
        generator: ElectraForMaskedLM,
        profile: FlopProfile,
        head: DetectionHead,
        number_format: precision.Precision,
    ) -> None:
        self.generator, self.head = generator, head
        self.loss = torch.zeros(())
        self._profile = profile
        self._format = number_format
        self._predicted = 0

    def attach(self, model: nn.Module) -> None:
        """Put the generator and the head on the model's device."""
        device = next(model.parameters()).device
        parts: tuple[nn.Module, ...] = (self.generator, self.head)
        for part in parts:
            part.to(device).train()
        self._shared = {id(parameter) for parameter in model.parameters()}

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """The generator's parameters that the model does not share, and those of the head."""
        own = list(self._own().values())
        matrices = [parameter for parameter in own if parameter.dim() > 1]
        others = [parameter for parameter in own if parameter.dim() < 2]
        return [ParameterGroup(matrices), ParameterGroup(others, weight_decay=0.0)]

    def before_step(self, step: Step) -> None:
        """Set Adam's epsilon, 1e-6 (Clark et al. 2020, table 6)."""
        assert step.optimizer is not None
        for group in step.optimizer.param_groups:
            group["eps"] = EPSILON

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """The text with the generator's tokens; ``replaced`` marks those that differ from the
        original."""
        masked, targets = batch["input_ids"], batch["labels"]
        is_target = targets != IGNORED
        with precision.autocast(self._format, masked.device.type):
            states = self.generator.electra(**accepted(self.generator, batch)).last_hidden_state
            hidden = self.generator.generator_predictions(states[is_target])
            logits = self.generator.generator_lm_head(hidden).float()
        originals = targets[is_target]
        self._predicted = len(originals)
        self.loss = generator_loss(logits, originals, torch.ones_like(originals))
        uniforms = torch.rand(len(originals), generator=place.generator("electra"))
        samples = masked.clone()
        samples[is_target] = sample(logits, uniforms.to(logits.device))
        filled = torch.where(is_target, targets, masked)
        corrupted, replaced = replace_tokens(filled, is_target, samples)
        return {**batch, "input_ids": corrupted, "replaced": replaced}

    def extra_flops(self, rows: int, width: int) -> float:
        """Generator and head, forward and backward; its logits only at predicted tokens."""
        generator = rows * self._profile.without_head().forward(width)
        generator += self._predicted * self._profile.head
        head = rows * width * DetectionHead.flops(self.head.dense.in_features)
        return TRAINING_PER_FORWARD * (generator + head)

    def facts(self) -> dict[str, int]:
        """Sizes of the generator, for the card of the model."""
        return sizes(self.generator.config)

    def state(self) -> dict[str, torch.Tensor]:
        """The parameters that the model's checkpoint does not have."""
        return {name: parameter.detach() for name, parameter in self._own().items()}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore a checkpoint's parameters."""
        with torch.no_grad():
            for name, parameter in self._own().items():
                parameter.copy_(state[name])

    def _own(self) -> dict[str, nn.Parameter]:
        parts = {"generator": self.generator, "head": self.head}
        return {
            f"{part}.{name}": parameter
            for part, module in parts.items()
            for name, parameter in module.named_parameters()
            if id(parameter) not in self._shared
        }


class GeneratorLoss(LossTerm):
    """The generator's masked-LM loss on the batch.

    Args:
        electra: The plug-in that has computed it.
        weight: Factor of the term.
    """

    name = "generator"
    reads_logits = False

    def __init__(self, electra: Electra, weight: float) -> None:
        self.weight = weight
        self._electra = electra

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        return self._electra.loss


class Detection(LossTerm):
    """Detection of replaced tokens, from the states of the model.

    Args:
        head: The discriminator's head.
        weight: Factor of the term.
    """

    name = "detection"
    reads_logits = False

    def __init__(self, head: DetectionHead, weight: float) -> None:
        self.weight = weight
        self._head = head

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        logits = self._head(forward.outputs.last_hidden_state.float())
        mask = forward.inputs["attention_mask"]
        return detection_losses(logits, forward.targets["replaced"], mask)[0]


def count(params: PretrainElectra, context: StageContext) -> None:
    """Count the operations of both models, before the stage opens.

    Raises:
        JobError: ``bad-model``.
    """
    count_model(context)
    shape = read_config(needed(context))
    require_type(shape, context.field)
    generator = generator_config(shape, params.generator_size, params.generator_layers)
    count_operations(context, generator)


def electra_of(params: PretrainElectra, context: StageContext, model: PreTrainedModel) -> Electra:
    """The plug-in for a discriminator, with a new generator and a new head.

    Args:
        params: The stage's options.
        context: The stage's context.
        model: The discriminator.

    Raises:
        JobError: ``bad-model`` if a generator cannot share its embeddings.
    """
    require_shareable(model, context.field)
    shape = generator_config(model.config, params.generator_size, params.generator_layers)
    generator = generator_of(model, shape, params.seed)
    head = DetectionHead(model.config.hidden_size, model.config.hidden_act)
    number_format = precision.choose(params.precision, context.job.device)
    return Electra(generator, count_operations(context, shape), head, number_format)


def terms(params: PretrainElectra, electra: Electra) -> list[LossTerm]:
    """The loss of both models."""
    return [
        GeneratorLoss(electra, params.generator_weight),
        Detection(electra.head, params.detection_weight),
    ]
