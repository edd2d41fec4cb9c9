"""A comparison of groups of runs as a view model: verdicts, ratios, stages, differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.charts.chart import Chart
from app.charts.ratios import Ratio, ratios
from app.web.views.figures import FigureView, figure, money, unknown
from app.web.views.insights import COSTS, sources_text
from pricetag.tag.figure import Figure
from pricetag.tag.figure import figure_of as read_figure
from pricetag.tag.figures import Unit, column_number, column_unit, counted, number
from pricetag.tag.ratios import METRICS, Metric

Compared = Mapping[str, Any]
"""A group against the reference, as `GET /v1/comparisons` returns it."""

NO_INTERVAL = "each group needs at least two runs of the same work for an interval"


@dataclass(frozen=True, slots=True)
class RunOfGroup:
    """A run of a group."""

    run_id: str
    name: str
    version: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group.

    Attributes:
        letter: Its letter.
        name: Its letter and its runs, in a few words.
        runs: Its runs.
        is_reference: Whether the others are compared with it.
    """

    letter: str
    name: str
    runs: Sequence[RunOfGroup]
    is_reference: bool


@dataclass(frozen=True, slots=True)
class RatioCell:
    """A group's mean and its ratio to the reference.

    Attributes:
        mean: The mean, with the interval of the errors that the runs share.
        spread: Number of runs or seeds, and the standard deviation between them, in words.
        ratio: The ratio; None for the reference.
    """

    mean: FigureView
    spread: str
    ratio: FigureView | None


@dataclass(frozen=True, slots=True)
class RatioRow:
    """A figure of all groups.

    Attributes:
        label: Name of the figure.
        unit: Unit of the means; empty where each has its own, or none.
        cells: One for each group.
    """

    label: str
    unit: str
    cells: Sequence[RatioCell]


@dataclass(frozen=True, slots=True)
class Against:
    """What else is to say about a group against the reference."""

    group: Group
    verdicts: Sequence[str]
    differences: Sequence[str]
    reasons: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class CompareView:
    """The page.

    Attributes:
        groups: The groups, by letter.
        chart: The known ratios; None without one.
        rows: The figures, by group.
        stages: Energy of each stage, by group.
        against: Verdicts and differences of each group.
    """

    groups: Sequence[Group]
    chart: Chart | None
    rows: Sequence[RatioRow]
    stages: Sequence[RatioRow]
    against: Sequence[Against]


def compare_view(
    compared: Mapping[Metric, Mapping[str, Compared]],
    stages: Sequence[Mapping[str, Any]],
    *,
    reference: str,
    projects: frozenset[str],
    only_differing: bool,
) -> CompareView:
    """The view of a comparison.

    Args:
        compared: For each figure, each group against the reference, by letter.
        stages: Energy of the stages by group.
        reference: Letter of the reference.
        projects: Projects of all runs.
        only_differing: Whether only figures with a difference are listed.
    """
    first = compared["it_energy_kwh"]
    groups = _groups(first, reference)
    shown = [
        metric
        for metric in METRICS
        if not only_differing
        or any(_differs(comparison["ratio"]) for comparison in compared[metric].values())
    ]
    return CompareView(
        groups=groups,
        chart=_chart(compared, shown, groups, reference, projects),
        rows=[
            *(_row(metric, compared[metric], groups) for metric in shown),
            *_scores(first, groups),
        ],
        stages=_stages(stages, groups),
        against=[
            Against(
                group=group,
                verdicts=[compared[metric][group.letter]["verdict"] for metric in METRICS]
                + _qualities(first[group.letter]),
                differences=first[group.letter]["differences"],
                reasons=list(
                    dict.fromkeys(
                        line
                        for metric in METRICS
                        for line in compared[metric][group.letter]["reasons"]
                    )
                ),
                notes=first[group.letter]["notes"],
            )
            for group in groups
            if not group.is_reference
        ],
    )


def _differs(ratio: Mapping[str, Any]) -> bool:
    low, high = ratio["low"], ratio["high"]
    return low is not None and high is not None and not low <= 1 <= high


def _groups(compared: Mapping[str, Compared], reference: str) -> list[Group]:
    sides = {letter: comparison["a"] for letter, comparison in compared.items()}
    sides[reference] = next(iter(compared.values()))["b"]
    return [
        Group(letter, _name(letter, sides[letter]), _runs(sides[letter]), letter == reference)
        for letter in sorted(sides)
    ]


def _runs(side: Mapping[str, Any]) -> list[RunOfGroup]:
    return [RunOfGroup(str(r["run_id"]), r["name"], r["version"]) for r in side["runs"]]


def _name(letter: str, side: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(run["name"] for run in side["runs"]))
    label = names[0] if len(names) == 1 else counted(len(side["runs"]), "run")
    return f"{letter.upper()}: {label}"


