"""Reports: created once from price tags, immutable, rendered in six formats."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from app.charts.chart import WIDTHS, drawable
from app.charts.drawing import Drawing, DrawingError
from app.db import Session
from app.reports import (
    FORMATS,
    NoScoresError,
    Rendered,
    build_context,
    glue_context,
    latex,
    render,
)
from app.reports.charts import Picture, charts_of
from app.repositories.price_tags import reports
from app.repositories.runs import runs
from app.repositories.runs.selection import RunFilter, resolve
from app.schemas.common import FieldProblem
from app.schemas.lineage import LineageRead
from app.schemas.reports import (
    MAX_RUNS,
    ReportCreate,
    ReportFilter,
    ReportFormat,
    ReportList,
    ReportRead,
    ReportSummary,
)
from app.services import access, cursors
from app.services.access import ReportNotFoundError
from app.services.attempts import lineage
from app.services.billing.documents import PriceTagUnreadableError, tag_view
from app.services.errors import InvalidError, NotFoundError
from app.services.people.names import require_filters
from app.services.principals import Principal
from app.services.processes import SharedProcesses
from models import Paper, Report
from pricetag.accounting.document.canonical import content_sha256
from pricetag.tag.glue.runs import earlier_run

log = logging.getLogger("pricetag.server")

TYPESETTERS = SharedProcesses(1)


class NothingToReportError(InvalidError):
    """Some of the selected runs have no price tag; the error lists them."""

    code = "nothing-to-report"

    def __init__(self, message: str, errors: list[FieldProblem]) -> None:
        super().__init__(message, field=errors[0].field)
        self.errors = errors


async def create(session: Session, principal: Principal, request: ReportCreate) -> ReportRead:
    """Creates and stores a report from a price tag of each selected run, the newest by default.

    Raises:
        RoleRequiredError: If the token may only read.
        NothingToReportError: If a run is unknown, has no price tag yet or not the version that
            is named, or none matches.
    """
    principal.require("member", "create reports")
    if request.runs is not None:
        run_ids = list(dict.fromkeys(request.runs))
    else:
        run_ids = await _matching(session, principal, request.filter or ReportFilter())
    tags = await reports.newest_price_tags(session, principal.viewer, run_ids)
    if request.runs is not None:
        await _require_all(session, principal, request.runs, tags)
    elif not tags:
        raise _nothing("filter", "no matching run has a price tag yet")
    tags |= await _versions(session, request.versions, tags)
    _require_readable(run_ids, tags)
    selected = [tags[run_id] for run_id in run_ids if run_id in tags]
    chains = await _chains(session, principal, tags)
    lineages = [
        {"name": tags[run_id]["name"], "lineage": chains[run_id].model_dump(mode="json")}
        for run_id in run_ids
        if run_id in chains
    ]
    if request.table == "glue":
        context = await _glue(session, principal, request, selected, lineages)
    else:
        context = build_context(
            request.title,
            request.profile,
            selected,
            generated_at=datetime.now(UTC),
            chains=lineages,
        )
    named = {up.run_id for lineage_ in chains.values() for up in lineage_.upstream}
    read = await store(session, principal, request.title, context, [*tags, *named])
    read.runs_left_out = [run_id for run_id in run_ids if run_id not in tags]
    return read


async def store(
    session: Session,
    principal: Principal,
    title: str,
    context: dict[str, Any],
    run_ids: Sequence[uuid.UUID],
    *,
    paper: Paper | None = None,
) -> ReportRead:
    """Stores the content of a report as a new report.

    Args:
        session: Database session; the caller commits.
        principal: Who creates it.
        title: Its title.
        context: Its content.
        run_ids: Runs that its readers must be allowed to see.
        paper: The paper that it is on, whose project they must see, too; None without one.
    """
    report = Report(
        title=title,
        profile=context["profile"],
        context=context,
        content_sha256=await asyncio.to_thread(content_sha256, context),
        created_by=principal.user_id,
        paper_id=None if paper is None else paper.id,
    )
    await reports.add(session, report, run_ids, None if paper is None else paper.project_id)
    return _read(report)


async def glue_sources(
    session: Session, principal: Principal, selected: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The recipes of runs and of the earlier runs that their models come from, by run ID.

    Returns:
        The recipes, and the newest price tags of the earlier runs that the principal may see.
    """
    recipes: dict[uuid.UUID, dict[str, Any]] = {}
    earlier: dict[uuid.UUID, dict[str, Any]] = {}
    wanted = {uuid.UUID(tag["run_id"]) for tag in selected}
    while wanted:
        further = await reports.recipes_of(session, list(wanted))
        recipes |= further
        names = {earlier_run(recipe) for recipe in further.values()}
        wanted = {uuid.UUID(name) for name in names if name is not None} - recipes.keys()
        visible = await reports.newest_price_tags(session, principal.viewer, list(wanted))
        earlier |= visible
        wanted = set(visible)
    return {str(run_id): recipe for run_id, recipe in recipes.items()}, list(earlier.values())


