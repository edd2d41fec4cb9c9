"""Sequence-level distillation: a student learns from its teacher's own outputs.

Source: Kim and Rush 2016, Sequence-Level Knowledge Distillation, section 3.2, arXiv:1606.07947.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from pricetag.recipes.methods.distill_sequence import DistillSequence
from workers.job import ranks
from workers.job.context import StageContext
from workers.training.checkpoints import save_tensors
from workers.training.cost.flops import FlopProfile
from workers.training.cost.tally import Tally
from workers.training.data.tokens import Encoded, TokenData
from workers.training.finetune import exit_profiles, model_profile, training_data
from workers.training.model.loaded import Loaded
from workers.training.plugin import BatchPlace, Plugin
from workers.training.prediction import Predictions, predict, require_finite
from workers.training.tasks.language import IGNORED
from workers.training.tasks.registry import task_of

PADDING = -1


@dataclass(frozen=True)
class Writing:
    """Options of writing by a language model.

    Attributes:
        prompt_tokens: Tokens of each text that are continued.
        new_tokens: Maximum number of tokens to write.
        beams: Width of the beam; 1 is greedy.
        end: Token that ends a text, if any.
        padding: Token that fills texts that have ended.
    """

    prompt_tokens: int
    new_tokens: int
    beams: int
    end: int | None
    padding: int


def prompt_of(text: Sequence[int], tokens: int) -> list[int]:
    """The first tokens of a text, at least one, and never the whole text.

    Args:
        text: At least two tokens.
        tokens: Number of tokens.
    """
    return list(text[: max(1, min(tokens, len(text) - 1))])


def batches(texts: Sequence[Sequence[int]], tokens: int, size: int) -> Iterator[list[int]]:
    """Numbers of texts whose prompts are equally long, at most ``size`` at a time.

    Args:
        texts: The texts as tokens.
        tokens: Tokens of a prompt.
        size: Maximum number of texts in a batch.
    """
    by_length: dict[int, list[int]] = {}
    for number, text in enumerate(texts):
        by_length.setdefault(len(prompt_of(text, tokens)), []).append(number)
    for numbers in by_length.values():
        for start in range(0, len(numbers), size):
            yield numbers[start : start + size]


def write(model: PreTrainedModel, prompts: torch.Tensor, how: Writing) -> torch.Tensor:
    """A model's continuations of prompts: the most probable tokens, greedily or with a beam.

    Args:
        model: A causal language model in evaluation mode.
        prompts: Tokens ``[batch, prompt]``, without padding.
        how: How it writes.

    Returns:
        Prompts and continuations ``[batch, prompt + written]``, padded after their ends.

    Source: Kim and Rush 2016, section 3.2.
    """
    generator: Any = model
    written: torch.Tensor = generator.generate(
        input_ids=prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=how.new_tokens,
        num_beams=how.beams,
        do_sample=False,
        use_cache=True,
        eos_token_id=how.end,
        pad_token_id=how.padding,
    )
    return written


def whole_text(written: Sequence[int], prompt: int, end: int | None) -> list[int]:
    """A written text up to its end, without padding.

    Args:
        written: Tokens of prompt and continuation.
        prompt: Number of the prompt's tokens, which may include the ending token.
        end: Token that ends a text, if any.
    """
    text = list(written)
    if end is not None and end in text[prompt:]:
        return text[: text.index(end, prompt) + 1]
    return text


def writing_flops(profile: FlopProfile, rows: int, prompt: int, total: int) -> float:
    """Operations of writing with kept keys and values.

    The prompt passes once, with the head for its last token alone; each further token but the
    last passes alone and attends to all before it and itself.

    Args:
        profile: Operations of the model.
        rows: Number of texts times beams.
        prompt: Tokens of a prompt.
        total: Tokens of prompt and continuation.
    """
    first = profile.square * prompt**2 + profile.linear * prompt + profile.head
    places = range(prompt + 1, total)
    further = sum(profile.square * place + profile.linear + profile.head for place in places)
    return rows * (first + further)


class OnlyWritten(Plugin):
    """Removes the prompts from the labels, since they were not written by the model.

    Args:
        prompts: Number of the prompt's tokens of each text.
    """

    def __init__(self, prompts: Sequence[int]) -> None:
        self._prompts = torch.tensor(prompts)

    def change_batch(
        self, batch: Mapping[str, torch.Tensor], place: BatchPlace
    ) -> Mapping[str, torch.Tensor]:
        """The batch without labels inside the prompts."""
        labels = batch["labels"]
        prompts = self._prompts.to(labels.device)[batch["index"]]
        # The label at a place is the token after it.
        inside = torch.arange(labels.shape[1], device=labels.device) < prompts[:, None] - 1
        return {**batch, "labels": labels.masked_fill(inside, IGNORED)}


def teacher_outputs(
    context: StageContext, teacher: Loaded, params: DistillSequence, tally: Tally
) -> tuple[TokenData, list[Plugin]]:
    """The training data with the teacher's outputs as labels, and the plug-ins that it needs.

    Rank 0 computes them, unless an earlier attempt has. Their operations are the stage's.

    Args:
        context: The stage's context.
        teacher: The model that the student learns from.
        params: The stage's options.
        tally: The stage's operations.

    Raises:
        JobError: ``answer-not-finite``.
        Interrupted: A stop was requested.
    """
    path = context.folder / "outputs.safetensors"
    data = training_data(context, teacher, params.max_length)
    writes = task_of(context).head.per_token
    if not path.exists():
        if ranks.rank() == 0:
            make = _write_texts if writes else _label
            save_tensors(make(context, teacher, data, params, tally), path)
            tally.report()
        else:
            ranks.wait_for(path)
    return _texts(path) if writes else _labeled(path, data)


def _label(
    context: StageContext, teacher: Loaded, data: TokenData, params: DistillSequence, tally: Tally
) -> dict[str, torch.Tensor]:
    """The teacher's class, or its score, of each example ``[examples]``."""
    profile, done = model_profile(context, teacher), Predictions()
    labels = torch.zeros(len(data), dtype=torch.float if teacher.labels is None else torch.long)
    collate = task_of(context).collator(teacher, seed=params.seed)
    for rows, _, outputs in predict(context, teacher, data, collate, params.batch_size, done):
        logits = outputs.logits.float().cpu()
        require_finite(logits)
        labels[rows] = logits[:, 0] if teacher.labels is None else logits.argmax(-1)
    operations = done.forward_flops(profile, exits=exit_profiles(context, teacher))
    tally.add(operations, operations)
    return {"labels": labels}


