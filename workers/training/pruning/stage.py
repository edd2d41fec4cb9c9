"""A stage that prunes: at once, in rounds or along a ramp, with training in which it recovers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from transformers.pytorch_utils import Conv1D

from pricetag.recipes.pruning import Pruning
from workers.job import ranks
from workers.job.context import StageContext, StageResult
from workers.job.request import JobError
from workers.training.checkpoints import save_tensors
from workers.training.cost.tally import Tally
from workers.training.finetune import full_profile, loaded_profile, new_tally, training_data
from workers.training.fit import Horizon, Outcome, fit, report_training
from workers.training.formats.sparse import Matrix, prunable
from workers.training.model.loaded import Loaded
from workers.training.pruning.limits import BEFORE, Limits, Quality, quality_of
from workers.training.pruning.masker import KeepZeros, Masker, RampedMasker
from workers.training.pruning.masks import (
    Masks,
    Scorer,
    Scores,
    Structure,
    apply_masks,
    choose,
    pruned_count,
)
from workers.training.pruning.schedule import Ramp, round_sparsities
from workers.training.pruning.selection import with_pruned_others
from workers.training.rounds import MODEL, Result, Round, run_rounds
from workers.training.training_stage import finish


def require_prunable(context: StageContext, loaded: Loaded) -> None:
    """Reject a model without encoder weights that can be set to zero.

    Raises:
        JobError: ``already-quantized`` or ``nothing-to-prune``.
    """
    if not loaded_profile(context, loaded).trainable:
        raise JobError("already-quantized", "prune before quantize, not after", context.field)
    if not prunable(loaded.model):
        raise JobError(
            "nothing-to-prune",
            f"no encoder layers are known in a {loaded.model.config.model_type} model",
            context.field,
        )


@dataclass(frozen=True)
class Pruner:
    """Prunes a stage's model by a score, according to its options."""

    context: StageContext
    loaded: Loaded
    params: Pruning
    score: Scorer
    tally: Tally
    once: bool
    pruned: Callable[[int, float], int]

    def masks(self, matrices: Mapping[str, Matrix], sparsity: float) -> Masks:
        """Masks of the matrices at a sparsity."""
        params = self.params
        return choose(matrices, self.score, sparsity, params.scope, params.structure, self.pruned)

    def begin(self, sparsity: float, when: str) -> Masker:
        """Prune the model, or leave that to the training; returns the plug-in that keeps zeros."""
        params = self.params
        if params.mode == "cubic":
            ramp = Ramp(sparsity, params.ramp_start, params.ramp_end, params.mask_every)
            return RampedMasker(self.masks, ramp)
        matrices = prunable(self.loaded.model)

        def choose_now() -> Masks:
            return self.masks(matrices, sparsity)

        masks = kept_masks(self.context, when, choose_now) if self.once else choose_now()
        apply_masks(matrices, masks)
        return KeepZeros(with_pruned_others)

    def round(self, sparsities: list[float], round_: Round) -> Result:
        """One round: prune, train if requested, and measure the figures that the limits need."""
        sparsity = sparsities[round_.number]
        masker = self.begin(sparsity, round_.folder.name)
        self.context.reporter.log(
            f"round {round_.number + 1} of {len(sparsities)}: {sparsity:.1%} pruned"
        )
        result: Result = {}
        if self.params.recovery_epochs > 0:
            result = self._recover(masker, round_.folder).as_json()
        if self.params.max_drop is not None:
            result["quality"] = asdict(self.quality(round_.folder.name))
        if self.params.target_bytes is not None:
            size = full_profile(self.context, self.loaded).weights.packed_bytes
            result["packed_bytes"] = size
        return result

    def _recover(self, masker: Masker, folder: Path) -> Outcome:
        return fit(
            self.context,
            self.loaded,
            training_data(self.context, self.loaded, self.params.max_length),
            self.params,
            horizon=Horizon(self.params.recovery_epochs),
            plugins=[masker],
            folder=folder,
            tally=self.tally,
        )

    def quality(self, when: str) -> Quality:
        """The model's quality now."""
        return quality_of(self.context, self.loaded, self.tally, self.params.max_length, when)

    def limits(self) -> Limits:
        """The limits of the rounds; the quality before pruning is measured if one needs it."""
        drop, size = self.params.max_drop, self.params.target_bytes
        if drop is None:
            return Limits(target_bytes=size)
        return Limits(self.quality(BEFORE), drop, size)


