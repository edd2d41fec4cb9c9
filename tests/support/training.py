"""Small jobs for the tests of training: a generated data set, a network of a few neurons."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
import torch

from pricetag.atomic_files import replaced
from pricetag.recipes import FromScratch, parse_recipe
from tests.support.recording import RecordingReporter
from workers.job.context import ModelRef, StageContext
from workers.job.pipeline import run
from workers.job.reporter import Job
from workers.training import quiet
from workers.training.data import synthetic

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from workers.training.cost.flops import FlopProfile
    from workers.training.model.heads import Head

quiet.settle(allow_hub=False)
# Networks this small gain nothing from threads, and lose much on a machine that is busy.
torch.set_num_threads(1)

CONFIG = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 300,
    "max_position_embeddings": 48,
}
TRAIN_TOKENS = {
    "kind": "train",
    "max_steps": 6,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "precision": "fp32",
    "max_length": 32,
}
"""A training of a language model or of question answering."""

TRAIN = {"kind": "train", "max_steps": 6, "batch_size": 8, "learning_rate": 1e-3, "seed": 0}


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def launch_ranks(root: Path, script: str, *arguments: str, torchrun: bool = False) -> None:
    """Runs a Python script as two ranks, with the folder as its first argument.

    Under torchrun each of three processes imports torch, which takes longer than the script;
    otherwise the ranks are forks of one process.
    """
    (root / "script.py").write_text(script)
    repository = Path(__file__).parents[2]
    launcher = TORCHRUN if torchrun else ("-m", "tests.support.two_ranks")
    completed = subprocess.run(
        [sys.executable, *launcher, str(root / "script.py"), str(root), *arguments],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        timeout=180,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr[-8000:]


def data_set(folder: Path, hard_share: float = 0.5, **sizes: int) -> Path:
    """A folder to be a data root, with ``data/train.tsv`` and its like in it."""
    counts = {"train": 96, "dev": 40, "test": 24, **sizes}
    synthetic.write(folder / "data", **counts, hard_share=hard_share)
    return folder


def recipe(*stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A recipe over the generated data set."""
    data = {"train": "data/train.tsv", "validation": "data/dev.tsv"}
    described = {"task": "classification", "data": data, "model": {"config": CONFIG}}
    return {**described, "stages": list(stages or [TRAIN]), **changes}


def job(root: Path, described: dict[str, Any], attempt: int = 1, **changes: Any) -> Job:
    """An attempt at a recipe, its folders under ``root``."""
    return Job(
        **{
            "run_id": "11111111-2222-3333-4444-555555555555",
            "attempt_number": attempt,
            "recipe": described,
            "data_roots": [root],
            "work_dir": root / "work",
            "artifacts_dir": root / "artifacts" / str(attempt),
            **changes,
        }
    )


@contextmanager
def counted_once(
    kept: Path | None = None,
) -> Iterator[Callable[[PreTrainedConfig, Head], FlopProfile]]:
    """Jobs count the operations of an architecture once in this process, not once a job.

    Counting takes several times as long as training a network of a few neurons. Tests of the
    counting itself call ``profile``, which is not replaced.

    Args:
        kept: A folder in which processes that are forked from this one keep their counts for
            one another.

    Yields:
        The function that jobs then count with.
    """
    # Not above: these load transformers, which must not happen before ``quiet.settle``.
    from workers.training import finetune
    from workers.training.cost.flops import architecture_key, profile
    from workers.training.formats import registry
    from workers.training.formats.profile import count_structure

    once = _Once(kept)

    def counted(config: PreTrainedConfig, head: Head) -> FlopProfile:
        vocabulary = config.vocab_size if head.per_token else None
        key = (head.name, vocabulary, architecture_key(config))
        return once(key, lambda: profile(config, head))

    def structure(config: PreTrainedConfig, notes: registry.Notes) -> Any:
        modules = json.dumps(registry.structure(notes), sort_keys=True)
        sizes = (config.num_labels, getattr(config, "vocab_size", None))
        key = (architecture_key(config), config.architectures, sizes, modules)
        return once(key, lambda: count_structure(config, notes))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(finetune, "profile", counted)
        patch.setattr(finetune, "count_structure", structure)
        yield counted


Count = TypeVar("Count")


class _Once:
    """Counts what has no count yet, in this process and in those that share the folder."""

    def __init__(self, kept: Path | None) -> None:
        self._kept = kept
        self._counts: dict[str, Any] = {}

    def __call__(self, key: tuple[object, ...], count: Callable[[], Count]) -> Count:
        name = hashlib.sha256(repr(key).encode()).hexdigest()
        place = self._kept / name if self._kept else None
        if name not in self._counts and place and place.exists():
            self._counts[name] = pickle.loads(place.read_bytes())
        if name not in self._counts:
            self._counts[name] = count()
            if place:
                with replaced(place) as draft:
                    draft.write_bytes(pickle.dumps(self._counts[name]))
        counted: Count = self._counts[name]
        return counted


def carry_out(
    root: Path, described: dict[str, Any], attempt: int = 1, **changes: Any
) -> RecordingReporter:
    """Run a recipe and return what it reported."""
    reporter = RecordingReporter()
    run(job(root, described, attempt, **changes), reporter)
    return reporter


def context(
    root: Path, described: dict[str, Any], model: Path | None = None, index: int = 0
) -> StageContext:
    """What a stage of the recipe is given."""
    parsed = parse_recipe(described)
    folder = root / "work" / "stage"
    folder.mkdir(parents=True, exist_ok=True)
    ref = None
    if model is not None:
        ref = ModelRef(folder=model, produced=True)
    elif isinstance(parsed.model, FromScratch):
        ref = ModelRef(scratch=parsed.model)
    return StageContext(
        job=job(root, described),
        recipe=parsed,
        reporter=RecordingReporter(),
        index=index,
        folder=folder,
        model=ref,
        cache={},
    )
