"""A training stage from data to saved model: shared by the recipes that train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedConfig

from pricetag.recipes.stages import Optimisation
from workers import ranks
from workers.context import StageContext
from workers.training import models
from workers.training.data import Examples, encode_labels, label_names, load_split
from workers.training.flops import UNCOUNTED, FlopProfile, architecture_key, profile
from workers.training.loop import Length, Outcome, train
from workers.training.models import Loaded
from workers.training.plugins import Plugin
from workers.training.tokens import TokenData, encode


def training_labels(context: StageContext) -> list[str] | None:
    """The classes of the run, from its training data; None for regression."""
    if context.recipe.task == "regression":
        return None
    return label_names(load_split(context, "train"))


def training_data(context: StageContext, loaded: Loaded, max_length: int) -> TokenData:
    """The training split as the model's tokens.

    Raises:
        JobError: the split cannot be read, or has a label that the model does not know.
    """
    examples: Examples = load_split(context, "train")
    limit = loaded.token_limit(max_length)
    if limit < max_length:
        context.reporter.log(f"max_length {max_length}: the model has positions for {limit} tokens")
    encoded = encode(context, examples, loaded.tokenizer, limit)
    return TokenData(encoded, encode_labels(examples, loaded.labels))


def fit(
    context: StageContext,
    loaded: Loaded,
    options: Optimisation,
    length: Length,
    *,
    plugins: Sequence[Plugin] = (),
    folder: Path | None = None,
    report: bool = True,
) -> Outcome:
    """Train ``loaded.model`` on the run's training data, and report what it took."""
    data = training_data(context, loaded, options.max_length)
    outcome = train(
        context,
        loaded,
        data,
        options,
        length,
        profile=model_profile(context, loaded),
        plugins=plugins,
        folder=folder,
    )
    if report:
        report_training(context, loaded, [(outcome, 1.0)])
    return outcome


def report_training(
    context: StageContext, loaded: Loaded, trained: Sequence[tuple[Outcome, float]]
) -> None:
    """Tell the operations of a stage's trainings and how they went.

    Each comes with the share of the encoder's weights that are not zero (and stay so).
    """
    profile = model_profile(context, loaded)
    last = trained[-1][0]
    context.reporter.flops(
        dense=sum(outcome.flops for outcome, _ in trained),
        effective=sum(
            outcome.flops - (1 - density) * outcome.weight_flops for outcome, density in trained
        ),
        low_bit=0.0,
        method=f"{profile.method}; forward and backward = 3 forward; padded tokens included",
        uncounted=UNCOUNTED,
    )
    steps = sum(outcome.steps for outcome, _ in trained)
    context.reporter.metric("steps", steps)
    context.reporter.metric("epochs", sum(outcome.epochs for outcome, _ in trained))
    context.reporter.log(f"trained {steps} steps in {last.precision}, mean loss {last.loss:.4f}")


def model_profile(context: StageContext, loaded: Loaded) -> FlopProfile:
    """The operations of the model; counted already where the stage was prepared."""
    config = loaded.model.config
    return count_operations(context, config).with_classes(loaded.outputs, config.hidden_size)


def count_operations(context: StageContext, config: PreTrainedConfig) -> FlopProfile:
    """Count an architecture's operations, once in this process.

    Recipes call it before their stage opens, so that no stage pays for the counting.
    """
    key = ("flops", architecture_key(config))
    counted: FlopProfile = context.cached(key, lambda: profile(config))
    return counted


def save(context: StageContext, loaded: Loaded) -> Path:
    """Write the stage's model; rank 0 alone."""
    if ranks.rank() == 0:
        models.save(loaded, context.model_folder)
    return context.model_folder