def require_structure(context: StageContext, loaded: Loaded, structure: Structure) -> None:
    """Reject a model whose matrices do not have a multiple of four columns for 2:4.

    Raises:
        JobError: ``bad-structure``.
    """
    if structure != "2:4":
        return
    for name, matrix in prunable(loaded.model).items():
        columns = matrix.weight.shape[0 if isinstance(matrix, Conv1D) else 1]
        if columns % 4:
            raise JobError(
                "bad-structure",
                f"2:4 needs a multiple of 4 columns; {name} has {columns}",
                f"{context.field}.structure",
            )


def kept_masks(context: StageContext, when: str, make: Callable[[], Masks]) -> Masks:
    """Masks that rank 0 chooses once, for all ranks and later attempts.

    Args:
        context: The stage's context.
        when: Name of the time, unique in the stage.
        make: Chooses the masks.
    """
    file = context.folder / f"masks-{when}.safetensors"
    if not file.exists():
        if ranks.rank() == 0:
            save_tensors(make(), file)
        else:
            ranks.wait_for(file)
    return load_file(file, device=context.job.device)


def prune_and_save(
    context: StageContext,
    loaded: Loaded,
    params: Pruning,
    score: Callable[[Tally, Mapping[str, Matrix]], Scores],
    *,
    reload: Callable[[], Loaded],
    once: bool = False,
    pruned: Callable[[int, float], int] = pruned_count,
) -> StageResult:
    """Prune a model according to the stage's options, and save it.

    Args:
        context: The stage's context.
        loaded: The model, changed in place.
        params: The stage's options.
        score: Scores the matrices; its operations are added to the tally.
        reload: Loads the stage's original model.
        once: Whether only rank 0 scores, once for all attempts, because it is costly.
        pruned: How many of N weights (or blocks) are pruned at a sparsity.

    Raises:
        JobError: The model is 8-bit, has nothing to prune, or its structure does not fit.
        Interrupted: A stop was requested; the next attempt resumes in the same round.
    """
    require_prunable(context, loaded)
    require_structure(context, loaded, params.structure)
    tally = new_tally(context, loaded)
    pruner = Pruner(context, loaded, params, partial(score, tally), tally, once, pruned)
    limits = pruner.limits()
    sparsities = round_sparsities(params.sparsity, params.rounds)
    one_round = partial(pruner.round, sparsities)
    results = run_rounds(context, loaded.model, params.rounds, one_round, enough=limits.enough)
    kept_round = _keep_the_good(context, loaded, limits, results, reload)
    if tally.dense > 0:
        tally.report()
    if params.recovery_epochs > 0:
        report_training(context, [_outcome(result) for result in results])
    facts = _report(context, loaded, limits, results, kept_round)
    return finish(context, loaded, facts)


def _outcome(result: Result) -> Outcome:
    names = {field.name for field in fields(Outcome)}
    return Outcome(**{name: value for name, value in result.items() if name in names})


def _keep_the_good(
    context: StageContext,
    loaded: Loaded,
    limits: Limits,
    results: list[Result],
    reload: Callable[[], Loaded],
) -> int:
    """Go back to the weights before a round that lost too much; returns the rounds that stay."""
    if not results or not limits.too_bad(results[-1]):
        return len(results)
    kept_round = len(results) - 1
    if kept_round == 0:
        state = reload().model.state_dict()
    else:
        folder = context.folder / "checkpoints" / f"round-{kept_round - 1:02d}"
        state = load_file(folder / MODEL)
    loaded.model.load_state_dict(state, strict=False)
    return kept_round


def _report(
    context: StageContext, loaded: Loaded, limits: Limits, results: list[Result], kept_rounds: int
) -> dict[str, Any]:
    sparsity = full_profile(context, loaded).sparsity
    context.reporter.metric("encoder_sparsity", sparsity)
    facts: dict[str, Any] = {"encoder_sparsity": sparsity}
    if limits == Limits():
        return facts
    context.reporter.metric("pruning_rounds", kept_rounds)
    reason = limits.reason(results[-1]) or "all rounds are done"
    context.reporter.log(
        f"pruning ended after {len(results)} rounds: {reason}; {kept_rounds} are kept"
    )
    return {**facts, "pruning_rounds": kept_rounds, "pruning_ended": reason}
