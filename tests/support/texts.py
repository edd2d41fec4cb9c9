"""Plain text for the tests of language models, and small models for each task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.training import CONFIG
from workers.training.data.synthetic import generate

SHALLOW: dict[str, Any] = {
    **CONFIG,
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "intermediate_size": 24,
}
ARCHITECTURES = {"masked_lm": "bert", "causal_lm": "gpt2", "question_answering": "bert"}


def text_files(root: Path, train: int = 48, dev: int = 16) -> Path:
    """A folder to be a data root, with ``data/train.txt`` and ``data/dev.txt`` in it."""
    sentences = [one.sentence for one in generate(train + dev, seed=1)]
    (root / "data").mkdir(parents=True, exist_ok=True)
    (root / "data" / "train.txt").write_text("\n".join(sentences[:train]) + "\n\n")
    (root / "data" / "dev.txt").write_text("\n".join(sentences[train:]) + "\n")
    return root


def text_recipe(task: str, *stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A recipe over plain text, from scratch."""
    data = {"train": "data/train.txt", "validation": "data/dev.txt", **changes.pop("data", {})}
    model = {"config": {**SHALLOW, "model_type": ARCHITECTURES[task]}}
    return {"task": task, "data": data, "model": model, "stages": list(stages), **changes}
