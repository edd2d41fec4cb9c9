"""The software environment of a job: versions, commit, seeds."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from pricetag.metering.machine import git_commit
from pricetag.recipes import Recipe
from pricetag.recipes.plan import seeds
from workers.job.reporter import Reporter

_TRAINING_PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "tokenizers",
    "datasets",
    "safetensors",
    "scikit-learn",
    "numpy",
)


def report(recipe: Recipe, reporter: Reporter, code: Mapping[str, Any] | None = None) -> None:
    """Report the versions of the recipe's packages, the checkout's commit, and the seeds."""
    names = ("pricetag",) if recipe.runs_program else ("pricetag", *_TRAINING_PACKAGES)
    reporter.environment(
        packages={name: installed for name in names if (installed := version(name)) is not None},
        python=platform.python_version(),
        platform=platform.platform(),
        git_commit=git_commit(Path(__file__).parent),
        seeds=seeds(recipe.stages),
        code=code,
    )


@cache
def version(package: str) -> str | None:
    """Installed version of a package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
