"""Checks that a model, its tokenizer and the run's texts fit together."""

from __future__ import annotations

import inspect

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from workers.job.request import JobError
from workers.training.model.heads import Head

FIELD = "recipe.model"
MAX_MESSAGE_CHARS = 300


def adopt_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, head: Head) -> None:
    """Make the tokenizer produce the inputs that the model takes, with the same padding.

    If the head allows it, a tokenizer without padding pads with its end of a text: padding is
    masked, and is not a target.
    """
    if head.pads_with_end and tokenizer.pad_token_id is None and tokenizer.eos_token_id is not None:
        tokenizer.pad_token = tokenizer.eos_token
    accepted = inspect.signature(model.forward).parameters
    tokenizer.model_input_names = [name for name in tokenizer.model_input_names if name in accepted]
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id


def require_fit(model: nn.Module, tokenizer: PreTrainedTokenizerBase, *, pairs: bool) -> None:
    """Reject a tokenizer that the model cannot work with.

    Args:
        model: The model, with its weights or on the meta device.
        tokenizer: Its tokenizer.
        pairs: Whether the run's examples are pairs of texts.

    Raises:
        JobError: ``bad-model``.
    """
    if tokenizer.pad_token_id is None:
        raise _bad(
            "the tokenizer has no padding token, so texts of different lengths cannot be batched; "
            "name one as pad_token in tokenizer_config.json"
        )
    rows = _embedding_rows(model)
    largest = max(tokenizer.get_vocab().values(), default=0)
    if rows is not None and largest >= rows:
        raise _bad(
            f"the tokenizer has tokens up to number {largest}, the model's embedding has "
            f"{rows} rows; use the tokenizer that belongs to the model"
        )
    config = getattr(model, "config", None)
    kinds = getattr(config, "type_vocab_size", None)
    if pairs and kinds == 1 and "token_type_ids" in tokenizer.model_input_names:
        raise _bad(
            "pairs of texts need two kinds of tokens (type_vocab_size 2), the model has one; "
            "remove token_type_ids from model_input_names in tokenizer_config.json to use only one"
        )


def require_working(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, training: bool = False
) -> None:
    """Run the model on two short texts of different lengths, before anything is trained.

    Args:
        model: The model, not changed.
        tokenizer: Its tokenizer.
        training: Whether it must work in training mode as well.

    Raises:
        JobError: ``bad-model``, with the message of the model's code.
    """
    ids = tokenizer(["a", "a a a"], padding=True, return_attention_mask=True)
    device = next(model.parameters()).device
    inputs = {
        name: torch.tensor(ids[name], device=device) for name in ("input_ids", "attention_mask")
    }
    was_training = model.training
    try:
        with torch.random.fork_rng(), torch.no_grad():
            for mode in (False, True) if training else (False,):
                model.train(mode)
                model(**inputs)
    except Exception as error:  # a model's own code may raise anything
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            raise
        message = str(error)[:MAX_MESSAGE_CHARS] or type(error).__name__
        raise _bad(
            f"a {model.config.model_type} model of this shape cannot work on texts alone: {message}"
        ) from error
    finally:
        model.train(was_training)


def _embedding_rows(model: nn.Module) -> int | None:
    try:
        table = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):  # how transformers reports that there is none
        return None
    rows = getattr(table, "num_embeddings", None)
    return int(rows) if isinstance(rows, int) else None


def _bad(message: str) -> JobError:
    return JobError("bad-model", message, FIELD)
