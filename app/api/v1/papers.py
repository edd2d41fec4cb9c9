"""Papers: collections of runs, frozen and reported as a whole."""

from __future__ import annotations

import uuid
from typing import Annotated, get_args

from fastapi import Header, Path, Query, Response

from app.api.access import CHANGE_PAPER, CREATE_PAPER, READ, REPORT_PAPER, SEE_PAPER
from app.api.body import validated
from app.api.branches import Branch
from app.api.deps import Body, Caller, CurrentSession, Cursor, Limit, ServerResources
from app.api.openapi import request_body
from app.api.v1 import examples
from app.api.v1.responses import BODY, problems
from app.reports.paper_files import FILES, ZIP_TYPE
from app.schemas.common import StoredName
from app.schemas.papers import (
    PaperChange,
    PaperCreate,
    PaperFile,
    PaperList,
    PaperRead,
    PaperReportCreate,
    PaperRunsAdd,
)
from app.schemas.reports import ReportRead
from app.services.papers import changing, collecting, files, reporting

router = Branch(prefix="/papers", tags=["papers"])
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a request with the same key and body returns the same paper.",
        examples=["5f0c1b9e-1c5a-4a53-9a53-0d6d6b9f2f54"],
    ),
]
PaperId = Annotated[uuid.UUID, Path(description="ID of the paper.")]


@router.post(
    "",
    status_code=201,
    dependencies=[CREATE_PAPER],
    summary="Create a paper",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(
        PaperCreate,
        {"rule": examples.PAPER, "published": examples.PUBLISHED_PAPER},
        "Project, title, and `runs`, a `rule`, or published rows.",
    ),
)
async def create_paper(
    session: CurrentSession,
    caller: Caller,
    body: Body,
    response: Response,
    key: IdempotencyKey = None,
) -> PaperRead:
    """Creates a paper: a named collection of runs, by ID or by a rule that collects runs of its
    project until the paper is frozen, with published rows of other work beside them. Requires the
    role member.
    """
    paper = await changing.create(session, caller, validated(PaperCreate, body), key)
    response.headers["Location"] = f"/v1/papers/{paper.id}"
    return paper


