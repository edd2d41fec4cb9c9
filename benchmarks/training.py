"""Fine-tuning time: Pricetag's loop beside a plain transformers Trainer.

Both fine-tune the same encoder on the same data for one epoch with the same batch size,
learning rate and seed, in turns, on the same machine. Plain is what one writes from the
documentation: default (random) order, default collator, fp32. Printed are the seconds of
training alone (no loading, no evaluation), their ratio, and the dev accuracies. On a
machine that others use, look at the ratio of processor seconds too.

    python -m benchmarks.training --data DIR --model DIR --repeats 2
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from workers.training import quiet

quiet.settle(allow_hub=False)

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from pricetag.recipes import parse_recipe  # noqa: E402
from pricetag.recipes.methods.train import Train  # noqa: E402
from tests.support.recording import RecordingReporter  # noqa: E402
from workers.job.context import ModelRef, StageContext  # noqa: E402
from workers.job.reporter import Job  # noqa: E402
from workers.training.data.tables import read_table  # noqa: E402
from workers.training.evaluate import evaluate  # noqa: E402
from workers.training.finetune import training_data, training_labels  # noqa: E402
from workers.training.fit import Horizon, fit  # noqa: E402
from workers.training.formats import int8, registry  # noqa: E402
from workers.training.model.loaded import Loaded  # noqa: E402
from workers.training.model.models import describe_size, for_training, save  # noqa: E402


def main() -> None:
    args = _arguments()
    wall_s: dict[str, list[float]] = {"plain": [], "ours": []}
    cpu_s: dict[str, list[float]] = {"plain": [], "ours": []}
    last: dict[str, Any] = {}
    for number in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            context = _context(args, Path(folder))
            first, second = (_plain, _ours) if number % 2 == 0 else (_ours, _plain)
            for run in (first, second):
                name = run.__name__.strip("_")
                timed, loaded = run(args, context)
                accuracy = _accuracy(context, loaded)
                wall_s[name].append(timed.wall_s)
                cpu_s[name].append(timed.cpu_s)
                last[name] = {"accuracy": accuracy, "loaded": loaded}
                line = f"{name:6} {timed.wall_s:7.1f} s  cpu {timed.cpu_s:7.1f} s"
                print(f"{line}  accuracy {accuracy:.4f}", flush=True)
    small = _quantized(args, last["ours"]["loaded"])
    print(json.dumps(_summary(wall_s, cpu_s, last, small), indent=2))


class Clock:
    """Seconds on the wall and of the processor since it was made."""

    def __init__(self) -> None:
        self.wall_s, self.cpu_s = -time.perf_counter(), -time.process_time()

    def stop(self) -> Clock:
        self.wall_s += time.perf_counter()
        self.cpu_s += time.process_time()
        return self


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    roots = os.environ.get("PRICETAG_DATA_ROOTS", ".").split(os.pathsep)
    parser.add_argument("--data", type=Path, default=Path(roots[0]) / "sst2")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--max-steps", type=int, default=None, help="a quick look; default 1 epoch")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser.parse_args()


def _context(args: argparse.Namespace, folder: Path) -> StageContext:
    data = {"train": "train.tsv", "validation": "dev.tsv", "text": "sentence", "label": "label"}
    stage = {"kind": "train", "batch_size": args.batch_size, "seed": args.seed}
    described = {"task": "classification", "data": data, "model": "model", "stages": [stage]}
    job = Job("benchmark", 1, described, [args.data], folder, folder, device=args.device)
    return StageContext(
        job=job,
        recipe=parse_recipe(described),
        reporter=RecordingReporter(),
        index=0,
        folder=folder,
        model=ModelRef(folder=args.model.resolve()),
        cache={},
    )


def _ours(args: argparse.Namespace, context: StageContext) -> tuple[Clock, Loaded]:
    params = Train(batch_size=args.batch_size, learning_rate=args.learning_rate, seed=args.seed)
    loaded = for_training(context, training_labels(context), args.seed)
    clock = Clock()
    data = training_data(context, loaded, params.max_length)
    fit(context, loaded, data, params, horizon=Horizon(1.0, args.max_steps))
    return clock.stop(), loaded


def _plain(args: argparse.Namespace, context: StageContext) -> tuple[Clock, Loaded]:
    columns = read_table(args.data / "train.tsv", ["sentence", "label"], "data").columns
    tokenizer = AutoTokenizer.from_pretrained(str(args.model))
    torch.manual_seed(args.seed)
    model = AutoModelForSequenceClassification.from_pretrained(str(args.model), num_labels=2)
    clock = Clock()
    tokens = tokenizer(columns["sentence"], truncation=True, max_length=128)["input_ids"]
    rows = [
        {"input_ids": ids, "labels": int(label)}
        for ids, label in zip(tokens, columns["label"], strict=True)
    ]
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(context.folder / "plain"),
            per_device_train_batch_size=args.batch_size,
            learning_rate=args.learning_rate,
            num_train_epochs=1,
            max_steps=args.max_steps or -1,
            seed=args.seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=args.device == "cpu",
        ),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return clock.stop(), Loaded(model, tokenizer, ["0", "1"])


def _accuracy(context: StageContext, loaded: Loaded) -> float:
    metrics, _ = evaluate(context, loaded, "validation", batch_size=64, max_length=128)
    return metrics["accuracy"].value or 0.0


def _quantized(args: argparse.Namespace, loaded: Loaded) -> dict[str, float]:
    """The fine-tuned model in 8 bits: its accuracy and its bytes beside fp32's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(loaded, folder / "fp32")
        int8.convert(loaded.model.cpu(), embeddings=True)
        registry.save(loaded.model, folder / "int8")
        again = Loaded(registry.load(folder / "int8"), loaded.tokenizer, loaded.labels)
        ratio = describe_size(folder / "int8") / describe_size(folder / "fp32")
        return {"accuracy": _accuracy(_context(args, folder), again), "bytes_ratio": ratio}


def _summary(
    wall_s: dict[str, list[float]],
    cpu_s: dict[str, list[float]],
    last: dict[str, Any],
    small: dict[str, float],
) -> dict[str, Any]:
    return {
        "threads": torch.get_num_threads(),
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "time_ratio_median": _ratio(wall_s),
        "cpu_ratio_median": _ratio(cpu_s),
        "plain_accuracy": last["plain"]["accuracy"],
        "ours_accuracy": last["ours"]["accuracy"],
        "int8_accuracy": small["accuracy"],
        "int8_bytes_ratio": small["bytes_ratio"],
    }


def _ratio(seconds: dict[str, list[float]]) -> float:
    pairs = zip(seconds["ours"], seconds["plain"], strict=True)
    return statistics.median(ours / plain for ours, plain in pairs)


if __name__ == "__main__":
    main()
