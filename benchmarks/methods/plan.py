"""What is submitted: an entry of the catalog with data set, seed and budget, as a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.methods.catalog import Catalog, Entry
from pricetag.recipes.registry import entry_of

PROJECT = "methods"
MEASURE = "measure"


@dataclass(frozen=True)
class Budget:
    """What all methods have in common.

    Attributes:
        examples: Training examples, the same for all.
        dev_examples: Examples for scores; None for all.
        batch_size: Examples of a step.
        epochs: Passes over the examples, unless the method divides or multiplies them.
        learning_rate: Peak learning rate, unless a run states another one.
        max_length: Tokens of a text.
        measured_tokens: Tokens of an example for latency, FLOPs and energy of inference.
        measured_s: Duration of the metered inference, s.
        threads: Threads of the arithmetic.
        checkpoints: Whether a checkpoint is written after each step, to resume from it.
    """

    examples: int = 1920
    dev_examples: int | None = None
    batch_size: int = 32
    epochs: float = 1.0
    learning_rate: float = 1e-4
    max_length: int = 64
    measured_tokens: int = 32
    measured_s: float = 2.0
    threads: int = 2
    checkpoints: bool = False


def budget_on(catalog: Catalog, budget: Budget, data: str) -> Budget:
    """The budget of the runs on a data set: the catalog's, except for what the user has stated.

    Args:
        catalog: All runs, and the budgets of data sets.
        budget: The common budget; a value other than the default was stated by the user.
        data: Name of the data set.
    """
    own = catalog.budgets.get(data, {})
    usual = Budget()
    return replace(
        budget, **{k: v for k, v in own.items() if getattr(budget, k) == getattr(usual, k)}
    )


@dataclass(frozen=True, order=True)
class Trial:
    """One run: an entry on a data set with a seed."""

    seed: int
    data: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} ({self.data}, seed {self.seed})"


def trials(entries: Iterable[Entry], seeds: int, data: Iterable[str]) -> list[Trial]:
    """Every run in order: all with the first seed come first."""
    entries, data = list(entries), list(data)
    return [
        Trial(seed, name, entry.name)
        for seed in range(seeds)
        for name in data
        for entry in entries
        if name in entry.data
    ]


def stages(entry: Entry, budget: Budget, seed: int) -> list[dict[str, Any]]:
    """The stages of a run, with what the budget decides and the measuring at the end."""
    listed = [_with_budget(stage, budget, seed) for stage in entry.stages]
    if not entry.is_measured:
        return listed
    if entry.train_score:
        scored = {"kind": "evaluate", "splits": ["train"], "max_length": budget.max_length}
        listed.append({**scored, "name": "train score"})
    return [
        *listed,
        {
            "kind": "measure",
            "name": MEASURE,
            "batch_size": 32,
            "sequence_length": budget.measured_tokens,
            "min_seconds": budget.measured_s,
            "max_length": budget.max_length,
        },
    ]


def _with_budget(stage: dict[str, Any], budget: Budget, seed: int) -> dict[str, Any]:
    described = entry_of(stage)
    if described is None:
        return stage
    fields = described.params.model_fields
    shared: dict[str, Any] = {
        "batch_size": budget.batch_size,
        "learning_rate": budget.learning_rate,
        "max_length": budget.max_length,
        "seed": seed,
        "evaluate": False,  # the model is scored as it was published, when it is measured
    }
    if budget.checkpoints:
        shared |= {"checkpoint_after_s": 0.0, "checkpoint_every_s": 0.0}
    if "max_steps" not in stage:
        shared["epochs"] = 1.0
    options = {name: value for name, value in shared.items() if name in fields} | stage
    for name in ("epochs", "intermediate_epochs", "transfer_epochs", "recovery_epochs"):
        if isinstance(options.get(name), int | float):
            options[name] = options[name] * budget.epochs
    return options


def described_run(
    entry: Entry, budget: Budget, trial: Trial, upstream: dict[str, str] | None
) -> dict[str, Any]:
    """The body of the run's request.

    Args:
        entry: Its entry in the catalog.
        budget: The budget on the trial's data set (``budget_on``).
        trial: Data set and seed.
        upstream: ``{run, stage}`` of the model that it starts from; None for the encoder.
    """
    folder = trial.data
    return {
        "project": PROJECT,
        "experiment": f"{trial.data}, seed {trial.seed}",
        "name": entry.name,
        "tags": [entry.method],
        "max_attempts": 2,
        "recipe": {
            "task": entry.task,
            "data": {"train": f"{folder}/train.tsv", "validation": f"{folder}/dev.tsv"},
            "model": upstream or entry.model or "model",
            "stages": stages(entry, budget, trial.seed),
        },
    }


def fingerprint(catalog: Catalog, budget: Budget, trial: Trial, inputs: str) -> str:
    """What a run's figures depend on, shortened: its chain of entries, the budget, the inputs."""
    budget = budget_on(catalog, budget, trial.data)
    entries = catalog.chain(trial.name)
    chain: list[Any] = [stages(entry, budget, trial.seed) for entry in entries]
    chain += [entry.model for entry in entries if entry.model is not None]
    shared = {k: v for k, v in asdict(budget).items() if k != "checkpoints"}  # in the stages
    text = json.dumps([chain, shared, trial.data, trial.seed, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
