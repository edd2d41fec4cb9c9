"""Price tags: read, re-price, verify and compare."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from fastapi.responses import JSONResponse

from app.api.access import READ, SEE_RUN, author
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, RunId, ServerResources
from app.api.openapi import request_body
from app.api.v1.responses import BODY, problems
from app.schemas.price_tags import (
    ComparisonRead,
    PriceTagRead,
    PriceTagVersion,
    PriceTagVersions,
    RepriceRequest,
    VerificationRead,
)
from app.services import access
from app.services.billing import issuing
from app.services.insights import comparison
from app.services.repricing import reissue
from app.services.verification import checking
from pricetag.accounting.work.matching import LEAST_SEEDS, USUAL_SEEDS
from pricetag.tag.ratios import Metric

router = Branch(tags=["price tags"])

Version = Annotated[
    int | None,
    Query(ge=1, le=2**31 - 1, description="Version of the price tag; by default the latest."),
]
RunIds = Annotated[
    str, Query(min_length=1, max_length=2000, description="Run IDs, separated by commas.")
]


@router.get(
    "/runs/{run_id}/price-tag",
    dependencies=[SEE_RUN],
    summary="Show the price tag of a run",
    responses=problems(404),
    response_model=PriceTagRead,
)
async def get_run_price_tag(
    session: CurrentSession, caller: Caller, run_id: RunId, version: Version = None
) -> JSONResponse:
    """Energy, emissions, cost and quality of a run over all its attempts. It is issued when
    an attempt ends; late measurements and re-pricings issue new versions, and no version is
    ever edited.
    """
    await access.require_run(session, caller, run_id)
    tag = await issuing.get_price_tag(session, run_id, version)
    # Sent exactly as issued, without a model that could change it.
    content = {**tag.content, "content_sha256": tag.content_sha256}
    return JSONResponse(content, headers={"ETag": f'"{tag.content_sha256}"'})


@router.get(
    "/runs/{run_id}/price-tags",
    dependencies=[SEE_RUN],
    summary="List all versions of a price tag",
    responses=problems(404),
)
async def list_run_price_tags(
    session: CurrentSession, caller: Caller, run_id: RunId
) -> PriceTagVersions:
    """Lists every version with its cause and totals, newest first."""
    await access.require_run(session, caller, run_id)
    return await reissue.versions(session, run_id)


@router.post(
    "/runs/{run_id}/price-tag/reprice",
    status_code=201,
    dependencies=[author("re-price runs")],
    summary="Re-price a run",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(RepriceRequest, {}, "Time of the factors to use."),
)
async def reprice_run(
    session: CurrentSession, caller: Caller, resources: ServerResources, run_id: RunId, body: Body
) -> PriceTagVersion:
    """Issues a new version with the factors entered by a given time; issued versions stay. For
    the run's author and admins. Budgets use the new version if `as_of` is omitted.
    """
    as_of = validated(RepriceRequest, body).as_of
    return await reissue.reprice(session, caller, run_id, as_of, settings=resources.settings)


@router.get(
    "/runs/{run_id}/price-tag/verification",
    dependencies=[SEE_RUN],
    summary="Verify a price tag",
    responses=problems(404),
)
async def verify_run_price_tag(
    session: CurrentSession, caller: Caller, run_id: RunId, version: Version = None
) -> VerificationRead:
    """Checks the hash, recomputes the measurements from the stored readings, and recomputes the
    whole content from them and the factors in the price tag, to the last digit.
    """
    await access.require_run(session, caller, run_id)
    return await checking.verify(session, run_id, version)


MoreRunIds = Annotated[
    str | None,
    Query(min_length=1, max_length=2000, description="Run IDs of a further group, as in `a`."),
]


async def _groups(
    a: RunIds,
    b: RunIds,
    c: MoreRunIds = None,
    d: MoreRunIds = None,
    e: MoreRunIds = None,
    f: MoreRunIds = None,
    g: MoreRunIds = None,
    h: MoreRunIds = None,
) -> dict[str, list[UUID]]:
    texts = zip(comparison.LETTERS, (a, b, c, d, e, f, g, h), strict=True)
    return {letter: comparison.parse_runs(letter, text) for letter, text in texts if text}


@router.get(
    "/comparisons",
    dependencies=[READ],
    summary="Compare runs",
    responses=problems(),
)
async def compare_runs(
    session: CurrentSession,
    caller: Caller,
    groups: Annotated[dict[str, list[UUID]], Depends(_groups)],
    metric: Annotated[Metric, Query(description="The figure to compare.")] = "it_energy_kwh",
    seeds: Annotated[
        int,
        Query(
            ge=LEAST_SEEDS,
            le=comparison.MOST,
            description="Number of seeds that each group needs for a verdict on its quality.",
        ),
    ] = USUAL_SEEDS,
) -> ComparisonRead:
    """Compares the mean of one group of runs with that of another, and up to six further groups
    with the same. On the same devices at the same site, shared errors cancel, and the interval
    reflects the spread of the repeats. The quality of both groups is compared over their seeds.
    """
    ratio = await comparison.compare_runs(session, caller, groups, metric, seeds)
    return ComparisonRead.model_validate(ratio)