@router.get("", dependencies=[READ], summary="List papers", responses=problems(404))
async def list_papers(
    session: CurrentSession,
    caller: Caller,
    project: Annotated[StoredName | None, Query(description="Only papers of this project.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> PaperList:
    """Lists the papers of which you may see the project and all runs, newest first."""
    return await collecting.list_page(session, caller, project=project, cursor=cursor, limit=limit)


@router.get(
    "/{paper_id}", dependencies=[SEE_PAPER], summary="Show a paper", responses=problems(404)
)
async def get_paper(session: CurrentSession, caller: Caller, paper_id: PaperId) -> PaperRead:
    """Shows a paper with its runs and its reports. A paper with a run that is hidden from you does
    not exist for you, because the sums of a part would pass for those of the whole.
    """
    return await collecting.read(session, caller, paper_id)


@router.patch(
    "/{paper_id}",
    dependencies=[CHANGE_PAPER],
    summary="Change a paper",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(
        PaperChange, {"authors": examples.PAPER_CHANGE}, "Title, authors, rule, or published rows."
    ),
)
async def change_paper(
    session: CurrentSession, caller: Caller, paper_id: PaperId, body: Body
) -> PaperRead:
    """Changes title, authors, rule or published rows. Only its creator and administrators can
    change a paper; of a frozen one only the authors, who may be added after a blind review.
    """
    return await changing.change(session, caller, paper_id, validated(PaperChange, body))


@router.delete(
    "/{paper_id}",
    status_code=204,
    dependencies=[CHANGE_PAPER],
    summary="Delete a paper",
    responses=problems(403, 404, 409),
)
async def delete_paper(session: CurrentSession, caller: Caller, paper_id: PaperId) -> None:
    """Deletes a paper that is not frozen and withdraws its share links. Its runs and the reports
    on it stay.
    """
    await changing.delete(session, caller, paper_id)


@router.post(
    "/{paper_id}/runs",
    dependencies=[CHANGE_PAPER],
    summary="Add runs to a paper",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(PaperRunsAdd, {}, "IDs of the runs, and their purpose."),
)
async def add_paper_runs(
    session: CurrentSession, caller: Caller, paper_id: PaperId, body: Body
) -> PaperRead:
    """Adds runs to a paper, or states their purpose: development, tuning, final or ablation."""
    return await changing.add_runs(session, caller, paper_id, validated(PaperRunsAdd, body))


@router.delete(
    "/{paper_id}/runs/{run_id}",
    status_code=204,
    dependencies=[CHANGE_PAPER],
    summary="Remove a run from a paper",
    responses=problems(403, 404, 409),
)
async def remove_paper_run(
    session: CurrentSession,
    caller: Caller,
    paper_id: PaperId,
    run_id: Annotated[uuid.UUID, Path(description="ID of the run.")],
) -> None:
    """Removes a run that was added to a paper that is not frozen."""
    await changing.remove_run(session, caller, paper_id, run_id)


@router.post(
    "/{paper_id}/freeze",
    dependencies=[CHANGE_PAPER],
    summary="Freeze a paper",
    responses=problems(403, 404, 409),
)
async def freeze_paper(session: CurrentSession, caller: Caller, paper_id: PaperId) -> PaperRead:
    """Fixes the runs of a paper, with the versions and hashes of their price tags, and creates a
    report on them. This cannot be undone. Runs without a price tag stay in the paper; its reports
    list them as not counted.
    """
    return await reporting.freeze(session, caller, paper_id)


@router.post(
    "/{paper_id}/reports",
    status_code=201,
    dependencies=[REPORT_PAPER],
    summary="Create a report on a paper",
    responses=problems(403, 404, 409, *BODY),
    openapi_extra=request_body(PaperReportCreate, {}, "Profile of the factors."),
)
async def create_paper_report(
    session: CurrentSession, caller: Caller, paper_id: PaperId, body: Body, response: Response
) -> ReportRead:
    """Creates an immutable report on all runs of a paper, including failed ones: computational
    budget, cost of the result, curves, frontier, methods, factors, NeurIPS checklist and EU AI
    Act. Download it from `formats`. Requires the role member.
    """
    request = validated(PaperReportCreate, body)
    report = await reporting.report(session, caller, paper_id, request)
    response.headers["Location"] = f"/v1/reports/{report.id}"
    return report


@router.get(
    "/{paper_id}/files/{file}",
    dependencies=[SEE_PAPER],
    summary="Download a file of a paper",
    response_class=Response,
    responses={
        **problems(404, 409),
        200: {
            "description": "The file.",
            "content": {
                kind: {"schema": {"type": "object"} if kind == "application/json" else {}}
                for kind in dict.fromkeys(
                    [*(media_type for _, media_type in FILES.values()), ZIP_TYPE]
                )
            },
        },
    },
)
async def download_paper_file(
    resources: ServerResources,
    session: CurrentSession,
    caller: Caller,
    paper_id: PaperId,
    file: Annotated[
        PaperFile, Path(description=f"Name of the file: {', '.join(get_args(PaperFile))}.")
    ],
) -> Response:
    """Badge, BibTeX, model card, answers to the NeurIPS checklist, form of the EU AI Act, figures
    and tables for LaTeX (`latex.zip` with the figures as PDF), all runs as CSV, or all data as
    JSON, from the paper's newest report.
    """
    rendered = await files.file_of(session, caller, paper_id, file, resources.charts)
    headers = {
        "Content-Disposition": f'inline; filename="{rendered.filename}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    }
    return Response(rendered.content, media_type=rendered.media_type, headers=headers)


@router.get(
    "/{paper_id}/archive.zip",
    dependencies=[SEE_PAPER],
    summary="Download the archive of a paper",
    response_class=Response,
    responses={
        **problems(404, 409),
        200: {"description": "The archive.", "content": {"application/zip": {"schema": {}}}},
    },
)
async def download_paper_archive(
    resources: ServerResources, session: CurrentSession, caller: Caller, paper_id: PaperId
) -> Response:
    """A frozen paper as an RO-Crate: its newest report in six formats, all data, every price tag,
    and a script of the standard library (`verify.py`) that adds everything up again and names
    what was changed.
    """
    rendered = await files.archive_of(session, caller, paper_id, resources.charts)
    headers = {
        "Content-Disposition": f'attachment; filename="{rendered.filename}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(rendered.content, media_type=rendered.media_type, headers=headers)
