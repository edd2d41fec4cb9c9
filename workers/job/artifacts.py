"""Publishes a stage's model: its files, with a card that describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pricetag.atomic_files import write_whole
from workers.job.reporter import Reporter
from workers.job.request import Job
from workers.job.steps import Step, link_or_copy

WEIGHTS = "model.safetensors"


def publish(
    job: Job,
    reporter: Reporter,
    step: Step,
    lineage: Sequence[Mapping[str, Any]],
    quality: Mapping[str, Mapping[str, float]],
    stage_key: str,
) -> None:
    """Puts a stage's model into the attempt's artifacts, with its card, and reports each file.

    ``lineage`` ends with the stage itself. The model's price tag is that of the run ``run_id``.
    """
    source = job.work_dir / step.folder_name / "model"
    card = {
        "format": 1,
        "run_id": job.run_id,
        "attempt": job.attempt_number,
        "stage": step.index,
        "kind": step.kind,
        "task": job.recipe.get("task"),
        "base_model": job.recipe.get("model"),
        "data": job.recipe.get("data"),
        "params": lineage[-1]["params"],
        "facts": lineage[-1]["facts"],
        "parents": [dict(parent) for parent in lineage[:-1]],
        "quality": {split: dict(metrics) for split, metrics in quality.items()},
    }
    write_whole(source / "card.json", json.dumps(card, indent=2))
    folder = f"stage-{step.index:02d}-{step.kind}"
    for place in link_or_copy(sorted(source.iterdir()), job.artifacts_dir / folder):
        file_card = card if place.name == WEIGHTS else None
        reporter.artifact(f"{folder}/{place.name}", place, file_card, stage_key)
