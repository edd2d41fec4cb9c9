"""Quality of a model on a split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from workers.job.context import StageContext
from workers.job.request import JobError
from workers.training.cost.flops import FlopProfile
from workers.training.data.texts import encode_labels, load_split
from workers.training.data.tokens import Collator, TokenData, encode
from workers.training.model.models import Loaded

PROGRESS_EVERY = 20  # batches

Metrics = dict[str, float | None]


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
    classes = predictions.logits.argmax(-1).tolist()
    return agreement(classes, [int(label) for label in labels], len(loaded.labels)), predictions


def report_quality(context: StageContext, split: str, metrics: Metrics) -> dict[str, float]:
    """Put the metrics on the price tag; returns those that have a value."""
    for name, value in metrics.items():
        context.reporter.metric(name, value, split=split, quality=True)
    return {name: value for name, value in metrics.items() if value is not None}


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


def agreement(predicted: Sequence[int], labels: Sequence[int], classes: int) -> Metrics:
    """Accuracy, F1 (of class 1 when there are two, else the mean over classes) and MCC."""
    from sklearn import metrics

    average = "binary" if classes == 2 else "macro"
    return {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "f1": float(metrics.f1_score(labels, predicted, average=average, zero_division=0)),
        "mcc": float(metrics.matthews_corrcoef(labels, predicted)),
    }


def correlations(predicted: Sequence[float], labels: Sequence[float]) -> Metrics:
    """Pearson and Spearman; None where one side is constant and there is none."""
    if len(labels) < 2 or _constant(predicted) or _constant(labels):
        return {"pearson": None, "spearman": None}
    from scipy import stats

    found = {
        "pearson": float(stats.pearsonr(predicted, labels).statistic),
        "spearman": float(stats.spearmanr(predicted, labels).statistic),
    }
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def _constant(values: Sequence[float]) -> bool:
    return max(values) == min(values)
