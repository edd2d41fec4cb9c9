"""What a share link shows: a report, or the variant of it for blind review."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from app.db import Session
from app.reports import build_context, glue_context
from app.reports.blind import Pseudonyms, blind_price_tag
from app.reports.shape import Profile
from app.repositories.attempts import executions
from app.repositories.papers import papers
from app.repositories.price_tags import reports as report_rows
from app.schemas.reports import ReportRead
from app.schemas.shares import ShareKind
from app.services import access, reports
from app.services.billing.issuing import get_price_tag
from app.services.errors import ConflictError, ForbiddenError
from app.services.papers import blind, files, rights
from app.services.principals import Principal
from models import Share
from pricetag.accounting.document.canonical import content_sha256

RUN_TITLE = "Run under blind review"
REPORT_TITLE = "Report under blind review"


class NotYoursToShareError(ForbiddenError):
    """Only who created a paper or report, or posted a run, or an administrator may share it."""

    code = "not-yours-to-share"


class NoBlindVariantError(ConflictError):
    """The variant of the report would have other figures."""

    code = "no-blind-variant"


@dataclass(frozen=True, slots=True)
class Content:
    """What a new link shows.

    Attributes:
        title: Title of the paper or report, or name of the run.
        report_id: The report that is shown; None if the content is stored with the link.
        context: Content of the report that is shown.
        price_tags: Texts of the price tags for an archive for blind review, by run ID.
    """

    title: str
    report_id: uuid.UUID | None
    context: dict[str, Any]
    price_tags: dict[str, str] | None = None

    @property
    def sha256(self) -> str:
        """Hash of the data."""
        return content_sha256(self.context)


async def content_of(
    session: Session, principal: Principal, target: tuple[ShareKind, uuid.UUID], anonymous: bool
) -> Content:
    """What a new link of the principal shows.

    Raises:
        NotFoundError: If there is no such object, or it is hidden.
        NotYoursToShareError: If it is somebody else's.
        PaperNotReportedError: If a paper has no report yet.
        PriceTagNotFoundError: If a run has no price tag yet.
        NoBlindVariantError: If the report cannot be made without names.
    """
    kind, id_ = target
    if kind == "run":
        return await _of_run(session, principal, id_, anonymous)
    if kind == "paper":
        row = await rights.require(session, principal, id_)
        if not rights.may_change(principal, row.Paper):
            raise _not_yours("paper")
        newest = await files.newest_report(session, principal, id_)
        if not anonymous:
            return Content(newest.title, newest.id, newest.context)
        context, texts = await blind.content(session, row.Paper, row.project, newest.context)
        return Content(newest.title, None, context, texts)
    report = await reports.read(session, principal, id_)
    stored = await report_rows.get(session, id_)
    if not principal.has("admin") and (stored is None or stored.created_by != principal.user_id):
        raise _not_yours("report")
    if not anonymous:
        return Content(report.title, report.id, report.context)
    return await _blind_report(session, principal, report, stored)


def _not_yours(kind: str) -> NotYoursToShareError:
    return NotYoursToShareError(
        f"Only the user who created this {kind} or an admin may share it with people outside."
    )


async def _of_run(
    session: Session, principal: Principal, run_id: uuid.UUID, anonymous: bool
) -> Content:
    await access.require_run(session, principal, run_id)
    row = await executions.get_run(session, run_id)
    if not principal.has("admin") and (row is None or row.created_by != principal.user_id):
        raise _not_yours("run")
    tag = await get_price_tag(session, run_id)
    name = str(tag.content["name"])
    document = tag.content | {"cause": tag.cause, "newest_version": tag.version}
    title = RUN_TITLE if anonymous else name
    context = await asyncio.to_thread(_context, title, "site", {run_id: document}, anonymous)
    return Content(name, None, context)


def _context(
    title: str, profile: Any, documents: Mapping[uuid.UUID, Mapping[str, Any]], anonymous: bool
) -> dict[str, Any]:
    names = Pseudonyms()
    shown = [
        blind_price_tag(document, names) if anonymous else document
        for document in documents.values()
    ]
    return build_context(title, profile, shown, generated_at=datetime.now(UTC))


async def _blind_report(
    session: Session, principal: Principal, report: ReportRead, stored: Any
) -> Content:
    """The variant of a report: of a paper's, the paper's; of any other, without lineage."""
    if stored.paper_id is not None:
        paper = await papers.by_id(session, stored.paper_id)
        context, texts = await blind.content(session, paper.Paper, paper.project, report.context)
        return Content(report.title, None, context, texts)
    versions = {uuid.UUID(run["run_id"]): int(run["version"]) for run in report.context["runs"]}
    documents = await report_rows.price_tags_of(session, versions)
    in_order = {run_id: documents[run_id] for run_id in versions}
    if report.context.get("table") == "glue":
        context = await _blind_glue(session, principal, report, list(in_order.values()))
    else:
        context = await asyncio.to_thread(_context, REPORT_TITLE, report.profile, in_order, True)
    return Content(report.title, None, context)


async def _blind_glue(
    session: Session,
    principal: Principal,
    report: ReportRead,
    documents: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The variant of a report on GLUE, with its figures.

    Raises:
        NoBlindVariantError: If the runs that its models start from have other figures by now.
    """
    recipes, earlier = await reports.glue_sources(session, principal, documents)
    context = await asyncio.to_thread(
        glue_context,
        REPORT_TITLE,
        cast(Profile, report.profile),
        documents,
        recipes,
        generated_at=datetime.now(UTC),
        earlier=earlier,
        names=Pseudonyms(),
    )
    if _numbers(context) != _numbers(report.context):
        raise NoBlindVariantError(
            "The runs that the models of this report start from have other price tags by now, or "
            "are hidden from you. Create the report again, then share it."
        )
    return context


def _numbers(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The figures of the lines of a report."""
    return [
        {name: figure for name, figure in line.items() if not isinstance(figure, str)}
        for line in context["lines"]
    ]


async def shown_report(session: Session, principal: Principal, share: Share) -> ReportRead:
    """The report that a link shows, as far as the user who made the link may still see it.

    Args:
        session: Database session, only read.
        principal: The user who made the link, with their present rights.
        share: The link, with its content.

    Raises:
        NotFoundError: If that user may no longer see the object.
    """
    if share.paper_id is not None:
        await rights.require(session, principal, share.paper_id)
    if share.run_id is not None:
        await access.require_run(session, principal, share.run_id)
    if share.report_id is not None:
        report = await reports.read(session, principal, share.report_id)
        if share.context is None:
            return report
    context = share.context or {}
    return ReportRead(
        id=share.id,
        title=context["title"],
        profile=context["profile"],
        created_at=datetime.fromisoformat(context["generated_at"]),
        content_sha256=share.content_sha256,
        context=context,
        formats={},
    )
