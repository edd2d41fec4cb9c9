"""Before and after ``fit``: a stage's data, its operations, its saved model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from transformers import PreTrainedConfig

from workers.job import ranks
from workers.job.context import StageContext
from workers.training.cost.flops import FlopProfile, architecture_key, hidden_size, profile
from workers.training.cost.tally import Tally
from workers.training.data.texts import load_split
from workers.training.data.tokens import TokenData
from workers.training.formats import registry
from workers.training.formats.exits import exits_of
from workers.training.formats.profile import ModelProfile, count_structure
from workers.training.formats.profile import profile as profile_model
from workers.training.model import models
from workers.training.model.heads import head_of
from workers.training.model.loaded import Loaded
from workers.training.tasks.registry import task_of


def training_labels(context: StageContext) -> list[str] | None:
    """The classes of the run, from its training data; None for a task without classes."""
    return task_of(context).classes(context)


def training_data(context: StageContext, loaded: Loaded, max_length: int) -> TokenData:
    """The training split as the model's tokens.

    Raises:
        JobError: The split cannot be read, or does not fit the model.
    """
    examples = load_split(context, "train")
    limit = loaded.token_limit(max_length)
    if limit < max_length:
        context.reporter.log(f"max_length {max_length}: the model has positions for {limit} tokens")
    return task_of(context).tokens(context, examples, loaded, limit)


def new_tally(context: StageContext, loaded: Loaded, uncounted: Sequence[str] = ()) -> Tally:
    """A tally of the stage's operations; ``uncounted`` is work that it does not include."""
    return Tally(context.reporter, model_profile(context, loaded), uncounted)


def model_profile(context: StageContext, loaded: Loaded) -> FlopProfile:
    """The operations of the model, which a prepared stage has counted already."""
    config = loaded.model.config
    notes = registry.describe(loaded.model)
    if not registry.same_operations(notes):
        return count_modules(context, config, notes)[0]
    counted = count_operations(context, config)
    if head_of(loaded.model).per_token:
        return counted
    return counted.with_classes(loaded.outputs, hidden_size(config))


def full_profile(context: StageContext, loaded: Loaded) -> ModelProfile:
    """Current parameters, bytes, density and operations of a model of any format."""
    flops = model_profile(context, loaded)
    return profile_model(loaded.model, flops, exit_profiles(context, loaded))


def exit_profiles(context: StageContext, loaded: Loaded) -> tuple[FlopProfile, ...]:
    """The operations of an example that leaves at each exit; empty for a model without exits."""
    if exits_of(loaded.model) is None:
        return ()
    notes = registry.describe(loaded.model)
    return count_modules(context, loaded.model.config, notes)[1]


def loaded_profile(context: StageContext, loaded: Loaded) -> ModelProfile:
    """The profile of the stage's model before it is changed, counted once in a run.

    Counting the weights of BERT-base takes 0.06 s of a processor, 0.25 s with 8-bit weights: all
    stages that use a model share one count.
    """
    ref = models.needed(context)
    key = ("profile", ref.folder, ref.hub)
    counted: ModelProfile = context.cached(key, lambda: full_profile(context, loaded))
    return counted


def count_model(context: StageContext) -> FlopProfile:
    """Count the operations of the model that the stage starts from, before the stage opens."""
    ref = models.needed(context)
    config = models.read_config(ref)
    notes = models.notes_of(ref)
    if not registry.same_operations(notes):
        return count_modules(context, with_head(context, config), notes)[0]
    return count_operations(context, config)


def with_head(context: StageContext, config: PreTrainedConfig) -> PreTrainedConfig:
    """The configuration of a model that gets a head for the run's task, unless it has one."""
    head = task_of(context).head
    if not head.is_in(config) and config.model_type in head.models:
        config.architectures = [head.models[config.model_type]]
    return config


def count_modules(
    context: StageContext, config: PreTrainedConfig, notes: registry.Notes
) -> tuple[FlopProfile, tuple[FlopProfile, ...]]:
    """Count a model whose modules differ from its configuration, once in this process."""
    modules = json.dumps(registry.structure(notes), sort_keys=True)
    sizes = (config.num_labels, getattr(config, "vocab_size", None))
    key = ("flops", architecture_key(config), *(config.architectures or []), *sizes, modules)
    counted: tuple[FlopProfile, tuple[FlopProfile, ...]] = context.cached(
        key, lambda: count_structure(config, notes)
    )
    return counted


def count_operations(context: StageContext, config: PreTrainedConfig) -> FlopProfile:
    """Count an architecture's operations, once in this process.

    Recipes call it before their stage opens, so that counting is not charged to a stage.
    """
    head = task_of(context).head
    vocabulary = config.vocab_size if head.per_token else None
    key = ("flops", head.name, architecture_key(config), vocabulary)
    counted: FlopProfile = context.cached(key, lambda: profile(config, head))
    return counted


def save(context: StageContext, loaded: Loaded) -> Path:
    """Write the stage's model; rank 0 alone."""
    if ranks.rank() == 0:
        models.save(loaded, context.model_folder)
    return context.model_folder
