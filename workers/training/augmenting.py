"""Training data with copies in which words are replaced by the run's pretrained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pricetag.recipes import FromScratch
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.job.sources import resolve_model
from workers.training.cost.tally import Tally
from workers.training.data.augmentation import (
    Candidates,
    Replacement,
    augmented,
    batches_of,
    copies_of,
    proposed,
)
from workers.training.data.texts import load_split
from workers.training.data.tokens import TokenData
from workers.training.decisions import decided
from workers.training.finetune import count_model, full_profile, training_data
from workers.training.model.heads import MASKED_LM
from workers.training.model.loaded import Loaded
from workers.training.model.models import for_use, read_config
from workers.training.tasks.registry import task_of

ROWS = 64
"""Rows of a batch of the language model."""


def language_model_context(context: StageContext) -> StageContext:
    """The context of a stage that uses the run's model as a masked language model.

    Raises:
        JobError: ``untrained-model`` if the run's model has no such head.
    """
    ref = resolve_model(context.job, context.recipe)
    if ref is None or isinstance(context.recipe.model, FromScratch):
        reason = "the run's model has random weights"
    elif not MASKED_LM.is_in(read_config(ref)):
        reason = "the run's model has no head for masked language modeling"
    else:
        recipe = context.recipe.model_copy(update={"task": "masked_lm"})
        return replace(context, recipe=recipe, model=ref)
    raise JobError(
        "untrained-model",
        f"{reason}, which replaces the words; start the run from a masked language model",
        f"{context.field}.augmentation",
    )


def count_augmentation(context: StageContext) -> None:
    """Count the language model's operations before the stage opens.

    Raises:
        JobError: ``untrained-model``.
    """
    count_model(language_model_context(context))


def augmented_data(
    context: StageContext, loaded: Loaded, max_length: int, how: Replacement, tally: Tally
) -> TokenData:
    """The training split as tokens, with copies of each example if requested.

    Rank 0 makes the copies, once for all ranks and attempts.

    Args:
        context: The stage's context.
        loaded: The model that is trained.
        max_length: Maximum number of tokens.
        how: How words are replaced.
        tally: The stage's operations, to which those of the language model are added.

    Raises:
        JobError: The run's model is not a masked language model, or the data cannot be used.
        Interrupted: A stop was requested.
    """
    if how.copies == 0:
        return training_data(context, loaded, max_length)
    examples = load_split(context, "train")
    sides = [examples.texts] if examples.pairs is None else [examples.texts, examples.pairs]
    copies = decided(context, "augmentation", lambda: _copies(context, sides, how, tally))
    context.reporter.log(f"{len(examples)} examples, and {how.copies} copies of each")
    limit = loaded.token_limit(max_length)
    augmented_examples = augmented(examples, copies, f"train with the copies of {context.field}")
    return task_of(context).tokens(context, augmented_examples, loaded, limit)


def _copies(
    context: StageContext, sides: Sequence[Sequence[str]], how: Replacement, tally: Tally
) -> list[list[list[str]]]:
    own = language_model_context(context)
    model = for_use(own)
    model.model.to(context.job.device).train(False)  # type: ignore[arg-type]
    return [
        [
            copies_of(text, candidates, how, row)
            for row, (text, candidates) in enumerate(
                zip(texts, _candidates(own, model, texts, how, tally), strict=True)
            )
        ]
        for texts in sides
    ]


def _candidates(
    context: StageContext, loaded: Loaded, texts: Sequence[str], how: Replacement, tally: Tally
) -> list[Candidates]:
    """Candidates for replacing each word of each text."""
    candidates: list[Candidates] = [[[] for _ in text.split()] for text in texts]
    profile = full_profile(context, loaded)
    limit = loaded.token_limit(512)
    device = torch.device(context.job.device)
    for ids, mask, places in batches_of(loaded, texts, limit, ROWS):
        with torch.inference_mode():
            outputs = loaded.model(input_ids=ids.to(device), attention_mask=mask.to(device))
        positions = [position for *_, position in places]
        scores = outputs.logits[torch.arange(len(places)), positions].float().cpu()
        for row, (text, word, _) in enumerate(places):
            original = texts[text].split()[word]
            candidates[text][word] = proposed(loaded, scores[row], original, how.candidates)
        rows, width = ids.shape
        tally.add(
            rows * profile.flops.forward(width),
            rows * profile.flops.forward(width, profile.density),
        )
        context.stop_if_asked()
    return candidates
