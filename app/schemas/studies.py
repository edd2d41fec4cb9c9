"""Studies on the wire."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from app.schemas.common import Quantity, Reason, RunStatus, Wire
from app.schemas.fields import (
    CreatedAt,
    ExperimentName,
    Items,
    NextCursor,
    ObjectId,
    ProjectName,
)
from pricetag.studies.spec import StudySpec

StudyStatus = Literal["running", "finished", "failed", "cancelled"]
StudyName = Annotated[str, Field(description="Name of the study.")]
StatusOfStudy = Annotated[StudyStatus, Field(description="Status of the study.")]
StatusReason = Annotated[
    Reason | None, Field(description="Why the study has ended; null while it runs.")
]


class StudyCreate(StudySpec):
    """The body of a posted study, checked by `pricetag.studies`."""


class StudyAccepted(Wire):
    """Response to posting or canceling a study."""

    id: ObjectId
    name: StudyName
    project: ProjectName
    experiment: ExperimentName
    status: StatusOfStudy
    status_reason: StatusReason
    created_at: CreatedAt
    url: str = Field(
        examples=["/v1/studies/6f0c0d0e-0000-4000-8000-000000000000"],
        description="Path of the study.",
    )


class StudyMetric(Wire):
    """A figure of quality that runs report."""

    name: str = Field(description="Name of the metric.")
    split: str | None = Field(
        description="Data split; null for validation, or values without a split."
    )
    goal: Literal["maximize", "minimize"] = Field(
        description="Whether a larger or a smaller value is better."
    )


class StudySummary(Wire):
    """A study in a list."""

    id: ObjectId
    name: StudyName
    project: ProjectName
    experiment: ExperimentName
    user: str = Field(description="Name of the user who posted it.")
    strategy: str = Field(examples=["hyperband"], description="Kind of the strategy.")
    metric: StudyMetric = Field(description="The metric by which trials are compared.")
    status: StatusOfStudy
    status_reason: StatusReason
    planned_trials: int = Field(description="Number of trials, if nothing ends the study before.")
    started_trials: int = Field(description="Number of trials that have started.")
    runs: int = Field(description="Number of runs that were posted.")
    open_runs: int = Field(description="Number of queued and running runs.")
    created_at: CreatedAt
    finished_at: datetime | None = Field(
        description="Time at which the study ended (UTC); null before."
    )


class RungRead(Wire):
    """A rung of a bracket, with the trials that have reached it."""

    rung: int = Field(description="Number of the rung, from 0.")
    planned_trials: int = Field(description="Number of trials of the rung.")
    resource: float | None = Field(
        description="Total resource of a trial at its end; null where trials run once."
    )
    open_trials: int = Field(description="Number of trials that wait or run in it.")
    done_trials: int = Field(description="Number of trials that have finished it.")
    failed_trials: int = Field(description="Number of trials that failed in it.")
    canceled_trials: int = Field(description="Number of trials whose run in it was canceled.")


class BracketRead(Wire):
    """A successive halving of a study."""

    number: int = Field(description="Number of the bracket, as in the published algorithm.")
    rungs: list[RungRead] = Field(description="Its rungs, in order.")


class TrialRun(Wire):
    """The run of a trial in a rung."""

    rung: int = Field(description="Number of the rung, from 0.")
    resource: float | None = Field(description="Total resource of the trial at its end.")
    run_id: uuid.UUID | None = Field(description="The run; null if it could not be posted.")
    status: RunStatus = Field(description="Status of the run.")
    reason: Reason | None = Field(description="Reason for the status.")
    score: float | None = Field(description="Last reported value of the metric.")
    it_energy_kwh: Quantity = Field(description="Energy charged by the meters, in kWh.")


class TrialRead(Wire):
    """A trial of a study."""

    number: int = Field(description="Number of the trial, from 0.")
    bracket: int = Field(description="Number of its bracket.")
    state: Literal["running", "waiting", "stopped", "finished", "failed", "cancelled"] = Field(
        description="`running` (or queued), `waiting` for the other trials of its rung, `stopped` "
        "before the end, `finished`, `failed` or `cancelled`."
    )
    values: dict[str, Any] = Field(description="Values by the path of their field.")
    score: float | None = Field(description="Value of the metric in its last rung that has one.")
    runs: list[TrialRun] = Field(description="Its runs, by rung.")


class StudyFigures(Wire):
    """Sums over runs, with the known figures only."""

    duration_s: Quantity = Field(description="Run time of all attempts, in seconds.")
    it_energy_kwh: Quantity = Field(description="Energy charged by the meters, in kWh.")
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE, in kWh.")
    co2e_kg: Quantity = Field(description="Location-based emissions, in kg CO2e.")
    cost: Quantity = Field(description="Cost, in the currency of its `unit`.")
    flops_dense: Quantity = Field(description="Operations of the dense network.")
    unknown_runs: dict[str, int] = Field(
        description="Number of runs whose figure is unknown and not in the sum, by figure.",
        examples=[{"flops_dense": 3}],
    )
    runs: int = Field(description="Number of runs.")


class BestTrial(Wire):
    """The trial with the best score."""

    trial: int = Field(description="Number of the trial.")
    score: float = Field(description="Its score.")
    run_id: uuid.UUID | None = Field(description="Its run that reached the score.")
    values: dict[str, Any] = Field(description="Values by the path of their field.")
    price_tag: StudyFigures = Field(
        description="Sums over its own runs; of a compressed model, with those that trained it."
    )


class SavedRead(Wire):
    """Energy that was not used because trials stopped before the end."""

    it_energy_kwh: Quantity = Field(
        description="Energy of the training that stopped trials did not do, in kWh: their missing "
        "resource, at the energy per resource of the longest rungs of the study. Trials of unknown "
        "energy are not included."
    )
    stopped_trials: int = Field(description="Number of stopped trials.")
    unknown_trials: int = Field(description="Number of stopped trials whose energy is unknown.")


class EnsemblePointRead(Wire):
    """Ensembles of k members."""

    members: int = Field(description="Number of members, k.")
    ensembles: int = Field(description="Number of ensembles of k members that were evaluated.")
    accuracy: Quantity = Field(
        description="Mean accuracy of the averaged probabilities, from the lowest to the highest "
        "of the evaluated ensembles; no range in the order of seeds, with the reason."
    )
    making_kwh: Quantity = Field(
        description="IT energy to make k members, in kWh: k times the mean of a member's run, or "
        "the sum over the first k in the order of seeds."
    )
    inference_kwh: Quantity = Field(
        description="IT energy to evaluate `examples` examples with k members, in kWh: as for "
        "`making_kwh`, of the stages that evaluated them."
    )


class EnsembleRead(Wire):
    """Accuracy and cost of ensembles of the trials of a study."""

    estimator: Literal["all_subsets", "order_of_seeds"] = Field(
        description="`all_subsets`: the mean over all ensembles of k of the members, for up to 10 "
        "members; `order_of_seeds`: the first k, of more members."
    )
    split: str = Field(description="The evaluated split.")
    examples: int | None = Field(description="Number of its examples; null without a member.")
    members: int = Field(description="Number of members whose class probabilities are known.")
    points: list[EnsemblePointRead] = Field(description="Ensembles of 1, 2, ... members.")
    reason: str | None = Field(
        description="Why members, or all points, are missing; null if nothing is."
    )


class PowerPointRead(Wire):
    """The training with one power limit."""

    limit_w: float = Field(description="Power limit of each accelerator, in W.")
    trial: int = Field(description="Number of its trial.")
    it_energy_kwh: Quantity = Field(description="IT energy of its run, in kWh.")
    duration_s: Quantity = Field(description="Duration of its run, in seconds.")
    score: float | None = Field(description="Its score; null without one.")
    cost_j: float | None = Field(
        description="Zeus' cost, in J: eta x energy + (1 - eta) x `max_power_w` x time; null with "
        "a `reason`."
    )
    reason: str | None = Field(description="Why it has no cost, and cannot be the best.")


class PowerSweepRead(Wire):
    """Energy, time and cost against the power limit."""

    eta: float = Field(description="Weight of energy in the cost, from 0 to 1.")
    max_power_w: float = Field(
        description="Largest limit times the number of accelerators, in W, which turns time into "
        "energy."
    )
    points: list[PowerPointRead] = Field(description="The limits, lowest first.")
    least_energy_w: float | None = Field(
        description="Limit with the least energy, in W; null with a `reason`."
    )
    least_cost_w: float | None = Field(
        description="Limit with the least cost, in W; null with a `reason`."
    )
    reason: str | None = Field(
        description="Why there is no best limit, or in what the trials differ; null for nothing."
    )


class StudyLimit(Wire):
    """A limit of the study's budget."""

    name: Literal["kwh", "co2e_kg", "cost", "flops", "hours"] = Field(
        description="Name of the limit."
    )
    unit: str = Field(description="Unit of the amounts.")
    limit: float = Field(description="Maximum amount that the study may use.")
    used: float = Field(description="Use of ended runs, and of running ones so far.")
    reserved: float = Field(
        description="Further use of open runs by their quotes, or up to that of the largest "
        "ended run."
    )
    unknown_runs: int = Field(
        description="Number of runs whose use or quote is unknown; they are not counted."
    )


class StudyRead(StudySummary):
    """A study with its trials and its price tag."""

    spec: dict[str, Any] = Field(description="The description of the study.")
    brackets: list[BracketRead] = Field(description="Its brackets, in the order of their start.")
    trials: list[TrialRead] = Field(description="Its trials, by number.")
    best: BestTrial | None = Field(description="The best trial so far; null without a score.")
    price_tag: StudyFigures = Field(
        description="Sums over all runs, those of failed and stopped trials included."
    )
    saved: SavedRead | None = Field(
        description="Energy saved by stopping trials; null where every trial runs to its end."
    )
    ensemble: EnsembleRead | None = Field(
        description="Accuracy and cost of ensembles of its trials; null for other strategies."
    )
    power_sweep: PowerSweepRead | None = Field(
        description="Energy, time and cost against the power limit; null for other strategies."
    )
    budget: list[StudyLimit] = Field(description="Limits of its budget; empty without one.")


class StudyPage(Wire):
    """A page of studies, newest first."""

    items: Items[StudySummary]
    next_cursor: NextCursor
