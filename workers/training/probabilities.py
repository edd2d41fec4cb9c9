"""Keeps the class probabilities of a split as an artifact, for ensembles."""

from __future__ import annotations

from pricetag.atomic_files import write_whole
from pricetag.studies.ensemble import FILE, member_text
from workers.job.context import StageContext
from workers.job.request import JobError
from workers.job.steps import link_or_copy
from workers.training.model.loaded import Loaded
from workers.training.prediction import Predictions


def keep_probabilities(
    context: StageContext, loaded: Loaded, split: str, predictions: Predictions
) -> None:
    """Writes the class probabilities of an evaluated split, and reports the file.

    Raises:
        JobError: The task does not predict classes.
    """
    logits = predictions.logits
    if logits is None or loaded.labels is None:
        raise JobError(
            "no-probabilities",
            "only a classification has class probabilities",
            f"{context.field}.keep_probabilities",
        )
    rows = logits.double().softmax(-1).tolist()
    context.folder.mkdir(parents=True, exist_ok=True)
    file = context.folder / FILE.format(split=split)
    write_whole(file, member_text(split, loaded.labels, predictions.labels, rows))
    folder = f"stage-{context.index:02d}-evaluate"
    for place in link_or_copy([file], context.job.artifacts_dir / folder):
        context.reporter.artifact(f"{folder}/{place.name}", place, None)
