"""Insights: quality against cost, and compression, over several runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query

from app.api.access import READ
from app.api.branches import Branch
from app.api.deps import Caller, CurrentSession
from app.api.v1.responses import problems
from app.api.v1.run_filters import OfExperiment, OfProject, WithTags
from app.schemas.common import StoredName
from app.schemas.insights import (
    CompressionLedger,
    ExpectedValidationRead,
    FrontierRead,
    ResearchCostRead,
)
from app.services.insights import reading, research
from app.services.insights.reading import FINAL
from app.services.runs.listing import RunFilter
from pricetag.tag.axes import Axis, Spending

router = Branch(prefix="/insights", tags=["insights"])


async def _filters(
    project: OfProject = None,
    experiment: OfExperiment = None,
    tag: WithTags = None,
) -> RunFilter:
    return RunFilter(project=project, experiment=experiment, tags=tuple(tag or ()), statuses=FINAL)


Filters = Annotated[RunFilter, Depends(_filters)]
Newest = Annotated[
    int, Query(ge=1, le=200, description="Maximum number of ended runs, newest first.")
]
MOST_METHODS = 8


async def _wanted(
    quality: Annotated[
        StoredName | None,
        Query(description="Metric of the score, e.g. `accuracy`; by default the most common."),
    ] = None,
    split: Annotated[
        StoredName | None, Query(description="Split of the score; by default the most common.")
    ] = None,
    task: Annotated[
        StoredName | None, Query(description="Task of the score; by default the most common.")
    ] = None,
    data: Annotated[
        StoredName | None,
        Query(description="Fingerprint of the scored data; by default the most common."),
    ] = None,
) -> Mapping[str, str | None]:
    return {"metric": quality, "split": split, "task": task, "data": data}


Wanted = Annotated[Mapping[str, str | None], Depends(_wanted)]
"""Parameters that select the score of an insight."""


@router.get(
    "/frontier",
    dependencies=[READ],
    summary="Show quality against cost",
    responses=problems(404),
)
async def get_frontier(
    session: CurrentSession,
    caller: Caller,
    filters: Filters,
    wanted: Wanted,
    metric: Annotated[
        Axis,
        Query(
            description="Quantity that quality is compared with: a cost of the run, its operations "
            "(`flops_dense`), or the latency (median, batch size 1) or size of its last measured "
            "model."
        ),
    ] = "it_energy_kwh",
    limit: Newest = 100,
) -> FrontierRead:
    """Shows the selected runs, failed ones too, with cost and quality; those that no other run
    dominates, with the price of the next point of quality; and the cost of the runs that ended
    after the last improvement. Runs that were scored on another task or other data are listed,
    but not ranked.
    """
    return await reading.frontier(
        session, caller, filters, metric=metric, wanted=wanted, limit=limit
    )


@router.get(
    "/compressions",
    dependencies=[READ],
    summary="Show what compression cost and saves",
    responses=problems(404),
)
async def list_compressions(
    session: CurrentSession,
    caller: Caller,
    filters: Filters,
    baseline: Annotated[
        StoredName | None,
        Query(
            description="Label of the variant that the others are compared with; by default, and "
            "in runs without it, the first."
        ),
    ] = None,
    inferences: Annotated[
        int | None,
        Query(ge=1, le=10**15, description="Number of inferences for `total_kwh`."),
    ] = None,
    limit: Newest = 100,
) -> CompressionLedger:
    """Lists the selected runs that measured several variants of their model: for each variant the
    energy of making it, of 1,000 inferences, the change of its score, and the number of
    inferences after which it has paid back its making.
    """
    return await reading.compressions(
        session, caller, filters, limit=limit, baseline=baseline, inferences=inferences
    )


@router.get(
    "/expected-validation",
    dependencies=[READ],
    summary="Show the expected best score against cost",
    responses=problems(404),
)
async def get_expected_validation(
    session: CurrentSession,
    caller: Caller,
    filters: Filters,
    wanted: Wanted,
    metric: Annotated[Spending, Query(description="The cost.")] = "it_energy_kwh",
    method: Annotated[
        list[StoredName] | None,
        Query(
            max_length=MOST_METHODS,
            description="Tag of the runs of a method; repeatable, one for each method. By default "
            "runs with the same stage kinds are a method.",
        ),
    ] = None,
    with_replacement: Annotated[
        bool,
        Query(
            description="Whether to use the estimator that draws with replacement (Dodge et al. "
            "2019), which is biased downwards; by default the unbiased one (Tang et al. 2020)."
        ),
    ] = False,
    limit: Newest = 100,
) -> ExpectedValidationRead:
    """Shows for each method the expected best score of 1 to n trials of a random search against
    their cost, where methods cross, and which one is better at which cost. Nothing is
    extrapolated beyond the trials that were made; a method needs at least five. Runs of a method
    that failed count with their cost.
    """
    return await reading.expected_validation(
        session,
        caller,
        filters,
        metric=metric,
        wanted=wanted,
        methods=method or (),
        with_replacement=with_replacement,
        limit=limit,
    )


@router.get(
    "/research-cost",
    dependencies=[READ],
    summary="Show the cost of a result with its tuning",
    responses=problems(404),
)
async def get_research_cost(
    session: CurrentSession,
    caller: Caller,
    filters: Filters,
    wanted: Wanted,
    equivalents: Annotated[
        bool,
        Query(
            description="Whether to compare the emissions with well-known ones, such as a flight."
        ),
    ] = False,
    limit: Newest = 100,
) -> ResearchCostRead:
    """Shows what the run with the best score cost, together with all runs of its method (those
    with the same stage kinds: its tuning), and together with all selected runs, as in table 4 of
    Strubell et al. 2019; and the factors E, D and H of Schwartz et al. 2020.
    """
    return await research.research_cost(
        session, caller, filters, wanted=wanted, with_equivalents=equivalents, limit=limit
    )
