"""Price tags on the wire: the document defined by `pricetag.accounting`, and its versions."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from app.schemas.common import Moment, Quantity, Request, Unit, Wire
from app.schemas.derived import wire_type
from app.schemas.fields import CreatedAt, Items, RunId, RunName, TagVersion
from pricetag.accounting.document.records import PriceTag
from pricetag.tag.ratios import Metric


class PriceTagRead(wire_type(PriceTag)):  # type: ignore[misc]  # a class made from another
    """Energy, emissions, cost and quality of a run over all its attempts. Never edited."""

    content_sha256: str = Field(
        description="SHA-256 of the price tag without this field, as `pricetag verify` computes it."
    )


class RepriceRequest(Request):
    """Selects the factors of the new version."""

    as_of: Moment | None = Field(
        default=None,
        description="Use only factors entered by this time; by default all factors.",
        examples=["2026-03-01T00:00:00Z"],
    )


class PriceTagVersion(Wire):
    """One version of a run's price tag, with its totals."""

    version: TagVersion
    accounting_version: str = Field(
        description="Version of the accounting rules that computed the price tag."
    )
    cause: str = Field(description="`attempt-ended`, `journal-came-late` or `repriced`.")
    as_of: datetime | None = Field(
        description="Time up to which entered factors were applied; null: all at the time of issue."
    )
    created_at: CreatedAt
    content_sha256: str = Field(description="SHA-256 of the content.")
    it_energy_kwh: Quantity = Field(
        description="Energy charged by the meters, before the PUE, in kWh."
    )
    facility_energy_kwh: Quantity = Field(description="IT energy x PUE, in kWh.")
    co2e_kg: Quantity = Field(
        description="Location-based emissions of the facility energy, in kg CO2e."
    )
    cost: Quantity | None = Field(description="`cost.total`; null in accounting version 1.")


class PriceTagVersions(Wire):
    """All versions, newest first."""

    items: Items[PriceTagVersion]


class VerificationStep(Wire):
    """One check of a price tag."""

    step: Literal["content-hash", "measurements", "arithmetic"] = Field(
        description="Name of the check: the hash, the measurements from the readings, or the "
        "figures from the measurements and factors."
    )
    status: Literal["ok", "differs", "not-checked"] = Field(
        description="`ok`, `differs`, or `not-checked` if the check was not possible."
    )
    detail: str = Field(description="The compared content, or the path of the first difference.")


class VerificationRead(Wire):
    """A price tag checked against its hash, its readings and its own factors."""

    run_id: RunId
    version: TagVersion
    accounting_version: str = Field(
        description="Version of the accounting rules that computed the price tag."
    )
    content_sha256: str = Field(description="SHA-256 of the content.")
    outcome: Literal["verified", "not-fully-checked", "differs"] = Field(
        description="Result of all steps: `verified` if all are `ok`, `differs` if one differs."
    )
    steps: list[VerificationStep] = Field(description="Checks in order.")


class ComparedRun(Wire):
    """A run with its figure."""

    run_id: RunId
    name: RunName
    version: TagVersion
    value: float | None = Field(description="The compared figure; null if unknown.")


class ComparedSide(Wire):
    """Repetitions of the same work."""

    runs: list[ComparedRun] = Field(description="Runs of the group.")
    count: int = Field(description="Number of runs.", ge=1)
    mean: float | None = Field(
        description="Mean of the compared figure over the runs; null if one of them is unknown, or "
        "their units differ."
    )
    mean_figure: Quantity = Field(
        description="The same with its interval and its evidence. The interval is the mean of the "
        "low ends to the mean of the high ends: errors of meters and factors that the runs share "
        "do not average out."
    )
    std: float | None = Field(
        description="Standard deviation between the runs (n - 1), in `unit`; null with fewer than "
        "two, or if the mean is unknown."
    )
    unit: Unit | None = Field(
        description="Unit of the figure, a currency for costs; null if the units of the runs "
        "differ."
    )


