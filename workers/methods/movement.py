"""Movement pruning: scores of the weights are learned while the model is fine-tuned.

Source: Sanh, Wolf, Rush 2020, Movement Pruning: Adaptive Sparsity by Fine-Tuning,
arXiv:2005.07683.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from pricetag.recipes.methods.prune_movement import PruneMovement
from workers.job.context import StageContext
from workers.training import distillation
from workers.training.finetune import training_labels
from workers.training.formats.sparse import Matrix, prunable
from workers.training.forward_pass import ForwardPass
from workers.training.model.loaded import Loaded
from workers.training.model.models import for_training
from workers.training.plugin import LossTerm, ParameterGroup, Plugin, Step
from workers.training.pruning.masks import (
    Masks,
    Scope,
    entry_masks,
    keep_best,
    kept_rounded_down,
    kept_share,
    multiply_,
)
from workers.training.pruning.schedule import Ramp
from workers.training.teacher import Teacher

MIN_KEPT = 0.005


def top_masks(scores: dict[str, torch.Tensor], keep: float, scope: Scope) -> Masks:
    """Hard movement: masks that keep the share ``keep`` of the scores, int(keep * n) of n.

    Source: Sanh et al. 2020, section 4; the authors' code, TopKBinarizer.
    """
    return entry_masks(scores, 1 - keep, scope, kept_rounded_down)


def threshold_mask(score: torch.Tensor, threshold: float) -> torch.Tensor:
    """Soft movement: the mask sigmoid(score) > threshold, with at least 0.5% of the entries.

    Source: Sanh et al. 2020, section 4; the authors' code, ThresholdBinarizer.
    """
    mask = torch.sigmoid(score.detach()) > threshold
    fewest = int(MIN_KEPT * score.numel()) + 1
    if int(mask.sum()) >= fewest:
        return mask
    return keep_best([score], min(fewest, score.numel()))[0]


def score_gradient(gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """dL/dS = (dL/dW') * W for all entries, pruned ones too (straight-through estimator).

    Args:
        gradient: Gradient by the masked weight W' = W * mask, in its shape.
        weight: The weight W before masking.

    Source: Sanh et al. 2020, section 4, equation 2.
    """
    return gradient * weight.detach()


def mean_sigmoid(scores: Sequence[torch.Tensor]) -> torch.Tensor:
    """The regularizer of soft movement: the mean of sigmoid(S), averaged over the matrices.

    Source: Sanh et al. 2020, section 4; the authors' code, regularization.
    """
    return torch.stack([torch.sigmoid(score).mean() for score in scores]).mean()


class Movement(Plugin):
    """Learns scores beside the weights, and computes with the masked weights.

    Between the backward pass and the optimizer's step the model has its unmasked weights W, else
    W * mask. Gradients by W are masked, those by the scores are not.

    Args:
        ramp: Share of pruned entries (hard), or the threshold (soft), at each step.
        learning_rate: Learning rate of the scores.
        soft: Whether a threshold decides, instead of a number of entries.
        scope: One ranking of all matrices, or one of each (hard).
        freeze_embeddings: Whether embeddings are not trained.
    """

    uncounted = ("movement scores and masks",)

    def __init__(
        self,
        ramp: Ramp,
        learning_rate: float,
        *,
        soft: bool = False,
        scope: Scope = "per_matrix",
        freeze_embeddings: bool = True,
    ) -> None:
        self._ramp = ramp
        self._learning_rate = learning_rate
        self._soft = soft
        self._scope: Scope = scope
        self._freeze = freeze_embeddings
        self._matrices: dict[str, Matrix] = {}
        self.scores: dict[str, nn.Parameter] = {}
        self._dense: dict[str, torch.Tensor] = {}
        self._masks: Masks = {}
        self._frozen: list[nn.Parameter] = []
        self._density = 1.0

    def attach(self, model: nn.Module) -> None:
        """Make the scores, all 0, and freeze the embeddings."""
        self._matrices = prunable(model)
        for name, matrix in self._matrices.items():
            weight = matrix.weight.detach()
            self.scores[name] = nn.Parameter(torch.zeros_like(weight))
            self._dense[name] = weight.clone()
            self._masks[name] = torch.ones_like(weight, dtype=torch.bool)
        if self._freeze:
            self._frozen = [p for p in _embeddings(model) if p.requires_grad]
            for parameter in self._frozen:
                parameter.requires_grad_(False)

    def parameter_groups(self, model: nn.Module) -> Sequence[ParameterGroup]:
        """The scores."""
        return [ParameterGroup(list(self.scores.values()), self._learning_rate, 0.0)]

    def density(self) -> float:
        """Share of the weights that the masks keep."""
        return self._density

    def settled(self, step: Step) -> bool:
        """The masks reach the requested size only after the ramp."""
        return self._ramp.over(step.done, step.total)

    def after_backward(self, step: Step) -> None:
        """Gradients of the scores; the weights are unmasked for the optimizer."""
        with torch.no_grad():
            for name, matrix in self._matrices.items():
                weight, score, dense = matrix.weight, self.scores[name], self._dense[name]
                gradient = torch.zeros_like(weight) if weight.grad is None else weight.grad
                own = score_gradient(gradient, dense)
                score.grad = own if score.grad is None else score.grad.add_(own)
                multiply_(gradient, self._masks[name])
                weight.grad = gradient
                self._exchange(name)

    def after_step(self, step: Step) -> None:
        """Masks for the next step, by the scores as they are now."""
        value = self._ramp.sparsity(step.done, step.total)
        scores = {name: score.detach() for name, score in self.scores.items()}
        if self._soft:
            self._masks = {name: threshold_mask(score, value) for name, score in scores.items()}
        else:
            self._masks = top_masks(scores, 1 - value, self._scope)
        self._density = kept_share(list(self._masks.values()))
        for name, matrix in self._matrices.items():
            self._exchange(name)
            multiply_(matrix.weight, self._masks[name], self._dense[name])

    def _exchange(self, name: str) -> None:
        """Exchange the tensors of masked and unmasked weights, without copies."""
        weight = self._matrices[name].weight
        weight.data, self._dense[name] = self._dense[name], weight.data

    def detach(self, model: nn.Module) -> None:
        """Unfreeze the embeddings; the weights are masked already."""
        for parameter in self._frozen:
            parameter.requires_grad_(True)

    def state(self) -> dict[str, torch.Tensor]:
        """Scores, unmasked weights and masks, in the order of the matrices."""
        return {
            f"{part}/{number}": tensors[name].detach()
            for part, tensors in (
                *(("scores", self.scores), ("dense", self._dense)),
                ("masks", self._masks),
            )
            for number, name in enumerate(self._matrices)
        }

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the state of a checkpoint."""
        with torch.no_grad():
            for number, name in enumerate(self._matrices):
                self.scores[name].copy_(state[f"scores/{number}"])
                self._dense[name].copy_(state[f"dense/{number}"])
                self._masks[name] = state[f"masks/{number}"].to(self._dense[name].device)
        self._density = kept_share(list(self._masks.values()))


def _embeddings(model: nn.Module) -> list[nn.Parameter]:
    assert isinstance(model, PreTrainedModel)
    embeddings = getattr(model.base_model, "embeddings", None) or model.get_input_embeddings()
    return list(embeddings.parameters())


class ScorePenalty(LossTerm):
    """The regularizer of soft movement, with a weight that rises with the threshold.

    Args:
        movement: The plug-in that owns the scores.
        penalty: The paper's lambda, reached at the end of the ramp.
        ramp: The ramp of the threshold.
    """

    name = "scores"
    reads_logits = False

    def __init__(self, movement: Movement, penalty: float, ramp: Ramp) -> None:
        self._movement = movement
        self._penalty = penalty
        self._ramp = ramp
        self.weight = 0.0

    def before_step(self, step: Step) -> None:
        """The weight of this step."""
        share = self._ramp.sparsity(step.done, step.total) / self._ramp.final
        self.weight = self._penalty * share

    def value(self, forward: ForwardPass) -> torch.Tensor:
        """See ``LossTerm.value``."""
        return mean_sigmoid(list(self._movement.scores.values()))


def model_and_teacher(
    context: StageContext, params: PruneMovement
) -> tuple[Loaded, Teacher | None]:
    """The model of a stage, to be pruned, and the teacher that it learns from, if any.

    Args:
        context: The stage's context.
        params: The stage's options.

    Raises:
        JobError: The model or the teacher cannot be used.

    Source: Sanh et al. 2020, section 7.
    """
    if not params.distill:
        return for_training(context, training_labels(context), params.seed), None
    teacher, student = distillation.twins(context, params, pretrained=params.starts_pretrained)
    return student, teacher


def movement_of(params: PruneMovement) -> tuple[Movement, list[ScorePenalty]]:
    """The plug-in of a stage, and the penalty of soft movement.

    Args:
        params: The stage's options.
    """
    soft = params.variant == "soft"
    ramp = Ramp(params.sparsity or params.final_threshold, params.ramp_start, params.ramp_end)
    movement = Movement(
        ramp,
        params.score_learning_rate,
        soft=soft,
        scope=params.scope,
        freeze_embeddings=params.freeze_embeddings,
    )
    return movement, [ScorePenalty(movement, params.final_penalty, ramp)] if soft else []
