"""Every stage kind: its parameters, where its code is, and the paper it follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pricetag.recipes.stages import (
    Command,
    Distill,
    Evaluate,
    Measure,
    Prune,
    Quantize,
    StageParams,
    Train,
)


@dataclass(frozen=True)
class Paper:
    """The publication a technique follows."""

    citation: str
    url: str


@dataclass(frozen=True)
class RecipeEntry:
    """One stage kind. ``entry_point`` is ``module:function``, imported in the child alone."""

    kind: str
    params: type[StageParams]
    entry_point: str
    title: str
    summary: str
    paper: Paper
    example: dict[str, Any]

    def describe(self) -> dict[str, Any]:
        """The entry as plain data, with the JSON schema of its parameters."""
        return {
            "kind": self.kind,
            "title": self.title,
            "summary": self.summary,
            "paper": {"citation": self.paper.citation, "url": self.paper.url},
            "schema": self.params.model_json_schema(),
            "example": self.example,
        }


_ENTRIES = (
    RecipeEntry(
        kind="train",
        params=Train,
        entry_point="workers.recipes.train:run",
        title="Fine-tune, or train from scratch",
        summary="Trains an encoder for classification or regression of sentences or pairs.",
        paper=Paper(
            "Devlin, Chang, Lee, Toutanova (2019): BERT: Pre-training of Deep Bidirectional "
            "Transformers for Language Understanding. NAACL.",
            "https://doi.org/10.18653/v1/N19-1423",
        ),
        example={
            "kind": "train",
            "epochs": 1,
            "batch_size": 32,
            "learning_rate": 1e-4,
            "seed": 0,
        },
    ),
    RecipeEntry(
        kind="evaluate",
        params=Evaluate,
        entry_point="workers.recipes.evaluate:run",
        title="Evaluate",
        summary="Accuracy, F1 and MCC, or Pearson and Spearman, on the named splits.",
        paper=Paper(
            "Wang, Singh, Michael, Hill, Levy, Bowman (2018): GLUE: A Multi-Task Benchmark and "
            "Analysis Platform for Natural Language Understanding. BlackboxNLP.",
            "https://doi.org/10.18653/v1/W18-5446",
        ),
        example={"kind": "evaluate", "splits": ["validation"], "batch_size": 64},
    ),
    RecipeEntry(
        kind="distill",
        params=Distill,
        entry_point="workers.recipes.distill:run",
        title="Distil into a smaller student",
        summary="Trains a student with fewer (or narrower) layers on the teacher's logits.",
        paper=Paper(
            "Hinton, Vinyals, Dean (2015): Distilling the Knowledge in a Neural Network. "
            "NIPS Deep Learning Workshop.",
            "https://arxiv.org/abs/1503.02531",
        ),
        example={
            "kind": "distill",
            "alpha": 0.5,
            "temperature": 2.0,
            "student": {"layers": "every_second"},
            "epochs": 1,
            "learning_rate": 1e-4,
        },
    ),
    RecipeEntry(
        kind="prune",
        params=Prune,
        entry_point="workers.recipes.prune:run",
        title="Prune by magnitude",
        summary="Sets the smallest encoder weights to zero, at once or in rounds with recovery.",
        paper=Paper(
            "Han, Pool, Tran, Dally (2015): Learning both Weights and Connections for Efficient "
            "Neural Networks. NIPS.",
            "https://arxiv.org/abs/1506.02626",
        ),
        example={"kind": "prune", "sparsity": 0.5, "scope": "global", "recovery_epochs": 1},
    ),
    RecipeEntry(
        kind="quantize",
        params=Quantize,
        entry_point="workers.recipes.quantize:run",
        title="Quantize to 8-bit integers",
        summary="Linear layers with dynamic activations, and the embeddings row by row.",
        paper=Paper(
            "Zafrir, Boudoukh, Izsak, Wasserblat (2019): Q8BERT: Quantized 8Bit BERT. EMC2-NIPS.",
            "https://arxiv.org/abs/1910.06188",
        ),
        example={"kind": "quantize", "scheme": "int8_dynamic", "embeddings": True},
    ),
    RecipeEntry(
        kind="measure",
        params=Measure,
        entry_point="workers.recipes.measure:run",
        title="Measure size, speed, energy and quality",
        summary="Parameters, bytes, FLOPs, latency, throughput, memory, inferences, accuracy.",
        paper=Paper(
            "Schwartz, Dodge, Smith, Etzioni (2020): Green AI. Communications of the ACM 63(12).",
            "https://doi.org/10.1145/3381831",
        ),
        example={"kind": "measure", "batch_size": 8, "sequence_length": 32, "min_seconds": 1},
    ),
    RecipeEntry(
        kind="command",
        params=Command,
        entry_point="workers.recipes.command:run",
        title="Run a command",
        summary="Any program, metered; off unless the worker's administrator allows it.",
        paper=Paper(
            "Henderson, Hu, Romoff, Brunskill, Jurafsky, Pineau (2020): Towards the Systematic "
            "Reporting of the Energy and Carbon Footprints of Machine Learning. JMLR 21(248).",
            "https://jmlr.org/papers/v21/20-312.html",
        ),
        example={"kind": "command", "argv": ["python", "-c", "print('hello')"]},
    ),
)

REGISTRY: dict[str, RecipeEntry] = {entry.kind: entry for entry in _ENTRIES}


def describe() -> list[dict[str, Any]]:
    """Every stage kind as plain data, for ``GET /v1/recipes`` and ``pricetag recipes``."""
    return [entry.describe() for entry in REGISTRY.values()]
