"""Papers: which runs are in them, and with which price tags."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Session
from app.repositories.papers import papers
from app.repositories.runs import runs
from app.repositories.runs.selection import RunFilter, resolve
from app.schemas.papers import PaperList, PaperRead, PaperRule, PaperRunRead, PaperSummary
from app.schemas.published import PublishedRead
from app.schemas.reports import MAX_RUNS, ReportSummary, RunConditions
from app.services import cursors
from app.services.papers.rights import is_open, may_change, own, require, require_collecting, wrong
from app.services.people.names import require_filters
from app.services.principals import Principal
from models import Paper
from pricetag.tag.paper import purpose_of


@dataclass(frozen=True)
class Collected:
    """A run of a paper, and the price tag that counts.

    Attributes:
        facts: Name, project, experiment, kind, status, tags, recipe and quote of the run.
        origin: Why it is in the paper: `added`, `rule` or `frozen`.
        collected_by: What brought it into the paper, also where that is frozen: `added` or `rule`;
            None for a paper that was frozen before this was recorded.
        purpose: What it was for; None if nobody stated it.
        version: Version of the price tag; None without any.
        sha256: Hash of the price tag; None without any.
    """

    facts: Any
    origin: str
    purpose: str | None
    version: int | None
    sha256: str | None
    collected_by: str | None = None


async def read(session: Session, principal: Principal, paper_id: uuid.UUID) -> PaperRead:
    """A paper with its runs and reports.

    Raises:
        PaperNotFoundError: If it does not exist, or has hidden runs.
    """
    row = await require(session, principal, paper_id)
    paper = row.Paper
    paper_runs = await collected(session, principal, paper, row.project)
    reports = await papers.reports_of(session, paper_id)
    return PaperRead(
        **_summary(paper, row.project).model_dump(),
        rule=_rule(paper),
        is_own=may_change(principal, paper),
        runs=[_run(each) for each in paper_runs],
        published=[PublishedRead.model_validate(_row(each)) for each in paper.published or ()],
        reports=[ReportSummary.model_validate(report) for report in reports],
    )


async def read_own(session: Session, principal: Principal, paper_id: uuid.UUID) -> PaperRead:
    """A paper that the principal may freeze.

    Raises:
        PaperNotFoundError: If it does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen already.
    """
    row = await own(session, principal, paper_id)
    require_collecting(row.Paper)
    return await read(session, principal, paper_id)


async def list_page(
    session: Session,
    principal: Principal,
    *,
    project: str | None,
    cursor: str | None,
    limit: int,
) -> PaperList:
    """A page of the papers that the principal may see, newest first.

    Raises:
        CursorError: If the cursor is not of this list.
        ProjectNotFoundError: If the project does not exist, or is hidden.
    """
    after: tuple[str, uuid.UUID] | None = None
    if cursor is not None:
        at, paper_id = map(str, cursors.decode(cursor, str, str))
        cursors.check_time(at)
        after = (at, cursors.parse_id(paper_id))
    rows = await papers.page(session, principal.viewer, project, after, limit + 1)
    if not rows and project is not None:
        await require_filters(session, principal, project=project)
    shown, following = cursors.page(
        rows, limit, lambda row: (row.Paper.created_at.isoformat(), str(row.Paper.id))
    )
    return PaperList(
        items=[_summary(row.Paper, row.project) for row in shown], next_cursor=following
    )


async def collected(
    session: Session, principal: Principal, paper: Paper, project: str
) -> list[Collected]:
    """The runs of a paper, oldest first, each with the price tag that counts.

    Raises:
        PaperRunsError: If the rule matches too many runs.
    """
    stored = {each.run_id: each for each in await papers.runs_of(session, paper.id)}
    origins: dict[uuid.UUID, str] = dict.fromkeys(stored, "added" if is_open(paper) else "frozen")
    if is_open(paper) and paper.rule is not None:
        for run_id in await _of_rule(session, principal, paper, project):
            origins.setdefault(run_id, "rule")
    if len(origins) > MAX_RUNS:
        raise wrong("rule", f"the paper has more than {MAX_RUNS} runs; narrow the rule")
    newest = await papers.newest_tags(session, list(origins)) if is_open(paper) else {}
    paper_runs = []
    for facts in await papers.facts(session, list(origins)):
        run = stored.get(facts.id)
        if not is_open(paper) and run is not None:
            purpose, version, sha256 = run.purpose, run.version, run.content_sha256
            collected_by = run.origin
        else:
            purpose = purpose_of(
                None if run is None else run.purpose,
                facts.tags,
                is_trial=facts.study_id is not None,
            )
            version, sha256 = newest.get(facts.id, (None, None))
            collected_by = origins[facts.id]
        origin = origins[facts.id]
        paper_runs.append(Collected(facts, origin, purpose, version, sha256, collected_by))
    return paper_runs


async def _of_rule(
    session: Session, principal: Principal, paper: Paper, project: str
) -> Sequence[uuid.UUID]:
    rule = RunConditions.model_validate(paper.rule)
    filters = RunFilter(
        project=project,
        experiment=rule.experiment,
        tags=rule.tags,
        statuses=rule.status,
        kind=rule.kind,
        created_after=rule.created_after,
        created_before=rule.created_before,
    )
    selection = await resolve(session, principal.viewer, filters)
    if selection.is_empty:
        return []
    return await runs.oldest_ids(session, selection, MAX_RUNS + 1)


def _rule(paper: Paper) -> PaperRule | None:
    if paper.rule is None:
        return None
    return PaperRule.model_validate(RunConditions.model_validate(paper.rule).model_dump())


def _summary(paper: Paper, project: str) -> PaperSummary:
    return PaperSummary(
        id=paper.id,
        project=project,
        title=paper.title,
        authors=paper.authors,
        created_at=paper.created_at,
        frozen_at=paper.frozen_at,
        selection_sha256=paper.selection_sha256,
    )


def _row(published: Mapping[str, Any]) -> dict[str, Any]:
    """A published row; texts that were not entered are null."""
    return {name: None if value == "" else value for name, value in published.items()}


def _run(each: Collected) -> PaperRunRead:
    return PaperRunRead.model_validate(
        {
            "run_id": each.facts.id,
            "name": each.facts.name,
            "project": each.facts.project,
            "experiment": each.facts.experiment,
            "status": each.facts.status,
            "purpose": each.purpose,
            "origin": each.origin,
            "version": each.version,
            "price_tag_sha256": each.sha256,
            "run_origin": each.facts.run_origin,
            "measured_by": each.facts.measured_by,
        }
    )
