"""What several runs show together: the frontier of quality and cost, and compression."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from app.schemas.common import Quantity, RunStatus, Unit, Wire
from app.schemas.fields import Items, ProjectName, RunId, RunName, StatusOfRun, TagVersion

Unreadable = Annotated[
    int,
    Field(
        description="Number of selected runs whose price tag cannot be read, because it is damaged "
        "or was written by a later version; they are in no figure."
    ),
]


SummedTrials = Annotated[
    int,
    Field(
        description="Number of trials of studies that have several runs, one for each rung: each "
        "counts once, with the sum of their costs and its last score."
    ),
]
SummedRuns = Annotated[int, Field(description="Number of the runs of these trials.")]


class ScoreName(Wire):
    """A score: its metric and the split it was measured on."""

    metric: str = Field(examples=["accuracy"], description="Name of the metric.")
    split: str | None = Field(examples=["validation"], description="Data split; null without one.")


class ScoreKind(ScoreName):
    """A score with its task, split and data: only scores of one kind are ranked."""

    task: str | None = Field(
        examples=["classification"], description="Task of the runs; null for programs."
    )
    data: str | None = Field(
        examples=["5f1c0b7e9a3d2468"],
        description="Fingerprint of the contents of the scored data, or of how the recipe names "
        "them where contents are not recorded; null if neither is known.",
    )
    data_reason: str | None = Field(
        description=(
            "Reason why the data are unknown; null if they are known. Runs with unknown data are "
            "ranked as if they had the same data."
        )
    )
    runs: int = Field(description="Number of runs with this score.")


class FrontierPoint(Wire):
    """One run, or one trial of a study, with its cost and its quality."""

    run_id: RunId = Field(description="ID of the run; of a trial, that of its last rung.")
    runs: int = Field(
        ge=1, description="Number of runs in the cost: of a trial, one for each of its rungs."
    )
    name: RunName
    project: ProjectName
    status: StatusOfRun
    kind: str = Field(
        description="Stage kinds of the run, joined by `+`; of a trial, those of its first rung."
    )
    tags: list[str] = Field(description="Tags of the run.")
    version: TagVersion
    cost: Quantity = Field(
        description="Cost of the run over all its attempts; of a trial, the sum over its rungs."
    )
    quality: float | None = Field(
        description="Score of the run; null if it has none of the ranked kind."
    )
    quality_reason: str | None = Field(
        description=(
            "Reason why the score is missing, e.g. `scored on other data`; null if there is one."
        )
    )
    is_dominated: bool | None = Field(
        description="Whether another run has at least this quality for at most this cost, and one "
        "of them better; null if cost or quality is unknown, or costs have different units."
    )


class FrontierStep(Wire):
    """A run that no other run dominates."""

    run_id: RunId
    price: float | None = Field(
        description="Additional cost for each additional unit of quality, against the step "
        "before; null for the first."
    )
    marginal_price: Quantity = Field(
        description="The same with its interval, from the lowest to the highest difference of both "
        "costs; unknown for the first."
    )
    is_costlier: bool | None = Field(
        description="Whether the cost is larger than that of the step before by more than both "
        "intervals; null for the first."
    )


class FrontierRead(Wire):
    """Quality against cost of the selected runs that have a price tag."""

    metric: str = Field(
        description="The cost: a figure of the price tag, or of the last model that was measured."
    )
    unit: Unit
    score: ScoreName | None = Field(description="The quality; null if no run has a score.")
    kind: ScoreKind | None = Field(description="The ranked score, with its task and its data.")
    kinds: list[ScoreKind] = Field(
        description=(
            "All kinds of scores that the selected runs have, most frequent first; choose one by "
            "`quality`, `split`, `task` and `data`."
        )
    )
    lower_is_better: bool = Field(description="Whether a smaller score is better.")
    points: list[FrontierPoint] = Field(description="The runs, in the order in which they ended.")
    steps: list[FrontierStep] = Field(
        description=(
            "The frontier, from the cheapest to the best; ranked by values, without regard to "
            "intervals."
        )
    )
    reason: str | None = Field(
        description="Why there are no steps, e.g. costs in different currencies; null if there are."
    )
    wasted: float | None = Field(
        description="Cost of the runs that ended after the last one that improved the quality, in "
        "`unit`, without runs that were scored on another task or other data; null if unknown."
    )
    wasted_reason: str | None = Field(
        description="Reason why `wasted` is unknown; null if it is known."
    )
    wasted_cost: Quantity = Field(description="The same with its interval and its evidence.")
    without_quality: int = Field(description="Number of points without this score.")
    summed_trials: SummedTrials
    summed_runs: SummedRuns
    unreadable: Unreadable
    is_whole: bool = Field(
        description="Whether these are all selected runs; if not, the newest ones."
    )


class VariantRead(Wire):
    """One measured model of a run."""

    label: str = Field(description="Name of the variant, after the stage that made it.")
    stage: str = Field(description="Key of the stage that measured it.")
    is_baseline: bool = Field(description="Whether the others are compared with it.")
    making_kwh: Quantity = Field(
        description="Energy of the stages that made the variant from the baseline; 0 for the "
        "baseline."
    )
    per_1000_inferences_kwh: Quantity = Field(description="Energy of 1,000 inferences.")
    score: float | None = Field(description="Its score; null if unknown.")
    score_change: float | None = Field(
        description="Score of the variant minus that of the baseline; null if unknown."
    )
    size_bytes: float | None = Field(description="Size of the stored model; null if unknown.")
    break_even_inferences: Quantity = Field(
        description="Number of inferences after which it has saved the energy of making it."
    )
    is_never: bool = Field(
        description="Whether it never breaks even, because its inference is not cheaper."
    )
    total_kwh: Quantity | None = Field(
        description="Energy of making it and of the requested number of `inferences`; null if none "
        "was requested."
    )


class CompressionRead(Wire):
    """A run that measured several variants of its model."""

    run_id: RunId
    name: RunName
    project: ProjectName
    version: TagVersion
    score: ScoreName | None = Field(description="The score of its variants; null without one.")
    variants: list[VariantRead] = Field(description="The variants, in the order of measurement.")


class CompressionLedger(Wire):
    """The selected runs that measured at least two variants, newest first."""

    items: Items[CompressionRead]
    unreadable: Unreadable
    is_whole: bool = Field(
        description="Whether all selected runs were searched; if not, the newest ones."
    )


class BestOfTrials(Wire):
    """The expected best score of some trials of a method."""

    trials: int = Field(description="Number of trials.", ge=1)
    cost: float = Field(
        description="Cost of these trials, in `unit`: their number times the mean cost."
    )
    expected: float = Field(description="Expected best score.")
    variance: float = Field(description="Variance of the best score over searches.")
    low: float = Field(
        description="Lower end of the range that contains the best score in 95% of searches."
    )
    high: float = Field(description="Upper end of this range.")


class MethodCurve(Wire):
    """The trials of one method."""

    name: str = Field(description="The method: a tag, or stage kinds joined by `+`.")
    trials: int = Field(
        description="Number of its trials with the score: runs, or trials of studies."
    )
    unscored: int = Field(
        description="Number of its trials without the score, such as failed runs; their cost "
        "counts."
    )
    mean_cost: Quantity = Field(
        description="Cost of all trials of the method, divided by the number with the score."
    )
    points: list[BestOfTrials] = Field(
        description="The curve, up to the number of trials that were made; empty with a `reason`."
    )
    reason: str | None = Field(description="Why there is no curve; null if there is.")


class CurveCrossing(Wire):
    """Where the better of two methods changes."""

    first: str = Field(description="One method.")
    second: str = Field(description="The other method.")
    cost: float = Field(description="Cost at which their curves cross, in `unit`.")


class ExpectedValidationRead(Wire):
    """Expected best score against cost, by method."""

    metric: str = Field(description="The cost: a figure of the price tag.")
    unit: Unit
    kind: ScoreKind | None = Field(
        description="The score, with the task and the data of the runs; null if no run has one."
    )
    kinds: list[ScoreKind] = Field(
        description=(
            "All kinds of scores that the selected runs have, most frequent first; choose one by "
            "`quality`, `split`, `task` and `data`."
        )
    )
    lower_is_better: bool = Field(description="Whether a smaller score is better.")
    with_replacement: bool = Field(
        description="Whether the estimator draws with replacement, which is biased downwards."
    )
    methods: list[MethodCurve] = Field(description="The methods, those with the most trials first.")
    crossings: list[CurveCrossing] = Field(description="Where curves cross, by cost.")
    verdicts: list[str] = Field(
        description="Which of two methods is better at which cost, a sentence for each pair with "
        "curves: at the costs that both reach, and nowhere else."
    )
    projects: list[str] = Field(description="Projects of the runs.")
    summed_trials: SummedTrials
    summed_runs: SummedRuns
    unreadable: Unreadable
    is_whole: bool = Field(
        description="Whether these are all selected runs; if not, the newest ones."
    )


class ResearchPartRead(Wire):
    """Sums over one part of the work that led to a result."""

    name: Literal["model", "tuning", "research"] = Field(
        description="`model`: the best model alone; `tuning`: all runs of its method; `research`: "
        "all selected runs. Each part includes the one before it."
    )
    runs: int = Field(description="Number of runs.")
    unsuccessful: int = Field(description="Number of these runs that failed or were canceled.")
    costs: dict[str, Quantity] = Field(description="Sum of each cost: a figure of the price tag.")


class BestModelRead(Wire):
    """The run, or the trial of a study, with the best score."""

    run_id: RunId = Field(description="ID of the run; of a trial, that of its last rung.")
    name: RunName
    project: ProjectName
    status: RunStatus = Field(description="Status of the run.")
    version: TagVersion
    method: str = Field(description="Its method: the stage kinds, joined by `+`.")
    quality: float = Field(description="Its score.")


class GreenAiRead(Wire):
    """The factors E, D and H of the cost of a result (Schwartz et al. 2020, Green AI)."""

    example: Quantity = Field(description="E: operations of the best model on one example.")
    data: Quantity = Field(description="D: number of training examples.")
    experiments: int = Field(
        description="H: number of runs of its method; a trial of a study is one, with its rungs."
    )


class EquivalentRead(Wire):
    """Emissions of all runs as a multiple of well-known ones."""

    name: str = Field(description="What they are compared with.")
    times: Quantity = Field(description="The multiple.")
    citation: str = Field(description="Source of the well-known emissions.")


class ResearchCostRead(Wire):
    """What the best result cost: its model, its tuning, all selected runs."""

    kind: ScoreKind | None = Field(description="The score; null if no run has one.")
    kinds: list[ScoreKind] = Field(
        description="All kinds of scores that the selected runs have, most frequent first; choose "
        "one by `quality`, `split`, `task` and `data`."
    )
    model: BestModelRead | None = Field(
        description="The run with the best score; null with a `reason`."
    )
    reason: str | None = Field(description="Reason why there is none; null if there is.")
    parts: list[ResearchPartRead] = Field(
        description="The parts, smallest first; empty without a best model."
    )
    green_ai: GreenAiRead | None = Field(description="E, D and H; null without a best model.")
    equivalents: list[EquivalentRead] | None = Field(
        description="Well-known emissions to compare with; null unless requested."
    )
    summed_trials: SummedTrials
    summed_runs: SummedRuns
    unreadable: Unreadable
    is_whole: bool = Field(
        description="Whether these are all selected runs; if not, the newest ones."
    )
