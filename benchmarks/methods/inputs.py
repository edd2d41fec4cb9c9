"""The data root of the benchmark's worker: the encoder, and the same examples for all methods."""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.methods.plan import Budget

INPUTS = "inputs"
"""Data root of the worker, in the state folder."""

MODEL = "model"
SHUFFLED_BY = 20


def prepare(
    root: Path, data: dict[str, Path], model: Path, budget_of: Callable[[str], Budget]
) -> dict[str, str]:
    """Write the inputs; returns a hash of encoder and sentences for each data set.

    Args:
        root: Data root of the worker.
        data: Folders with ``train.tsv`` and ``dev.tsv``, by name of the data set.
        model: Folder of the encoder.
        budget_of: Budget of a data set by its name: how many examples.

    Raises:
        FileNotFoundError: A file is missing.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name, folder in data.items():
        (root / name).mkdir(exist_ok=True)
        budget = budget_of(name)
        _write_part(folder / "train.tsv", root / name / "train.tsv", budget.examples)
        _write_part(folder / "dev.tsv", root / name / "dev.tsv", budget.dev_examples)
    if not (root / MODEL).exists():
        partial = root / f"{MODEL}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(model, partial)
        partial.rename(root / MODEL)
    return {name: _hashed([root / MODEL, root / name]) for name in data}


def dev_labels(root: Path, name: str) -> list[str]:
    """Labels of the validation examples of a data set; empty if the file is missing.

    Raises:
        ValueError: It has no column ``label``.
    """
    file = root / name / "dev.tsv"
    if not file.exists():
        return []
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    column = head.split("\t").index("label")
    return [line.split("\t")[column] for line in lines]


def _hashed(folders: list[Path]) -> str:
    """SHA-256 of the files' names and contents, shortened."""
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(file.relative_to(folder).as_posix().encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _write_part(source: Path, target: Path, count: int | None) -> None:
    """Copy the head line and ``count`` of the other lines, drawn by a fixed seed."""
    head, *lines = source.read_text(encoding="utf-8").splitlines(keepends=True)
    if count is not None and count < len(lines):
        lines = random.Random(SHUFFLED_BY).sample(lines, count)
    target.write_text(head + "".join(lines), encoding="utf-8")
