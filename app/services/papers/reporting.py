"""Reports on papers, and freezing, which makes the first report of the frozen runs."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.reports.paper_context import About, paper_context
from app.repositories.budgets import budgets
from app.repositories.price_tags import reports as report_rows
from app.repositories.studies import studies
from app.schemas.papers import PaperRead, PaperReportCreate
from app.schemas.reports import ReportRead
from app.services import reports
from app.services.billing.documents import PriceTagUnreadableError, tag_view
from app.services.papers import changing, collecting, rights
from app.services.papers.changing import EmptyPaperError
from app.services.papers.collecting import Collected
from app.services.principals import Principal
from app.services.studies import ensembles
from models import Budget, Paper
from pricetag.studies.parse import compression_plans
from pricetag.studies.plan import Plan
from pricetag.tag.evaluated import ScoredRun
from pricetag.tag.figure import Figure, figure_of
from pricetag.tag.paper import PaperRun
from pricetag.tag.trials import Place

MOST_BUDGETS = 50
UNITS = {"facility_energy_kwh": "kWh", "co2e_kg": "kg"}
NO_TAG = "it has no price tag: no attempt of it has ended"
NO_TAG_THEN = "it had no price tag when the paper was frozen"


async def freeze(session: Session, principal: Principal, paper_id: uuid.UUID) -> PaperRead:
    """Fixes the runs of a paper and their price tags, and reports on them.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen already.
        EmptyPaperError: If no run has a price tag.
        OpenRunsError: If a run is queued or running.
    """
    await changing.fix(session, principal, paper_id)
    await report(session, principal, paper_id, PaperReportCreate())
    return await collecting.read(session, principal, paper_id)


async def report(
    session: Session, principal: Principal, paper_id: uuid.UUID, request: PaperReportCreate
) -> ReportRead:
    """Creates and stores a report on all runs of a paper.

    Raises:
        RoleRequiredError: If the principal may only read.
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        EmptyPaperError: If no run has a price tag that can be read.
    """
    principal.require("member", "create reports")
    row = await rights.require(session, principal, paper_id)
    paper, project = row.Paper, row.project
    collected = await collecting.collected(session, principal, paper, project)
    versions = {each.facts.id: each.version for each in collected if each.version is not None}
    documents = await report_rows.price_tags_of(session, versions)
    lines = await _budgets(session, principal, paper)
    of_studies: dict[uuid.UUID, set[uuid.UUID]] = {}
    for each in collected:
        if each.facts.study_id is not None:
            of_studies.setdefault(each.facts.study_id, set()).add(each.facts.id)
    averaged = await ensembles.of_runs(session, of_studies, documents)
    plans = await plans_of(session, of_studies)
    reason = NO_TAG if paper.frozen_at is None else NO_TAG_THEN
    readable = await asyncio.to_thread(readable_runs, collected, documents, reason, plans)
    context = await asyncio.to_thread(
        _context, paper, project, collected, readable, lines, averaged, request
    )
    return await reports.store(
        session, principal, paper.title, context, [each.facts.id for each in collected], paper=paper
    )


async def plans_of(session: Session, study_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Plan]:
    """The plans of those studies whose trials compress the models of others."""
    described = await studies.described(session, study_ids) if study_ids else []
    return compression_plans((study.id, study.spec) for study in described)


def _context(
    paper: Paper,
    project: str,
    collected: Sequence[Collected],
    readable: tuple[Sequence[PaperRun], Sequence[Mapping[str, str]]],
    budget_lines: Sequence[Mapping[str, Any]],
    averaged: Sequence[Mapping[str, Any]],
    request: PaperReportCreate,
) -> dict[str, Any]:
    runs, not_counted = readable
    if not runs and not paper.published:
        raise EmptyPaperError(
            "No run of the paper has a price tag that can be read, and it has no published rows."
        )
    about = About(
        paper_id=str(paper.id),
        title=paper.title,
        authors=paper.authors,
        project=project,
        rule=paper.rule,
        frozen_at=None if paper.frozen_at is None else paper.frozen_at.isoformat(),
        selection_sha256=paper.selection_sha256,
        not_counted=not_counted,
        budgets=budget_lines,
        origins=dict(Counter(each.collected_by or "unknown" for each in collected)),
        published=paper.published or (),
        ensembles=averaged,
    )
    return paper_context(
        about,
        request.profile,
        runs,
        generated_at=datetime.now(UTC),
        with_equivalents=request.equivalents,
    )


def readable_runs(
    collected: Sequence[Collected],
    documents: Mapping[uuid.UUID, Mapping[str, Any]],
    no_tag: str,
    plans: Mapping[uuid.UUID, Plan],
) -> tuple[list[PaperRun], list[dict[str, str]]]:
    """The runs whose price tag can be read, and the others with the reason.

    Args:
        collected: The runs of a paper.
        documents: Their price tags.
        no_tag: Reason of a run without one.
        plans: Plans of studies whose trials compress the models of others.
    """
    runs: list[PaperRun] = []
    not_counted: list[dict[str, str]] = []
    for each in collected:
        document, reason = documents.get(each.facts.id), no_tag
        if document is not None:
            try:
                runs.append(_run(each, document, plans))
                continue
            except PriceTagUnreadableError as error:
                reason = error.message
        run_id = str(each.facts.id)
        not_counted.append({"run_id": run_id, "name": each.facts.name, "reason": reason})
    return runs, not_counted


def _run(each: Collected, document: Mapping[str, Any], plans: Mapping[uuid.UUID, Plan]) -> PaperRun:
    facts = each.facts
    plan = plans.get(facts.study_id)
    parent = None if plan is None else plan.parent_of(facts.trial)
    quantities = (facts.quote or {}).get("quantities") or {}
    planned = {name: figure_of(figure) for name, figure in quantities.items()}
    return PaperRun(
        scored=ScoredRun(tag_view(document), facts.recipe),
        project=facts.project,
        experiment=facts.experiment,
        method=facts.kind,
        status=facts.status,
        purpose=each.purpose,
        sha256=each.sha256 or "",
        planned={name: figure for name, figure in planned.items() if _is_known(figure)},
        place=None
        if facts.study_id is None
        else Place(str(facts.study_id), facts.trial, facts.rung, parent),
    )


def _is_known(figure: Figure) -> bool:
    return figure.value is not None


async def _budgets(session: Session, principal: Principal, paper: Paper) -> list[dict[str, Any]]:
    """The budgets of the paper's project, closed ones too."""
    rows: Sequence[Budget] = await budgets.page(
        session,
        principal.viewer,
        name=None,
        closed=True,
        after=None,
        limit=MOST_BUDGETS,
        of=("project", paper.project_id),
    )
    return [
        {
            "name": budget.name,
            "metric": budget.metric,
            "amount": float(budget.amount),
            "unit": UNITS.get(budget.metric) or budget.currency,
            "period": budget.period,
        }
        for budget in rows
    ]
