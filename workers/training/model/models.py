"""Models and tokenizers, made, loaded and saved without pickles and remote code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    MobileBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from pricetag.recipes import FromScratch
from pricetag.recipes.architectures import InvertedBottleneck, format_of
from workers.job.context import ModelRef, StageContext
from workers.job.request import JobError
from workers.training.data.vocabulary import train_wordpiece
from workers.training.formats import registry
from workers.training.model.fitting import adopt_tokenizer, require_fit, require_working
from workers.training.model.heads import Head
from workers.training.model.loaded import Loaded
from workers.training.model.loading import loading
from workers.training.model.tying import freeze_unread
from workers.training.tasks.registry import task_of

FIELD = "recipe.model"


def for_training(context: StageContext, labels: Sequence[str] | None, seed: int) -> Loaded:
    """The stage's model with a head for the run's task; a new head is seeded.

    Args:
        context: The stage's context.
        labels: Classes of the run; None for a task without classes.
        seed: Seed of random weights.

    Raises:
        JobError: The folder has no model that can be loaded.
    """
    ref = needed(context)
    set_seed(seed)  # a new head, or a new model, starts from this
    if ref.scratch is not None:
        return _from_scratch(context, ref, labels)
    task = task_of(context)
    config = read_config(ref)
    task.head.require(config)
    tokenizer = _load_tokenizer(ref)
    labels, is_new = task.settle_head(context, config, labels)
    with _loading(ref):
        if is_new and notes_of(ref):
            model = _with_new_head(ref, task.head, config, context.field)
        else:
            model = _load_noted(ref, context.field) or task.head.load(
                _place(ref), config, dtype=torch.float32, **_safely(ref)
            )
    return _fitted(context, model, tokenizer, labels, training=True)


def notes_of(ref: ModelRef) -> registry.Notes:
    """The notes of the model that a stage starts from; empty for a plain model."""
    if ref.scratch is not None:
        return format_of(ref.scratch.architecture)
    return {} if ref.folder is None else registry.read_notes(ref.folder)


def _with_new_head(
    ref: ModelRef, head: Head, config: PreTrainedConfig, field: str
) -> PreTrainedModel:
    """A model of another format than plain, and a new head.

    Raises:
        JobError: ``bad-model`` if its formats may concern the head.
    """
    assert ref.folder is not None
    notes = notes_of(ref)
    if not registry.in_encoder(notes):
        raise JobError(
            "bad-model",
            f"a model that is {', '.join(notes)} cannot get a head for other classes",
            field,
        )
    model = head.build(config)
    registry.rebuild(model, notes)
    registry.load_encoder(ref.folder, model)
    return model


def _load_noted(ref: ModelRef, field: str) -> PreTrainedModel | None:
    """A model of another format than plain, to be trained; None for a plain model."""
    notes = {} if ref.folder is None else registry.read_notes(ref.folder)
    if registry.is_final(notes):
        raise JobError("already-quantized", "quantized weights cannot be trained", field)
    return registry.load(ref.folder) if ref.folder is not None and notes else None


def for_use(context: StageContext) -> Loaded:
    """The stage's current model, for evaluation, compression and measurement.

    Raises:
        JobError: ``untrained-model`` if it has no head for the run's task.
    """
    ref = needed(context)
    if ref.scratch is not None:
        raise JobError("untrained-model", "a model from scratch must be trained first", FIELD)
    task = task_of(context)
    config = read_config(ref)
    _require_head(context, config)
    with _loading(ref):
        if ref.folder is not None and registry.read_notes(ref.folder):
            model = registry.load(ref.folder)
        else:
            model = task.head.load(_place(ref), None, dtype=torch.float32, **_safely(ref))
    model.train(False)
    return _fitted(context, model, _load_tokenizer(ref), task.head_classes(config))


def trained_classes(context: StageContext) -> list[str] | None:
    """Classes of the head that the stage's model must have; None for a task without classes.

    Raises:
        JobError: ``untrained-model`` if it has no head for the run's task.
    """
    config = read_config(needed(context))
    _require_head(context, config)
    return task_of(context).head_classes(config)


def _require_head(context: StageContext, config: PreTrainedConfig) -> None:
    task = task_of(context)
    task.head.require(config)
    if not task.accepts(config):
        raise JobError(
            "untrained-model",
            f"the model has no head for {task.name}; put a train stage before",
            context.field,
        )


def check_fit(context: StageContext) -> None:
    """Reject a model that does not fit its tokenizer, its task or the data, without its weights.

    Raises:
        JobError: ``bad-model``.
    """
    ref = needed(context)
    if ref.scratch is not None:
        return
    head = task_of(context).head
    config = read_config(ref)
    head.require(config)
    tokenizer = _load_tokenizer(ref)
    try:
        with torch.random.fork_rng(), torch.device("meta"):
            model = head.build(config)
    except Exception:  # its code needs values: it is checked with its weights
        return
    adopt_tokenizer(model, tokenizer, task_of(context).head)
    require_fit(model, tokenizer, pairs=_has_pairs(context))


def _fitted(
    context: StageContext,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    labels: Sequence[str] | None,
    *,
    training: bool = False,
) -> Loaded:
    """Model and tokenizer, after a check that they work together."""
    adopt_tokenizer(model, tokenizer, task_of(context).head)
    require_fit(model, tokenizer, pairs=_has_pairs(context))
    require_working(model, tokenizer, training=training)
    freeze_unread(model)  # a stage that loads it for use may also train it
    if training:
        model.config.architectures = [type(model).__name__]  # as in a saved model
    return Loaded(model, tokenizer, list(labels) if labels is not None else None)


def _has_pairs(context: StageContext) -> bool:
    return context.recipe.data is not None and task_of(context).pairs(context.recipe.data)


def save(loaded: Loaded, folder: Path) -> None:
    """Write model and tokenizer into an emptied folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    registry.save(loaded.model, folder)
    loaded.tokenizer.save_pretrained(folder)