async def _glue(
    session: Session,
    principal: Principal,
    request: ReportCreate,
    selected: list[dict[str, Any]],
    lineages: list[dict[str, Any]],
) -> dict[str, Any]:
    """The content of a report on GLUE, whose models may come from earlier runs.

    Raises:
        NothingToReportError: If no run has a score on GLUE.
    """
    recipes, earlier = await glue_sources(session, principal, selected)
    try:
        return glue_context(
            request.title,
            request.profile,
            selected,
            recipes,
            generated_at=datetime.now(UTC),
            earlier=earlier,
            chains=lineages,
        )
    except NoScoresError as error:
        raise _nothing("table", str(error)) from error


async def _versions(
    session: Session,
    versions: dict[uuid.UUID, int],
    newest: dict[uuid.UUID, dict[str, Any]],
) -> dict[uuid.UUID, dict[str, Any]]:
    """The price tags of the versions that are named, each with the number of the newest."""
    named = await reports.price_tags_of(
        session, {run_id: version for run_id, version in versions.items() if run_id in newest}
    )
    errors = []
    for run_id, version in versions.items():
        if run_id not in newest:
            message = f"run {run_id} is not among the runs of the report"
        elif run_id not in named:
            last = newest[run_id]["newest_version"]
            has = "version 1 only" if last == 1 else f"versions 1 to {last}"
            message = f"run {run_id} has no version {version} of its price tag; it has {has}"
        else:
            continue
        errors.append(FieldProblem(field=f"versions.{run_id}", message=message))
    if errors:
        raise NothingToReportError(f"{errors[0].field}: {errors[0].message}", errors)
    return {
        run_id: {**tag, "newest_version": newest[run_id]["newest_version"]}
        for run_id, tag in named.items()
    }


async def _chains(
    session: Session, principal: Principal, run_ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, LineageRead]:
    """The lineage of each run that starts from the model of an earlier run."""
    lineages = {run_id: await lineage.of_run(session, principal, run_id) for run_id in run_ids}
    return {run_id: chain for run_id, chain in lineages.items() if chain is not None}


def _require_readable(
    run_ids: Sequence[uuid.UUID], tags: Mapping[uuid.UUID, Mapping[str, Any]]
) -> None:
    errors = []
    for index, run_id in enumerate(run_ids):
        if run_id not in tags:
            continue
        try:
            tag_view(tags[run_id])
        except PriceTagUnreadableError as error:
            message = f"run {run_id}: {error.message} Omit it."
            errors.append(FieldProblem(field=f"runs.{index}", message=message))
    if errors:
        raise NothingToReportError(f"{errors[0].field}: {errors[0].message}", errors)


def _nothing(field: str, message: str) -> NothingToReportError:
    return NothingToReportError(f"{field}: {message}", [FieldProblem(field=field, message=message)])


async def _matching(
    session: Session, principal: Principal, request: ReportFilter
) -> list[uuid.UUID]:
    filters = RunFilter(
        project=request.project,
        experiment=request.experiment,
        tags=request.tags,
        statuses=request.status,
        kind=request.kind,
        created_after=request.created_after,
        created_before=request.created_before,
    )
    selection = await resolve(session, principal.viewer, filters)
    if selection.is_empty:
        try:
            await require_filters(
                session, principal, project=request.project, experiment=request.experiment
            )
        except NotFoundError as error:
            raise _nothing(f"filter.{error.field}", error.message) from error
    run_ids = await runs.oldest_ids(session, selection, MAX_RUNS + 1)
    if len(run_ids) > MAX_RUNS:
        raise _nothing("filter", f"matches more than {MAX_RUNS} runs; narrow the filter")
    return run_ids