def _row(metric: Metric, compared: Mapping[str, Compared], groups: Sequence[Group]) -> RatioRow:
    comparison = next(iter(compared.values()))
    sides = {letter: each["a"] for letter, each in compared.items()}
    sides |= {group.letter: comparison["b"] for group in groups if group.is_reference}
    units = {side["unit"] for side in sides.values()}
    unit = None
    if len(units) == 1 and None not in units:
        unit = column_unit([side["mean"] for side in sides.values()], units.pop())
    return RatioRow(
        COSTS[metric],
        unit[0] if unit else "",
        [
            RatioCell(
                _mean(sides[group.letter], unit),
                _spread(sides[group.letter], unit),
                None if group.is_reference else _ratio(compared[group.letter]["ratio"]),
            )
            for group in groups
        ],
    )


def _mean(side: Mapping[str, Any], unit: Unit | None) -> FigureView:
    """A group's mean in the unit of the row, or with its own where currencies differ."""
    mean = read_figure(side["mean_figure"])
    return money(mean) if unit is None else figure(mean, shown=unit)


def _spread(side: Mapping[str, Any], unit: Unit | None) -> str:
    count, std = counted(side["count"], "run"), side["std"]
    if std is None:
        return count
    return f"{count}, sd {number(std) if unit is None else column_number(std / unit[1])}"


def _ratio(ratio: Mapping[str, Any]) -> FigureView:
    return figure(read_figure(ratio))


def _scores(compared: Mapping[str, Compared], groups: Sequence[Group]) -> list[RatioRow]:
    """Scores that each group and the reference have, with the mean over seeds."""
    names = {
        (item["metric"], item["split"]): None
        for comparison in compared.values()
        for item in comparison["quality"]
    }
    rows = []
    for metric, split in names:
        cells = []
        for group in groups:
            comparison = (
                next(iter(compared.values())) if group.is_reference else compared[group.letter]
            )
            side = "b" if group.is_reference else "a"
            item = next(
                (i for i in comparison["quality"] if (i["metric"], i["split"]) == (metric, split)),
                None,
            )
            scores = None if item is None else item[side]
            cells.append(RatioCell(_seeds(scores), _of_seeds(scores), None))
        rows.append(RatioRow(f"{metric} ({split})" if split else metric, "", cells))
    return rows


def _seeds(scores: Mapping[str, Any] | None) -> FigureView:
    if scores is None:
        return unknown("not all runs of the group and the reference have it")
    return figure(Figure(scores["mean"], None, None, "1", None))


def _of_seeds(scores: Mapping[str, Any] | None) -> str:
    if scores is None:
        return ""
    seeds = counted(scores["seeds"], "seed")
    return seeds if scores["std"] is None else f"{seeds}, sd {number(scores['std'])}"


def _qualities(compared: Compared) -> list[str]:
    lines = []
    for item in compared["quality"]:
        name = f"{item['metric']} ({item['split']})" if item["split"] else item["metric"]
        means = " against ".join(number(item[side]["mean"]) for side in ("a", "b"))
        if item["within_one_std"] is None:
            lines.append(f"{name}: {means}; no verdict, {item['reason']}")
        else:
            word = "within" if item["within_one_std"] else "not within"
            lines.append(f"{name}: {means}, {word} one standard deviation of the reference")
    return lines


def _stages(stages: Sequence[Mapping[str, Any]], groups: Sequence[Group]) -> list[RatioRow]:
    rows = []
    for stage in stages:
        means = {letter: read_figure(mean) for letter, mean in stage["means"].items()}
        unit = column_unit([mean.value for mean in means.values()], "kWh")
        cells = [RatioCell(figure(means[g.letter], shown=unit), "", None) for g in groups]
        rows.append(RatioRow(f"{stage['index'] + 1}. {stage['kind']}", unit[0], cells))
    return rows


def _chart(
    compared: Mapping[Metric, Mapping[str, Compared]],
    shown: Sequence[Metric],
    groups: Sequence[Group],
    reference: str,
    projects: frozenset[str],
) -> Chart | None:
    marks = [
        Ratio(COSTS[metric], group.name, ratio["value"], ratio["low"], ratio["high"])
        for metric in shown
        for group in groups
        if not group.is_reference
        and (ratio := compared[metric][group.letter]["ratio"])["value"] is not None
    ]
    if not marks:
        return None
    base = next(group for group in groups if group.letter == reference)
    return ratios(
        marks,
        reference=base.name,
        title=f"Ratio to {base.name}",
        summary=summary(compared),
        projects=projects,
        sources=sources_text([(run.run_id, run.version) for g in groups for run in g.runs]),
    )


def summary(compared: Mapping[Metric, Mapping[str, Compared]]) -> str:
    """The verdicts on the energy, in a sentence."""
    return (
        "; ".join(comparison["verdict"] for comparison in compared["it_energy_kwh"].values()) + "."
    )