def needed(context: StageContext) -> ModelRef:
    """The model that the stage starts from.

    Raises:
        JobError: ``missing-model``.
    """
    if context.model is None:
        raise JobError("missing-model", "the run names no model", FIELD)
    return context.model


def _from_scratch(context: StageContext, ref: ModelRef, labels: Sequence[str] | None) -> Loaded:
    assert ref.scratch is not None
    shape = ref.scratch.config
    tokenizer = train_wordpiece(context, shape.vocab_size, shape.max_position_embeddings)
    config = scratch_config(ref.scratch)
    config.vocab_size = len(tokenizer)
    config.pad_token_id = tokenizer.pad_token_id
    task = task_of(context)
    task.configure(config, tokenizer, labels)
    model = task.head.build(config)
    registry.rebuild(model, notes_of(ref))
    return _fitted(context, model, tokenizer, labels, training=True)


def scratch_config(scratch: FromScratch) -> PreTrainedConfig:
    """The shape of a model from random weights, with the largest possible vocabulary."""
    shape = scratch.config.model_dump()
    if isinstance(scratch.architecture, InvertedBottleneck):
        return _inverted_bottleneck(shape, scratch.architecture)
    names = _OTHER_NAMES.get(scratch.config.model_type, {})
    renamed = {own: value for name, value in shape.items() for own in names.get(name, (name,))}
    if names:
        renamed |= {"bos_token_id": None, "eos_token_id": None}  # the tokenizer's, later
    return AutoConfig.for_model(renamed.pop("model_type"), **renamed)


def _inverted_bottleneck(shape: Mapping[str, Any], inside: InvertedBottleneck) -> MobileBertConfig:
    """A MobileBERT that is wide inside, with one feed-forward network and layer normalization.

    Source: Sun et al. 2020, table 1, arXiv:2004.02984.
    """
    return MobileBertConfig(
        **{name: value for name, value in shape.items() if name != "model_type"},
        embedding_size=inside.embedding_size,
        intra_bottleneck_size=inside.inner_size,
        use_bottleneck_attention=True,  # queries, keys and values of the inner width
        key_query_shared_bottleneck=False,
        num_feedforward_networks=1,
        normalization_type="layer_norm",
    )


_OTHER_NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "gpt2": {
        "intermediate_size": ("n_inner",),
        "hidden_dropout_prob": ("resid_pdrop", "embd_pdrop"),
        "attention_probs_dropout_prob": ("attn_pdrop",),
        "hidden_act": ("activation_function",),
    },
}
"""Names of a BERT model's options in other architectures."""


def read_config(ref: ModelRef) -> PreTrainedConfig:
    """The configuration of the model that a stage starts from.

    Raises:
        JobError: ``bad-model`` if it cannot be read.
    """
    if ref.scratch is not None:
        return scratch_config(ref.scratch)
    with _loading(ref):
        return cast(PreTrainedConfig, AutoConfig.from_pretrained(_place(ref), **_only_local(ref)))


def _load_tokenizer(ref: ModelRef) -> PreTrainedTokenizerBase:
    with _loading(ref):
        return cast(
            PreTrainedTokenizerBase, AutoTokenizer.from_pretrained(_place(ref), **_only_local(ref))
        )


def _place(ref: ModelRef) -> str:
    return str(ref.folder) if ref.folder is not None else str(ref.hub)


def _only_local(ref: ModelRef) -> dict[str, Any]:
    return {"trust_remote_code": False, "local_files_only": ref.folder is not None}


def _safely(ref: ModelRef) -> dict[str, Any]:
    return {**_only_local(ref), "use_safetensors": True}


def _loading(ref: ModelRef) -> AbstractContextManager[None]:
    name = ref.folder.name if ref.folder is not None else ref.hub
    return loading(f"the model '{name}'", FIELD)


def describe_size(folder: Path) -> int:
    """Bytes of a saved model's weights, configuration and notes."""
    notes = [folder / name for name in registry.note_files()]
    files = [*folder.glob("*.safetensors"), folder / "config.json", *notes]
    return sum(file.stat().st_size for file in files if file.exists())