def _labeled(path: Path, data: TokenData) -> tuple[TokenData, list[Plugin]]:
    return TokenData(data.encoded, load_file(path)["labels"].tolist()), []


def _write_texts(
    context: StageContext, teacher: Loaded, data: TokenData, params: DistillSequence, tally: Tally
) -> dict[str, torch.Tensor]:
    """The teacher's continuation of the beginning of each text ``[texts, tokens]``, padded."""
    how = _writing(teacher, params)
    device = teacher.device(context.job.device)
    model = teacher.model.to(device).train(False)  # type: ignore[arg-type]
    profile, texts = model_profile(context, teacher), data.encoded.input_ids
    tokens = torch.full((len(texts), how.prompt_tokens + how.new_tokens), PADDING)
    prompts = torch.tensor([len(prompt_of(text, how.prompt_tokens)) for text in texts])
    done = 0
    for rows in batches(texts, how.prompt_tokens, params.batch_size):
        context.stop_if_asked()
        begun = [prompt_of(texts[row], how.prompt_tokens) for row in rows]
        written = write(model, torch.tensor(begun, device=device), how).cpu()
        prompt, total = len(begun[0]), written.shape[1]
        for row, text in zip(rows, written.tolist(), strict=True):
            continuation = whole_text(text, prompt, how.end)
            tokens[row, : len(continuation)] = torch.tensor(continuation)
        operations = writing_flops(profile, len(rows) * how.beams, prompt, total)
        tally.add(operations, operations)
        done += len(rows)
        context.reporter.progress(done, len(texts), "texts")
    return {"tokens": tokens, "prompts": prompts}


def _writing(teacher: Loaded, params: DistillSequence) -> Writing:
    tokenizer = teacher.tokenizer
    limit = teacher.token_limit(params.max_length)
    prompt = min(params.prompt_tokens, limit - 1)
    end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    return Writing(
        prompt_tokens=prompt,
        new_tokens=min(params.new_tokens, limit - prompt),
        beams=params.beams,
        end=None if end is None else int(end),
        padding=int(tokenizer.pad_token_id or 0),
    )


def _texts(path: Path) -> tuple[TokenData, list[Plugin]]:
    stored = load_file(path)
    texts = [row[row != PADDING].tolist() for row in stored["tokens"]]
    data = TokenData(Encoded(texts, None), [0] * len(texts))
    return data, [OnlyWritten(stored["prompts"].tolist())]
