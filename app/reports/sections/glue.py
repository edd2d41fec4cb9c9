"""The table of GLUE: scores as papers print them, beside energy and emissions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from app.reports.cells import Notes, column_unit
from app.reports.shape import Column, Section, column, row, table
from pricetag.recipes.glue import GLUE, GlueTask
from pricetag.tag.figure import Shown
from pricetag.tag.figures import counted, percent, short_count
from pricetag.tag.glue.rows import GlueRow
from pricetag.tag.glue.scores import ALL_TASKS, WITHOUT_WNLI, Mean, TaskScore, average
from pricetag.tag.strubell import Profile

METRICS = {
    "mcc": "Matthews correlation",
    "accuracy": "accuracy",
    "f1": "F1",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}
SPLITS = {"validation": "matched", "validation_mismatched": "mismatched"}


def section(rows: Sequence[GlueRow], skipped: int, profile: Profile) -> Section:
    """The table.

    Args:
        rows: Its rows.
        skipped: Number of runs in the report without scores on GLUE.
        profile: The factors of the emissions.
    """
    tasks = [task for name, task in GLUE.items() if any(name in r.tasks for r in rows)]
    averages = _averages(tasks)
    notes = Notes()
    energy_unit, energy_size = column_unit([r.it_energy_kwh for r in rows], "kWh")
    co2e_unit, co2e_size = column_unit([r.co2e_kg for r in rows], "kg")
    lines = [
        row(
            line.label,
            str(len(line.run_ids)),
            _mean(line.parameters, notes, short_count),
            _mean(line.remaining_ratio, notes, _share),
            *(_score(line.tasks.get(task.name), task, notes) for task in tasks),
            *(_mean(average(line.tasks, names), notes, _points) for names in averages.values()),
            notes.figure(line.it_energy_kwh, energy_size),
            notes.figure(line.co2e_kg, co2e_size),
            notes.figure(line.inference_wh),
        )
        for line in rows
    ]
    columns = [
        column("Model", weight=2.4),
        column("Runs", "right", 0.9),
        column("Params", "right", 1.2),
        column("Left", "right"),
        *(_head(task) for task in tasks),
        *(column(head, "right") for head in averages),
        column(energy_unit, "right"),
        column(f"{co2e_unit} CO2e", "right"),
        column("Wh per 1,000", "right"),
    ]
    caption = "Scores on GLUE's development sets, and what the models cost"
    return {
        "id": "glue",
        "heading": "GLUE",
        "paragraphs": [_explained(rows, profile)],
        "tables": [
            table(
                "glue-scores",
                caption,
                columns,
                lines,
                [*_footnotes(tasks, skipped), *notes.lines()],
            )
        ],
    }


def _averages(tasks: Sequence[GlueTask]) -> dict[str, tuple[str, ...]]:
    """The averages of the table: that without WNLI, and one with it if a row has a score on it."""
    averages = {f"Avg. of {len(WITHOUT_WNLI)}": WITHOUT_WNLI}
    if any(task.name == "wnli" for task in tasks):
        averages[f"Avg. of {len(ALL_TASKS)}"] = ALL_TASKS
    return averages


def _head(task: GlueTask) -> Column:
    parts = len(task.metrics) * len(task.score_splits)
    return column(task.title, "right", 1.2 if parts > 1 else 1.0)


def _shown(tasks: Sequence[GlueTask]) -> str:
    """What the columns show: ``CoLA: MCC; MRPC, QQP: F1 / accuracy; ...``."""
    titles: dict[str, list[str]] = {}
    for task in tasks:
        metrics_text = " / ".join(METRICS[metric] for metric in task.metrics)
        if len(task.score_splits) > 1:
            metrics_text += " on matched / mismatched texts"
        titles.setdefault(metrics_text, []).append(task.title)
    return (
        "; ".join(f"{', '.join(names)}: {metrics_text}" for metrics_text, names in titles.items())
        + "."
    )


def _score(score: TaskScore | None, task: GlueTask, notes: Notes) -> str:
    if score is None:
        return ""
    return " / ".join(_mean(part, notes, _points) for part in score.parts.values())


def _share(ratio: float) -> str:
    return f"{ratio:.0%}" if 0.1 <= ratio < 0.995 or ratio == 1 else percent(ratio)


def _points(value: float) -> str:
    return f"{value:.1f}"


def _mean(mean: Mean, notes: Notes, write: Callable[[float], str]) -> str:
    if mean.value is None:
        return f"n/a {notes.mark(mean.reason or 'unknown')}"
    spread = f" ± {mean.std:.1f}" if mean.std is not None and write is _points else ""
    return write(mean.value) + spread


def _explained(rows: Sequence[GlueRow], profile: Profile) -> str:
    runs = len({run_id for line in rows for run_id in line.run_ids})
    factors = "Strubell et al. 2019" if profile == "strubell2019" else "the site"
    return (
        f"Models of {counted(runs, 'run')}: a row for each model and method. Scores are in points, "
        "100 times the metric, as the mean ± sample standard deviation over the runs on a task "
        "(their seeds). A score is that of the stage that evaluated the model last. Energy and "
        "emissions are those of the stages that made the model, in all attempts and with the runs "
        "that it starts from: the mean over the runs on a task, summed over the tasks of the row; "
        "a run that models of several tasks start from counts once. "
        f"Energy is that of the hardware, without PUE; emissions have the factors of {factors}."
    )


def _footnotes(tasks: Sequence[GlueTask], skipped: int) -> list[str]:
    notes = [
        _shown(tasks),
        "An average is the mean over tasks, where the two metrics or development sets of a task "
        "are averaged first (Wang et al. 2018). The average of 8 has no WNLI; that of Devlin et "
        "al. 2019 has none either, but counts the two sets of MNLI separately and only one of two "
        "metrics, so the two averages are not comparable. A row without one of the tasks has no "
        "average.",
        "Left: remaining weights, the share of the encoder's weights that are not zero. Params: "
        "mean over "
        "the tasks, whose heads differ. Wh per 1,000: energy of 1,000 inferences.",
    ]
    if skipped:
        notes.append(f"{counted(skipped, 'run')} without scores on GLUE not in the table.")
    return notes


def lines(rows: Sequence[GlueRow]) -> list[dict[str, Any]]:
    """The rows as plain figures, unrounded, with the reasons of unknown ones."""
    return [_line(line) for line in rows]


def _line(line: GlueRow) -> dict[str, Any]:
    reasons: dict[str, str | None] = {}
    figures: dict[str, float | None] = {}

    def add(name: str, figure: Mean | Shown) -> None:
        figures[name] = figure.value
        if figure.value is None:
            reasons[name] = figure.reason

    add("parameters", line.parameters)
    add("remaining_weights_ratio", line.remaining_ratio)
    for name, task in GLUE.items():
        _add_scores(figures, reasons, line.tasks.get(name), task)
    add("average_8_points", average(line.tasks, WITHOUT_WNLI))
    add("average_9_points", average(line.tasks, ALL_TASKS))
    add("it_energy_kwh", line.it_energy_kwh)
    add("co2e_kg", line.co2e_kg)
    add("energy_per_1000_inferences_wh", line.inference_wh)
    unknown = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    head = {"model": line.label, "runs": len(line.run_ids), "run_ids": " ".join(line.run_ids)}
    return {**head, **figures, "unknown": unknown}


def _add_scores(
    figures: dict[str, float | None],
    reasons: dict[str, str | None],
    score: TaskScore | None,
    task: GlueTask,
) -> None:
    """Mean and standard deviation of each score, the score that counts, and the number of runs."""
    several = len(task.score_splits) > 1
    for split in task.score_splits:
        for metric in task.metrics:
            name = f"{task.name}_{metric}" + (f"_{SPLITS[split]}" if several else "")
            part = None if score is None else score.parts[split, metric]
            figures[f"{name}_points"] = None if part is None else part.value
            figures[f"{name}_std_points"] = None if part is None else part.std
            if part is not None and part.value is None:
                reasons[f"{name}_points"] = part.reason
    figures[f"{task.name}_score_points"] = None if score is None else score.score.value
    figures[f"{task.name}_runs"] = 0 if score is None else score.score.count
    if score is None:
        reasons[f"{task.name}_score_points"] = "not evaluated"
