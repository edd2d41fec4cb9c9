"""The kinds of runs that the lab has, with how often each occurs and how it ends."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Recipe = dict[str, Any]

OUT_OF_MEMORY = {"code": "out-of-memory", "message": "CUDA out of memory"}
EXIT_CODE = {"code": "program-failed", "message": "the program ended with exit code 1"}
WORKER_LOST = {"code": "worker-lost", "message": "its worker was not heard of for 900 s"}
SHUTDOWN = {"code": "worker-stopped", "message": "the worker was stopped"}
BY_REQUEST = {"code": "cancelled", "message": "canceled by request"}


@dataclass(frozen=True)
class Part:
    """One attempt: how much of the recipe it carries out, and how it ends."""

    status: str = "succeeded"
    done_ratio: float = 1.0
    reason: dict[str, str] | None = None


@dataclass(frozen=True)
class Shape:
    """A kind of run.

    Attributes:
        weight: Its part of all runs.
        recipe: Makes a recipe.
        gpus: Accelerators that it uses.
        minutes: Median length of the training, or of the program.
        parts: Its attempts, in order; none if it was canceled in the queue.
        status: How the run ends; `running` and `queued` runs are open.
        reprices: Whether its price tag is issued again with other factors.
    """

    name: str
    weight: float
    recipe: Callable[[random.Random], Recipe]
    gpus: int
    minutes: float
    parts: tuple[Part, ...] = (Part(),)
    status: str = "succeeded"
    reprices: bool = False


def _model(rng: random.Random) -> dict[str, Any]:
    width = rng.choice((128, 256, 384))
    return {
        "config": {
            "model_type": "bert",
            "hidden_size": width,
            "num_hidden_layers": rng.choice((4, 6, 12)),
            "num_attention_heads": 4,
            "intermediate_size": 4 * width,
        }
    }


def _training(rng: random.Random, *after: dict[str, Any], evaluate: bool = True) -> Recipe:
    data = rng.choice(("sst2", "cola", "reviews"))
    train = {
        "kind": "train",
        "epochs": rng.choice((1, 2, 3, 5)),
        "batch_size": rng.choice((16, 32, 64)),
        "learning_rate": rng.choice((2e-5, 5e-5, 1e-4)),
        "seed": rng.randrange(5),
        "evaluate": evaluate,
    }
    return {
        "task": "classification",
        "data": {
            "train": f"{data}/train.tsv",
            "validation": f"{data}/dev.tsv",
            "text": "sentence",
            "label": "label",
        },
        "model": _model(rng),
        "stages": [train, *after],
    }


MEASURE = {"kind": "measure", "batch_size": 8, "min_seconds": 5.0}


def fine_tuning(rng: random.Random) -> Recipe:
    return _training(rng)


def pruning(rng: random.Random) -> Recipe:
    prune = {"kind": "prune", "sparsity": rng.choice((0.3, 0.5, 0.7)), "recovery_epochs": 1.0}
    return _training(rng, prune, MEASURE)


def compression(rng: random.Random) -> Recipe:
    distill = {"kind": "distill", "epochs": 2, "student": {"layers": "every_second"}}
    quantize = {"kind": "quantize", "scheme": "int8_dynamic", "embeddings": True}
    return _training(rng, MEASURE, distill, MEASURE, quantize, MEASURE)


def quantization(rng: random.Random) -> Recipe:
    quantize = {"kind": "quantize", "scheme": "int8_dynamic"}
    return _training(rng, quantize, MEASURE, evaluate=False)


def program(rng: random.Random) -> Recipe:
    script = rng.choice(("pretrain.py", "probe.py", "finetune.py", "ablate.py"))
    argv = ["python", script, "--seed", str(rng.randrange(5)), "--lr", rng.choice(("1e-4", "3e-4"))]
    return {"stages": [{"kind": "command", "argv": argv, "code": "/data/scripts"}]}


RESUMED = (Part("lost", 0.5, WORKER_LOST), Part())
INTERRUPTED = (Part("interrupted", 0.3, SHUTDOWN), Part("interrupted", 0.7, SHUTDOWN), Part())
FAILED = (Part("failed", 0.4, OUT_OF_MEMORY),)
GAVE_UP = tuple(Part("lost", 0.3, WORKER_LOST) for _ in range(3))

SHAPES = (
    Shape("fine-tuning", 0.25, fine_tuning, 1, 25),
    Shape("program", 0.14, program, 1, 45),
    Shape("program on the CPU", 0.08, program, 0, 10),
    Shape("quantization", 0.08, quantization, 1, 12),
    Shape("pruning", 0.10, pruning, 1, 30),
    Shape("compression", 0.11, compression, 1, 40),
    Shape("fine-tuning on a whole node", 0.03, fine_tuning, 8, 70),
    Shape("program on four devices", 0.03, program, 4, 90),
    Shape("re-priced", 0.01, fine_tuning, 1, 20, reprices=True),
    Shape("out of memory", 0.04, fine_tuning, 1, 25, FAILED, "failed"),
    Shape("failed program", 0.05, program, 1, 20, (Part("failed", 0.6, EXIT_CODE),), "failed"),
    Shape("lost and resumed", 0.02, fine_tuning, 1, 50, RESUMED),
    Shape("interrupted twice", 0.01, program, 2, 120, INTERRUPTED),
    Shape("given up", 0.01, program, 1, 60, GAVE_UP, "failed"),
    Shape("cancelled", 0.02, program, 1, 30, (Part("cancelled", 0.3, BY_REQUEST),), "cancelled"),
    Shape("cancelled in the queue", 0.02, fine_tuning, 1, 30, (), "cancelled"),
)

RUNNING = Shape("running", 0.0, fine_tuning, 1, 90, (Part("running", 0.6),), "running")
QUEUED = Shape("queued", 0.0, fine_tuning, 1, 30, (), "queued")
TRACED = Shape("24 h on a whole node", 0.0, program, 8, 1440)
