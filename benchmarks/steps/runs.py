"""The measured runs: each kind of the registry that trains, at the size of a small encoder."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from pricetag.recipes import REGISTRY, RecipeEntry

HALF = {"student": {"layers": "every_second"}}
STAGES: dict[str, dict[str, Any]] = {
    "distill": HALF,
    "distill-minilm": HALF,
    "distill-mobilebert": {"transfer_epochs": 1.0, "feedforward_networks": 2},
    "distill-pkd": HALF,
    "distill-sequence": HALF,
    "distill-tinybert": {**HALF, "intermediate_epochs": 1.0},
    "prune": {"sparsity": 0.5},
    "prune-compressbert": {"sparsity": 0.4, "mask_every": 10},
    "prune-et": {"recovery_epochs": 1.0},
    "prune-group_lasso": {"recovery_epochs": 1.0},
    "prune-lottery_ticket": {"sparsity": 0.5, "rounds": 1},
    "prune-morphnet": {"budget": 0.5, "start": "shrunk", "strength": 1000, "recovery_epochs": 1.0},
    "prune-qa": {"criterion": "l0", "neurons": 0.5, "gate_epochs": 1.0, "distill": True},
    "prune-rpp": {"recovery_epochs": 1.0},
    "prune-sparsebert": {"updates": 5},
    "prune-spd": {"sparsity": 0.9},
    "quantize-qat": {"bits": 8},
    "share-albert": {"embedding_size": 128},
}
"""Options beside those of a kind's own example."""

CAUSAL = {
    "model_type": "gpt2",
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
}
TASKS = ("classification", "masked_lm", "question_answering", "causal_lm")
_FILES = {"question_answering": ("questions.json", "questions.json")}


def kinds() -> list[str]:
    """Every kind that trains."""
    return [kind for kind, entry in REGISTRY.items() if entry.traits.trains]


def task_of_kind(entry: RecipeEntry[Any]) -> str:
    """The task on which a kind is measured: the first of ``TASKS`` that it has."""
    return next(task for task in TASKS if task in entry.traits.tasks)


def write_data(root: Path, source: Path, examples: int) -> None:
    """Write ``train.tsv`` and ``dev.tsv`` with some of the sentences, and questions on them."""
    (root / "data").mkdir(parents=True)
    head, *lines = (source / "train.tsv").read_text(encoding="utf-8").splitlines()
    sample = random.Random(0).sample(lines, examples)
    for name, part in (("train.tsv", sample), ("dev.tsv", sample[:64])):
        (root / "data" / name).write_text("\n".join([head, *part]) + "\n", encoding="utf-8")
    column = head.split("\t").index("sentence")
    texts = [line.split("\t")[column] for line in sample]
    paragraphs = [_question(number, text) for number, text in enumerate(texts)]
    described = {"version": "1.1", "data": [{"title": "sentences", "paragraphs": paragraphs}]}
    (root / "data" / "questions.json").write_text(json.dumps(described), encoding="utf-8")


def _question(number: int, text: str) -> dict[str, Any]:
    words = text.split()
    middle_word = words[len(words) // 2]
    start = len(" ".join(words[: len(words) // 2])) + (1 if len(words) > 1 else 0)
    asked = {
        "id": str(number),
        "question": "What is in the middle ?",
        "answers": [{"text": middle_word, "answer_start": start}],
    }
    return {"context": " ".join(words), "qas": [asked]}


def described(task: str, model: Any, *stages: dict[str, Any]) -> dict[str, Any]:
    """A recipe on these data."""
    train, validation = _FILES.get(task, ("train.tsv", "dev.tsv"))
    data: dict[str, Any] = {"train": f"data/{train}", "validation": f"data/{validation}"}
    if task == "classification":
        data |= {"text": "sentence", "label": "label"}
    elif task != "question_answering":
        data |= {"text": "sentence"}
    return {"task": task, "data": data, "model": model, "stages": list(stages)}


def stage_of(entry: RecipeEntry[Any], batch_size: int, precision: str) -> dict[str, Any]:
    """The stage of a kind: its example, larger, for one pass over the data each."""
    fields = entry.params.model_fields
    shared = {
        "batch_size": batch_size,
        "precision": precision,
        "max_length": 64,
        "evaluate": False,
        "checkpoint_after_s": 3600,
        "checkpoint_every_s": 3600,
    }
    options = {**entry.example, **STAGES.get(entry.kind, {})}
    return options | {name: value for name, value in shared.items() if name in fields}


def start_of(entry: RecipeEntry[Any], task: str) -> Any:
    """The model that a run of the kind starts from."""
    if task == "causal_lm":
        return {"config": CAUSAL}
    plain = entry.traits.starts_from_scratch or entry.kind.startswith("pretrain")
    return "encoder" if plain else f"trained-{task}"


def copy_encoder(root: Path, model: Path) -> None:
    """Put the encoder under the data root."""
    shutil.copytree(model, root / "encoder")
