"""Command line of the benchmark of steps.

``python -m benchmarks.steps --data FOLDER --model FOLDER [--only KIND ...] [--steps 12]``

Every kind of the registry that trains runs once on sentences of SST-2 (``train.tsv`` in the
folder), its steps in turns with steps of bare PyTorch that do the same arithmetic on the same
batches: teachers forward, the model forward and backward, clipping, AdamW. After each, what the
method's own definition adds is computed in plain PyTorch on tensors of the same shapes (see
``definition``). Compared are processor seconds of one thread, so that a shared machine disturbs
little. Two ratios, medians over pairs of steps with a 95% interval by bootstrap: of a step to the
passes alone, and to passes and definition, which is its arithmetic.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workers.training import quiet

quiet.settle(allow_hub=False)

import torch  # noqa: E402

from benchmarks.steps import runs  # noqa: E402
from benchmarks.steps.watch import Fit, watching  # noqa: E402
from pricetag.recipes import REGISTRY  # noqa: E402
from tests.support.recording import RecordingReporter  # noqa: E402
from workers.job.pipeline import run  # noqa: E402
from workers.job.reporter import Job  # noqa: E402

GOAL = 1.15
DRAWS = 2000


def main() -> int:
    options = _arguments()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        runs.write_data(root, options.data, (options.warm_up + options.steps) * options.batch_size)
        runs.copy_encoder(root, options.model)
        for kind in options.only or runs.kinds():
            for fit in _measured(root, kind, options):
                rows.append(_row(kind, fit))
                print(_line(rows[-1]), flush=True)
            gc.collect()
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    worst = max(row["ratio"] for row in rows)
    print(f"worst {worst:.3f}, goal {GOAL}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="Folder with train.tsv.")
    parser.add_argument("--model", type=Path, required=True, help="Folder of an encoder.")
    parser.add_argument("--only", nargs="+", choices=runs.kinds(), metavar="KIND")
    parser.add_argument("--steps", type=int, default=12, help="Measured steps of a training.")
    parser.add_argument("--warm-up", type=int, default=3, help="Steps before them.")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--json", type=Path, help="File for the figures.")
    return parser.parse_args()


def _measured(root: Path, kind: str, options: argparse.Namespace) -> list[Fit]:
    """The trainings of one kind."""
    entry = REGISTRY[kind]
    task = runs.task_of_kind(entry)
    start = runs.start_of(entry, task)
    if isinstance(start, str) and not (root / start).exists():
        _train_once(root, task, start)
    stage = runs.stage_of(entry, options.batch_size, options.precision)
    with watching(options.warm_up) as fits, tempfile.TemporaryDirectory() as folder:
        _carry_out(root, Path(folder), runs.described(task, start, stage))
    return [fit for fit in fits if fit.own_s]


def _train_once(root: Path, task: str, name: str) -> None:
    """Make the model that compression starts from, by one step."""
    stage = {"kind": "train", "max_steps": 1, "evaluate": False}
    with tempfile.TemporaryDirectory(dir=root) as folder:
        _carry_out(root, Path(folder), runs.described(task, "encoder", stage))
        (Path(folder) / "work" / "stage-00" / "model").rename(root / name)


def _carry_out(root: Path, folder: Path, described: dict[str, Any]) -> None:
    job = Job(
        "11111111-2222-3333-4444-555555555555",
        1,
        described,
        [root],
        folder / "work",
        folder / "artifacts",
    )
    run(job, RecordingReporter())


def _row(kind: str, fit: Fit) -> dict[str, Any]:
    to_passes = [own / bare for own, bare in zip(fit.own_s, fit.bare_s, strict=True)]
    arithmetic = [sum(pair) for pair in zip(fit.bare_s, fit.definition_s, strict=True)]
    ratios = [own / bare for own, bare in zip(fit.own_s, arithmetic, strict=True)]
    low, high = _interval(ratios)
    passes_low, passes_high = _interval(to_passes)
    return {
        "kind": kind,
        "terms": fit.terms,
        "steps": len(ratios),
        "own_ms": 1000 * statistics.median(fit.own_s),
        "bare_ms": 1000 * statistics.median(fit.bare_s),
        "definition_ms": 1000 * statistics.median(fit.definition_s),
        "ratio_to_passes": statistics.median(to_passes),
        "passes_low": passes_low,
        "passes_high": passes_high,
        "ratio": statistics.median(ratios),
        "low": low,
        "high": high,
    }


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """95% interval of the median, by bootstrap with a fixed seed."""
    draws = random.Random(0)
    medians = sorted(statistics.median(draws.choices(values, k=len(values))) for _ in range(DRAWS))
    return medians[int(0.025 * DRAWS)], medians[int(0.975 * DRAWS)]


def _line(row: dict[str, Any]) -> str:
    terms = " + ".join(row["terms"])
    return (
        f"| {row['kind']} | {terms} | {row['bare_ms']:.0f} | "
        f"{row['definition_ms']:.0f} | {row['own_ms']:.0f} | {row['ratio_to_passes']:.3f} "
        f"({row['passes_low']:.3f} to {row['passes_high']:.3f}) | "
        f"{row['ratio']:.3f} ({row['low']:.3f} to {row['high']:.3f}) |"
    )


if __name__ == "__main__":
    sys.exit(main())
