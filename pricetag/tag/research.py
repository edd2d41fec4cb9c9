"""What a result cost with the work that led to it: one model, its tuning, all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pricetag import catalog
from pricetag.accounting.units import kg_to_lb
from pricetag.tag.axes import SPENDING, UNITS, Spending
from pricetag.tag.axis_figures import figure_on
from pricetag.tag.evaluated import Evaluated, ScoredRun
from pricetag.tag.figure import Figure, Shown
from pricetag.tag.scores import LOWER_IS_BETTER
from pricetag.tag.totals import total
from pricetag.tag.variants import FLOPS, variants
from pricetag.tag.view import TagView

PartName = Literal["model", "tuning", "research"]
TRAINING_EXAMPLES = "train_examples"
NO_EXAMPLES = f"the run did not report {TRAINING_EXAMPLES}"
NO_OPERATIONS = "no measure stage of the run reported the operations of an example"
NO_BEST = "no run has a score of this kind"

Ended = tuple[TagView, str]
"""The price tag of a run, and the status with which it ended."""


@dataclass(frozen=True, slots=True)
class ResearchPart:
    """Sums over one part of the work.

    Attributes:
        name: `model` is the training of the best model alone, `tuning` all runs of its method,
            `research` all runs. Each part includes the one before it.
        runs: Number of its runs.
        unsuccessful: Number of them that failed or were canceled.
        costs: Sum of each cost.
    """

    name: PartName
    runs: int
    unsuccessful: int
    costs: Mapping[Spending, Figure]


@dataclass(frozen=True, slots=True)
class GreenAi:
    """The three factors of the cost of a result.

    Attributes:
        example: E: operations of the model on one example.
        data: D: number of training examples.
        experiments: H: number of experiments of the method, its tuning; the rungs of a trial of a
            study are one experiment.

    Source:
        Schwartz et al. 2020, "Green AI", equation 1: Cost(R) is proportional to E · D · H.
    """

    example: Figure
    data: Figure
    experiments: int


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Emissions as a multiple of well-known ones.

    Attributes:
        name: What they are compared with.
        times: The multiple, with the interval of the emissions.
        citation: Where the well-known emissions come from.
    """

    name: str
    times: Figure
    citation: str


def best_run(runs: Sequence[ScoredRun], kind: Evaluated | None) -> ScoredRun | None:
    """The run with the best score of a kind, the first of equal ones; None without any."""
    if kind is None:
        return None
    scored = [(run, score) for run in runs if (score := run.scores.get(kind)) is not None]
    if not scored:
        return None
    sign = -1.0 if kind.metric in LOWER_IS_BETTER else 1.0
    return max(scored, key=lambda pair: sign * pair[1])[0]


def research_parts(
    model: Sequence[Ended],
    tuning: Sequence[Ended],
    research: Sequence[Ended],
    *,
    incomplete: str | None = None,
) -> list[ResearchPart]:
    """Costs of one model, of its tuning with it, and of all runs with both.

    Args:
        model: The run of the best model; of a trial of a study, the runs of all its rungs.
        tuning: All runs of its method, including its own.
        research: All runs.
        incomplete: Why the cost of the model is unknown; None if its runs are all there.

    Source:
        Strubell et al. 2019, table 4: one model, one tuning, all models of the research.
    """
    parts: tuple[tuple[PartName, Sequence[Ended]], ...] = (
        ("model", model),
        ("tuning", tuning),
        ("research", research),
    )
    summed = [
        ResearchPart(
            name,
            len(runs),
            sum(status != "succeeded" for _, status in runs),
            costs_of([tag for tag, _ in runs]),
        )
        for name, runs in parts
    ]
    if incomplete is None:
        return summed
    unknown = {axis: Figure.unknown(incomplete, UNITS[axis]) for axis in SPENDING}
    return [replace(summed[0], costs=unknown), *summed[1:]]


def costs_of(tags: Sequence[TagView]) -> dict[Spending, Figure]:
    """The sum of each cost over some runs; unknown ones are stated, and not taken for 0."""
    return {axis: total((figure_on(tag, axis) for tag in tags), UNITS[axis]) for axis in SPENDING}


def green_ai(model: TagView, experiments: int) -> GreenAi:
    """E, D and H of a model that some experiments led to."""
    operations = [
        float(metric.value)
        for variant in variants(model.document)
        if (metric := variant.metric(FLOPS)) is not None and metric.value is not None
    ]
    examples = [
        float(item.value)
        for item in model.document.quality
        if item.metric == TRAINING_EXAMPLES and item.value is not None
    ]
    return GreenAi(
        Figure.exact(operations[-1], "FLOP", "counter")
        if operations
        else Figure.unknown(NO_OPERATIONS, "FLOP"),
        Figure.exact(examples[-1], "examples", "counter")
        if examples
        else Figure.unknown(NO_EXAMPLES, "examples"),
        experiments,
    )


def equivalents(co2e_kg: Shown) -> list[Equivalent]:
    """Emissions as multiples of well-known ones: a flight, a human year, a car's lifetime.

    Source:
        Strubell et al. 2019, table 1.
    """

    def times(end: float | None, pounds: float) -> float | None:
        return None if end is None else kg_to_lb(end) / pounds

    return [
        Equivalent(
            row.name,
            Figure(
                times(co2e_kg.value, row.co2e_lb),
                times(co2e_kg.low, row.co2e_lb),
                times(co2e_kg.high, row.co2e_lb),
                "1",
                co2e_kg.source,
                co2e_kg.reason,
            ),
            f"{row.source} ({row.basis})",
        )
        for row in catalog.equivalents()
    ]
