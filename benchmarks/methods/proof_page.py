"""Writing ``docs/results-proof.md``: what ``--prove`` has shown of each run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.methods.catalog import Catalog
from benchmarks.methods.plan import Budget
from benchmarks.methods.prove import proved, reloaded, where_killed
from benchmarks.methods.render import newest
from benchmarks.methods.state import Record, State

PAGE = Path("results-proof.md")


def write_proof(catalog: Catalog, state: State, docs: Path) -> Path:
    """Write the page; returns its path.

    Raises:
        FileNotFoundError: The state has no runs.
    """
    by_trial = newest(catalog, state)
    order = {name: place for place, name in enumerate(catalog.runs)}
    records = sorted(by_trial.values(), key=lambda record: order[record.trial.name])
    docs.mkdir(parents=True, exist_ok=True)
    (docs / PAGE).write_text(_page(catalog, records, state.budget()), encoding="utf-8")
    return docs / PAGE


def _page(catalog: Catalog, records: Sequence[Record], budget: Budget) -> str:
    methods = {catalog.runs[record.trial.name].method for record in records if proved(record)[0]}
    shown = sum(proved(record)[0] for record in records)
    lines = [
        "# Every method, killed and resumed",
        "",
        "Written by `python -m benchmarks.methods --prove`; do not edit it. Each run was submitted "
        f"over REST, on {budget.examples} training sentences of SST-2. The job's process was "
        "killed (SIGKILL) in the method's stage: after a quarter of its work or more, or at its "
        "start if the stage does not train. If the stage ended before that, the job was killed in "
        "another run after half of the stage's duration. The worker resumed it in a second "
        "attempt. "
        "Then another run loaded the published model and scored it again, on "
        f"{budget.dev_examples} sentences: *same scores* means equal in every digit. The price tag "
        "was issued, with both attempts on the bill, verified, and rendered as a report. "
        "`tests/contract/test_stage_kinds.py` also shows that a resumed model has the same "
        "weights as one that was never killed.",
        "",
        f"{shown} of {len(records)} runs were killed, resumed and loaded as intended, of "
        f"{len(methods)} methods. The budget is as small as the crash allows; the scores show only "
        "that the models are the same. Scores without `mcc` are those of a model that predicts one "
        "class for every sentence; their equality shows little.",
        "",
        "| Run | Method | Killed | Attempts | Price tag | Loaded again |",
        "| --- | --- | --- | ---: | --- | --- |",
        *(_row(catalog, record) for record in records),
        *_missing(catalog, records),
    ]
    return "\n".join(lines) + "\n"


def _missing(catalog: Catalog, records: Sequence[Record]) -> list[str]:
    """The rows of the table whose method was not tried yet."""
    tried = {record.trial.name for record in records}
    names = [name for name in catalog.one_of_each_method() if name not in tried]
    return ["", f"Not tried yet: {', '.join(names)}."] if names else []


def _row(catalog: Catalog, record: Record) -> str:
    method = catalog.runs[record.trial.name].method
    if record.status != "succeeded":
        return f"| {record.trial.name} | `{method}` | failed: {record.error} | | | |"
    seen = record.seen
    cells = [
        record.trial.name,
        f"`{method}`",
        where_killed(record),
        str(seen["attempts"]),
        str(seen["verification"]),
        reloaded(record),
    ]
    return f"| {' | '.join(cells)} |"
