"""Quality of a model on a split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from pricetag.recipes.base import MAX_NAME_CHARS
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost.flops import FlopProfile
from workers.training.data.labels import encode_labels, names_in_data, positive_class
from workers.training.data.texts import load_split
from workers.training.data.tokens import Collator, TokenData, encode
from workers.training.model.models import Loaded

PROGRESS_EVERY = 20  # batches


@dataclass(frozen=True)
class Score:
    """One figure of quality.

    Attributes:
        value: None where it is not defined; ``reason`` says why.
        of_class: The class it is of, or how it averages over classes; None for neither.
        reason: Why there is no value.
    """

    value: float | None
    of_class: str | None = None
    reason: str | None = None


Metrics = dict[str, Score]


@dataclass(frozen=True)
class Predictions:
    """Logits ``[examples, classes]`` in the data's order, and the padded batches computed."""

    logits: torch.Tensor
    batches: list[tuple[int, int]]  # rows, tokens

    def forward_flops(self, profile: FlopProfile, density: float = 1.0) -> float:
        """Operations of all batches; ``density`` is the share of weights that are not zero."""
        return sum(rows * profile.forward(width, density) for rows, width in self.batches)

    def low_bit_flops(self, profile: FlopProfile) -> float:
        """The part of the operations that an 8-bit model does on 8-bit numbers."""
        return sum(rows * profile.low_bit(width) for rows, width in self.batches)


def evaluate(
    context: StageContext, loaded: Loaded, split: str, *, batch_size: int, max_length: int
) -> tuple[Metrics, Predictions]:
    """Quality by name: accuracy, F1 and MCC of classes, Pearson and Spearman of scores.

    Raises:
        JobError: the split cannot be read, or has a label that the model does not know.
    """
    examples = load_split(context, split)
    labels = encode_labels(examples, loaded.labels)
    limit = loaded.token_limit(max_length)
    data = TokenData(encode(context, examples, loaded.tokenizer, limit), labels)
    predictions = predict(context, loaded, data, batch_size)
    if loaded.labels is None:
        return correlations(predictions.logits.squeeze(-1).tolist(), labels), predictions
    names = names_in_data(loaded.labels, examples)
    positive = None
    if len(names) == 2:
        positive = names.index(positive_class(context.recipe.data, names, examples.class_names))
    classes = predictions.logits.argmax(-1).tolist()
    return agreement(classes, [int(label) for label in labels], names, positive), predictions


def report_quality(context: StageContext, split: str, metrics: Metrics) -> dict[str, float]:
    """Put the metrics on the price tag; returns those that have a value."""
    for name, score in metrics.items():
        context.reporter.metric(
            name,
            score.value,
            split=split,
            quality=True,
            of_class=None if score.of_class is None else score.of_class[:MAX_NAME_CHARS],
            reason=score.reason,
        )
    return {name: score.value for name, score in metrics.items() if score.value is not None}


def predict(context: StageContext, loaded: Loaded, data: TokenData, batch_size: int) -> Predictions:
    """Run the model over the data, batched by length, in fp32.

    Raises:
        JobError: ``answer-not-finite``.
        Interrupted: a stop was asked for.
    """
    device = loaded.device(context.job.device)
    model: nn.Module = loaded.model
    model.to(device).train(False)
    collate = Collator(int(loaded.tokenizer.pad_token_id or 0), loaded.regression)
    order = sorted(range(len(data)), key=data.lengths.__getitem__)
    answers = torch.empty((len(data), loaded.outputs))
    batches = []
    with torch.inference_mode():
        for number, start in enumerate(range(0, len(order), batch_size)):
            rows = order[start : start + batch_size]
            batch = collate([data[row] for row in rows])
            inputs = {k: v.to(device) for k, v in batch.items() if k not in ("index", "labels")}
            answers[rows] = model(**inputs).logits.float().cpu()
            batches.append((len(rows), inputs["input_ids"].shape[1]))
            if number % PROGRESS_EVERY == 0:
                context.reporter.progress(start + len(rows), len(order), "examples")
                context.stop_if_asked()
    if not torch.isfinite(answers).all():
        raise JobError("answer-not-finite", "the model's answers are not finite numbers")
    return Predictions(answers, batches)


def agreement(
    predicted: Sequence[int],
    labels: Sequence[int],
    names: Sequence[str],
    positive: int | None = None,
) -> Metrics:
    """Accuracy, F1 and MCC of predicted classes.

    F1 is 2 TP / (2 TP + FP + FN) of the positive class of two, else its mean over the classes
    that occur among labels or predictions.

    Args:
        predicted: Class numbers.
        labels: The true ones.
        names: Of all classes.
        positive: Number of the class that F1 is of, where there are two; default 1.
    """
    right = sum(p == t for p, t in zip(predicted, labels, strict=True))
    if len(names) == 2:
        f1 = _f1_of_class(predicted, labels, names, 1 if positive is None else positive)
    else:
        f1 = _mean_f1(predicted, labels)
    return {"accuracy": Score(right / len(labels)), "f1": f1, "mcc": _mcc(predicted, labels)}


def _f1_of_class(
    predicted: Sequence[int], labels: Sequence[int], names: Sequence[str], number: int
) -> Score:
    name = names[number]
    if number not in labels and number not in predicted:
        return Score(None, name, f"no example is of class {name!r} or predicted to be of it")
    from sklearn import metrics

    value = metrics.f1_score(labels, predicted, pos_label=number, average="binary", zero_division=0)
    return Score(float(value), name)


def _mean_f1(predicted: Sequence[int], labels: Sequence[int]) -> Score:
    from sklearn import metrics

    occurring = len({*predicted, *labels})
    value = metrics.f1_score(labels, predicted, average="macro", zero_division=0)
    return Score(float(value), f"macro average of {occurring} classes")


def _mcc(predicted: Sequence[int], labels: Sequence[int]) -> Score:
    """Matthews' correlation; not defined (0/0) where either side is all of one class."""
    if _constant(labels):
        return Score(None, reason="all labels are of one class")
    if _constant(predicted):
        return Score(None, reason="all predictions are of one class")
    from sklearn import metrics

    return Score(float(metrics.matthews_corrcoef(labels, predicted)))


def correlations(predicted: Sequence[float], labels: Sequence[float]) -> Metrics:
    """Pearson and Spearman; None where one side is constant and there is none."""
    reason = None
    if len(labels) < 2:
        reason = "one example has no correlation"
    elif _constant(labels):
        reason = "all labels are equal"
    elif _constant(predicted):
        reason = "all predicted scores are equal"
    if reason is not None:
        return {name: Score(None, reason=reason) for name in ("pearson", "spearman")}
    from scipy import stats

    values = {
        "pearson": float(stats.pearsonr(predicted, labels).statistic),
        "spearman": float(stats.spearmanr(predicted, labels).statistic),
    }
    return {
        name: Score(value)
        if math.isfinite(value)
        else Score(None, reason="the scores differ too little to correlate")
        for name, value in values.items()
    }


def _constant(values: Sequence[float]) -> bool:
    return max(values) == min(values)