async def _require_all(
    session: Session,
    principal: Principal,
    run_ids: list[uuid.UUID],
    tags: dict[uuid.UUID, dict[str, Any]],
) -> None:
    missing = [run_id for run_id in run_ids if run_id not in tags]
    if not missing:
        return
    existing = await access.visible_runs(session, principal, missing)
    errors = [
        FieldProblem(
            field=f"runs.{index}",
            message=f"run {run_id} has no price tag yet"
            if run_id in existing
            else f"run {run_id} not found: it does not exist or is hidden from you",
        )
        for index, run_id in enumerate(run_ids)
        if run_id not in tags
    ]
    raise NothingToReportError(f"{errors[0].field}: {errors[0].message}", errors)


def _read(report: Report) -> ReportRead:
    return ReportRead(
        id=report.id,
        title=report.title,
        profile=report.profile,
        created_at=report.created_at,
        content_sha256=report.content_sha256,
        context=report.context,
        formats={fmt: f"/v1/reports/{report.id}.{fmt}" for fmt in FORMATS},
    )


async def read(session: Session, principal: Principal, report_id: uuid.UUID) -> ReportRead:
    """A report as data.

    Raises:
        ReportNotFoundError: If the report does not exist, or has hidden runs.
    """
    await access.require_report(session, principal, report_id)
    report = await reports.get(session, report_id)
    if report is None:
        raise ReportNotFoundError(
            f"Report {report_id} not found: it does not exist or is hidden from you.",
            field="report_id",
        )
    return _read(report)


async def list_page(
    session: Session, principal: Principal, cursor: str | None, limit: int
) -> ReportList:
    """A page of the reports that the principal may see, newest first.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    after: tuple[str, uuid.UUID] | None = None
    if cursor is not None:
        at, report_id = map(str, cursors.decode(cursor, str, str))
        cursors.check_time(at)
        after = (at, cursors.parse_id(report_id))
    rows = await reports.list_reports(session, principal.viewer, after, limit + 1)
    shown, following = cursors.page(
        rows, limit, lambda row: (row.created_at.isoformat(), str(row.id))
    )
    items = [ReportSummary.model_validate(row) for row in shown]
    return ReportList(items=items, next_cursor=following)


async def latex_figures(context: Mapping[str, Any], drawing: Drawing) -> dict[str, bytes]:
    """The figures of the LaTeX of a report on a paper (PDF), by file name.

    None are there if they could not be drawn: the document says so in their places.
    """
    pictures = await _pictures(context, drawing, "pdf") or []
    return {
        latex.figure_name(number): picture.content for number, picture in enumerate(pictures, 1)
    }


async def _pictures(
    context: Mapping[str, Any], drawing: Drawing, form: Literal["svg", "pdf"]
) -> list[Picture] | None:
    """The charts of a report, drawn; None if that failed, which the report then says."""
    pictures = []
    try:
        for chart in charts_of(context):
            document = drawable(json.loads(chart.content), "print")
            drawn = await drawing.picture(f"{chart.sha256} {form} print", document, form)
            size = (WIDTHS["wide"], chart.height)
            pictures.append(Picture(chart.title, chart.summary, drawn, *size))
    except DrawingError as error:
        log.warning("charts of a report were not drawn: %s", error)
        return None
    return pictures


async def render_report(
    report: ReportRead, fmt: ReportFormat, drawing: Drawing | None = None
) -> Rendered:
    """The report in one format.

    The typesetter keeps what it has computed, hundreds of megabytes for a report, and never
    gives them back: a PDF is made in a process that ends afterwards.
    """
    pictures: list[Picture] | None = []
    if drawing is not None and fmt in ("html", "pdf"):
        pictures = await _pictures(report.context, drawing, "svg")
    if fmt != "pdf":
        return await asyncio.to_thread(render, report.context, fmt, pictures)
    loop = asyncio.get_running_loop()
    with TYPESETTERS.lent() as typesetters:
        return await loop.run_in_executor(typesetters, render, report.context, fmt, pictures)