class SeedScores(Wire):
    """A score of a group of runs over their seeds."""

    mean: float = Field(description="Mean over the seeds.")
    std: float | None = Field(
        description="Standard deviation over the seeds (n - 1); null with one seed."
    )
    seeds: int = Field(description="Number of different seeds.", ge=1)


class ComparedQuality(Wire):
    """A score that all runs of both groups have."""

    metric: str = Field(description="Name of the metric, e.g. `accuracy`.")
    split: str | None = Field(description="Split of the data; null without one.")
    a: SeedScores = Field(description="Scores of the first group.")
    b: SeedScores = Field(description="Scores of the second group.")
    within_one_std: bool | None = Field(
        description="Whether the mean of a is at most one standard deviation of b worse than the "
        "mean of b; null with a `reason`."
    )
    reason: str | None = Field(description="Reason why there is no verdict.")


class ComparedGroup(Wire):
    """A further group of a comparison against group b; in `quality`, `a` is this group."""

    group: str = Field(description="Letter of the group, from `c`.")
    side: ComparedSide = Field(description="Its runs.")
    ratio: Quantity = Field(
        description="Mean of the group divided by mean of b; low and high are null without "
        "repetitions."
    )
    method: str | None = Field(description="How the interval was computed.")
    degrees_of_freedom: float | None = Field(
        description="Degrees of freedom of the interval (Welch-Satterthwaite), or null."
    )
    cancels: bool = Field(
        description="Whether errors cancel: the runs share devices, site and factors."
    )
    reasons: list[str] = Field(description="Reasons why errors do not cancel.")
    differences: list[str] = Field(description="What differs in recipe and provenance.")
    notes: list[str] = Field(description="Human-readable remarks.")
    quality: list[ComparedQuality] = Field(
        description="Scores that all runs have, over the seeds of each group."
    )
    verdict: str = Field(description="What the ratio shows, in a sentence.")


class ComparedStage(Wire):
    """A stage of the compared runs."""

    index: int = Field(description="Place in the order of execution, from 0.")
    kind: str = Field(description="Stage kind.")
    means: dict[str, Quantity] = Field(
        description="Mean IT energy of the stage over the runs of each group, by letter, with all "
        "attempts; a run without the stage counts as 0."
    )


class ComparisonRead(Wire):
    """The ratio of two groups of runs, and of further groups to the second."""

    metric: Metric = Field(description="Compared figure.")
    unit: Unit
    a: ComparedSide = Field(description="First group.")
    b: ComparedSide = Field(description="Second group.")
    ratio: Quantity = Field(
        description="Mean of a divided by mean of b; low and high are null without repetitions."
    )
    method: str | None = Field(description="How the interval was computed.")
    degrees_of_freedom: float | None = Field(
        description="Degrees of freedom of the interval (Welch-Satterthwaite), or null."
    )
    cancels: bool = Field(
        description="Whether errors cancel: the runs share devices, site and factors."
    )
    reasons: list[str] = Field(description="Reasons why errors do not cancel.")
    differences: list[str] = Field(
        description="Options of the recipes, hashes of code and upstream models, hardware, "
        "software and environment variables in which the runs differ; empty for repeats of the "
        "same work.",
        examples=[["stages.0.epochs: 1 (a), 3 (b)", "packages.torch: 2.12.0 (a), 2.13.0 (b)"]],
    )
    notes: list[str] = Field(description="Human-readable remarks.")
    quality: list[ComparedQuality] = Field(
        description="Scores that all runs have, over the seeds of each group."
    )
    winning_ticket: bool | None = Field(
        description="Whether the lottery tickets of a are winning tickets of the full models of b: "
        "the task's first metric on the validation split is `within_one_std`; null with a reason."
    )
    winning_ticket_reason: str | None = Field(description="Reason why `winning_ticket` is null.")
    verdict: str = Field(
        description="What the ratio shows, in a sentence; none if it is within its interval.",
        examples=["IT energy: a has 22.0% less than b (ratio 0.780, 0.701 to 0.868)"],
    )
    others: list[ComparedGroup] = Field(description="Groups `c` to `h`, each against b.")
    stages: list[ComparedStage] = Field(description="Energy of each stage, by group.")
