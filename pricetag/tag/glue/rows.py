"""The GLUE table as in papers: a row for each model and method, with its cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pricetag.accounting.document.records import StageTag
from pricetag.recipes.glue import GLUE
from pricetag.tag import variants as measured
from pricetag.tag.figure import Figure, Shown, scaled
from pricetag.tag.glue.grouping import Entry, distinct, settings
from pricetag.tag.glue.runs import GlueRun, Method, start_of
from pricetag.tag.glue.scores import Mean, TaskScore, task_score
from pricetag.tag.strubell import Profile, emissions
from pricetag.tag.totals import total
from pricetag.tag.variants import Names

NOT_MEASURED = "no measure stage"
NOT_MADE = "no stage of these runs made it"
_WH = 1000.0


@dataclass(frozen=True)
class GlueRow:
    """One model and method over its runs.

    Attributes:
        label: The original model, and the methods applied to it.
        run_ids: The runs.
        start: Folder, name on the hub, or shape of the original model.
        methods: The methods applied to it, in order.
        tasks: Scores by task, in GLUE's order.
        parameters: Number of parameters: the mean over the runs, as heads differ by task.
        remaining_ratio: Share of the encoder's weights that are not zero.
        it_energy_kwh: Energy to make the model, earlier runs included: the mean over the runs on
            a task, summed over the tasks; what several tasks start from counts once.
        co2e_kg: Emissions of the same.
        inference_wh: Energy of 1,000 inferences: the mean over the runs that measured it.
    """

    label: str
    run_ids: tuple[str, ...]
    start: str
    methods: tuple[Method, ...]
    tasks: Mapping[str, TaskScore]
    parameters: Mean
    remaining_ratio: Mean
    it_energy_kwh: Figure
    co2e_kg: Figure
    inference_wh: Figure


def glue_rows(
    runs: Sequence[GlueRun], earlier: Iterable[GlueRun], profile: Profile
) -> list[GlueRow]:
    """The rows of the table, in the order of the runs.

    Amount and tuning of training may differ between the tasks of a row, as in papers; where runs
    on one task differ in them, each setting is its own row.

    Args:
        runs: The runs; those without a task of GLUE are skipped.
        earlier: Runs whose models the others start from.
        profile: Selects the factors of the emissions.
    """
    by_id = {run.run_id: run for run in (*earlier, *runs)}
    groups: dict[object, list[Entry]] = defaultdict(list)
    for run in runs:
        if run.task is None:
            continue
        start = start_of(run, by_id)
        for model in run.models:
            if model.scores:
                entry = Entry(run.task, start, model)
                groups[entry.key].append(entry)
    named = [pair for group in groups.values() for pair in settings(group)]
    return [_row(label, entries, profile) for label, entries in distinct(named)]


def _row(label: str, entries: Sequence[Entry], profile: Profile) -> GlueRow:
    by_task: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_task[entry.task.name].append(entry)
    tasks = {name: by_task[name] for name in GLUE if name in by_task}
    sparsity = _measured(entries, ("encoder_sparsity",))
    if sparsity.value is not None:
        sparsity = Mean(1 - sparsity.value, sparsity.std, sparsity.count)
    return GlueRow(
        label=label,
        run_ids=tuple(dict.fromkeys(entry.made.run.run_id for entry in entries)),
        start=entries[0].start.identity,
        methods=tuple(method for made in entries[0].chain for method in made.methods),
        tasks={name: task_score([entry.made for entry in each]) for name, each in tasks.items()},
        parameters=_measured(entries, measured.PARAMETERS),
        remaining_ratio=sparsity,
        it_energy_kwh=_making(tasks.values(), None),
        co2e_kg=_making(tasks.values(), profile),
        inference_wh=_inference_wh(entries),
    )


def _measured(entries: Sequence[Entry], names: Names) -> Mean:
    """A figure of the measure stages, mean over the runs that have it."""
    variants = [entry.made.variant for entry in entries if entry.made.variant is not None]
    figures = [item for v in variants if (item := v.metric(names)) is not None]
    values = [item.value for item in figures if item.value is not None]
    if values:
        return Mean.of(values)
    return Mean(None, None, 0, next((i.reason for i in figures if i.reason), NOT_MEASURED))


def _inference_wh(entries: Sequence[Entry]) -> Figure:
    variants = [entry.made.variant for entry in entries if entry.made.variant is not None]
    figures = [scaled(measured.inference_kwh(variant), _WH, "Wh") for variant in variants]
    metered = [figure for figure in figures if figure.value is not None]
    if metered:
        return _mean(metered, "Wh")
    return Figure.unknown(str(figures[0].reason) if figures else NOT_MEASURED, "Wh")


def _making(tasks: Iterable[Sequence[Entry]], profile: Profile | None) -> Figure:
    """Energy to make the models of a row, earlier runs included; with a profile, its emissions.

    The mean over the runs on each task, summed over the tasks. An earlier run that the models of
    several tasks start from counts once.
    """
    unit = "kWh" if profile is None else "kg"
    weights: dict[tuple[str, int], float] = {}
    stages: dict[tuple[str, int], StageTag] = {}
    for entries in tasks:
        used: Counter[tuple[str, int]] = Counter()
        for entry in entries:
            if entry.start.missing is not None:
                return Figure.unknown(entry.start.missing, unit)
            own = dict(_making_stages(entry))
            if not own:
                return Figure.unknown(NOT_MADE, unit)
            stages |= own
            used.update(own.keys())
        for key, number in used.items():
            weights[key] = max(weights.get(key, 0.0), number / len(entries))
    return _sum([scaled(_cost(stages[key], profile), weights[key], unit) for key in stages], unit)


def _making_stages(entry: Entry) -> Iterator[tuple[tuple[str, int], StageTag]]:
    """The stages that made a model, by run and place in its price tag."""
    for model in entry.chain:
        places = {id(stage): n for n, stage in enumerate(model.run.tag.document.stages)}
        for stage in model.making_stages():
            yield (model.run.run_id, places[id(stage)]), stage


def _cost(stage: StageTag, profile: Profile | None) -> Shown:
    if profile is None:
        return stage.energy.it_energy_kwh
    return emissions(stage.energy, profile).co2e_kg


def _sum(figures: Sequence[Shown], unit: str) -> Figure:
    """The sum of figures; unknown if any of them is, unlike a sum of what runs cost at least."""
    unknown = next((figure for figure in figures if figure.value is None), None)
    if unknown is not None:
        return Figure.unknown(str(unknown.reason), unit)
    return total(figures, unit)


def _mean(figures: Sequence[Shown], unit: str) -> Figure:
    return scaled(_sum(figures, unit), 1 / len(figures), unit)
