"""Papers: what is in them, who may change them, and freezing."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.repositories.papers import papers
from app.repositories.runs import runs
from app.repositories.runs.selection import RunFilter, resolve
from app.schemas.common import FieldProblem
from app.schemas.papers import (
    PaperChange,
    PaperCreate,
    PaperList,
    PaperRead,
    PaperRule,
    PaperRunRead,
    PaperRunsAdd,
    PaperSummary,
)
from app.schemas.reports import MAX_RUNS, ReportSummary, RunConditions
from app.services import access, cursors
from app.services.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    InvalidFieldsError,
    NotFoundError,
    RunNotFoundError,
)
from app.services.people.names import require_filters
from app.services.principals import Principal
from models import Paper
from pricetag.tag.paper import purpose_of, selection_sha256

__all__ = [
    "Collected",
    "add_runs",
    "change",
    "collected",
    "create",
    "fix",
    "list_page",
    "read",
    "read_own",
    "remove_run",
    "require",
]


class PaperNotFoundError(NotFoundError):
    """The paper does not exist, or the caller may not see all of its runs."""

    code = "paper-not-found"


class NotYourPaperError(ForbiddenError):
    """Only who created a paper or an administrator may change it."""

    code = "not-your-paper"


class PaperFrozenError(ConflictError):
    """The paper is frozen: its runs and their price tags never change again."""

    code = "paper-frozen"


class PaperRunsError(InvalidFieldsError):
    """Runs cannot be added; the error lists every reason."""

    code = "invalid-paper-runs"


class EmptyPaperError(ConflictError):
    """The paper has no run with a price tag."""

    code = "empty-paper"


class OpenRunsError(ConflictError):
    """Runs of the paper are queued or running: freezing would omit what they use."""

    code = "open-runs"


MOST_NAMED = 5
"""Maximum number of runs that an error names."""


@dataclass(frozen=True)
class Collected:
    """A run of a paper, and the price tag that counts.

    Attributes:
        facts: Name, project, experiment, kind, status, tags, recipe and quote of the run.
        origin: Why it is in the paper: `added`, `rule` or `frozen`.
        purpose: What it was for; None if nobody stated it.
        version: Version of the price tag; None without any.
        sha256: Hash of the price tag; None without any.
    """

    facts: Any
    origin: str
    purpose: str | None
    version: int | None
    sha256: str | None


async def create(session: Session, principal: Principal, request: PaperCreate) -> PaperRead:
    """Creates a paper.

    Raises:
        RoleRequiredError: If the principal may only read.
        ProjectNotFoundError: If the project does not exist, or is hidden.
        PaperRunsError: If a run does not exist, or is hidden.
        NotFoundError: If the experiment of the rule does not exist.
    """
    principal.require("member", "create papers")
    project = await access.require_project(session, principal, request.project)
    await _require_runs(session, principal, request.runs)
    await _require_rule(session, principal, project.name, request.rule)
    paper = Paper(
        id=uuid.uuid4(),
        project_id=project.id,
        created_by=principal.user_id,
        title=request.title,
        authors=request.authors,
        rule=_stored(request.rule),
    )
    await papers.add(session, paper)
    if request.runs:
        await papers.put_runs(session, paper.id, list(dict.fromkeys(request.runs)), None)
    return await read(session, principal, paper.id)


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
        is_own=_may_change(principal, paper),
        runs=[_run(each) for each in paper_runs],
        reports=[ReportSummary.model_validate(report) for report in reports],
    )


async def read_own(session: Session, principal: Principal, paper_id: uuid.UUID) -> PaperRead:
    """A paper that the principal may freeze.

    Raises:
        PaperNotFoundError: If it does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen already.
    """
    row = await _own(session, principal, paper_id)
    _require_collecting(row.Paper)
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


async def change(
    session: Session, principal: Principal, paper_id: uuid.UUID, request: PaperChange
) -> PaperRead:
    """Changes title, authors or rule.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If the rule of a frozen paper is to be changed.
        NotFoundError: If the experiment of the rule does not exist.
    """
    row = await _own(session, principal, paper_id)
    values = request.model_dump(include=request.model_fields_set - {"rule"})
    if values.get("title", "") is None:
        raise InvalidError("title: cannot be null", field="title")
    if "rule" in request.model_fields_set:
        _require_collecting(row.Paper)
        await _require_rule(session, principal, row.project, request.rule)
        values["rule"] = _stored(request.rule)
    for name, value in values.items():
        setattr(row.Paper, name, value)
    await session.flush()
    return await read(session, principal, paper_id)


async def add_runs(
    session: Session, principal: Principal, paper_id: uuid.UUID, request: PaperRunsAdd
) -> PaperRead:
    """Adds runs to a paper, or states their purpose.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen.
        PaperRunsError: If a run does not exist, or there are too many.
    """
    row = await _own(session, principal, paper_id)
    _require_collecting(row.Paper)
    await _require_runs(session, principal, request.runs)
    present = {each.run_id for each in await papers.runs_of(session, paper_id)}
    if len(present | set(request.runs)) > MAX_RUNS:
        raise _wrong("runs", f"a paper has at most {MAX_RUNS} runs")
    run_ids = list(dict.fromkeys(request.runs))
    await papers.put_runs(session, paper_id, run_ids, request.purpose)
    return await read(session, principal, paper_id)


async def remove_run(
    session: Session, principal: Principal, paper_id: uuid.UUID, run_id: uuid.UUID
) -> None:
    """Removes a run that was added.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen.
        RunNotFoundError: If the run was not added to the paper.
    """
    row = await _own(session, principal, paper_id)
    _require_collecting(row.Paper)
    if not await papers.remove_run(session, paper_id, run_id):
        raise RunNotFoundError(
            f"Run {run_id} was not added to this paper. A run that the rule collects leaves the "
            "paper when the rule is changed.",
            field="run_id",
        )


async def fix(session: Session, principal: Principal, paper_id: uuid.UUID) -> None:
    """Fixes the runs of a paper, and the versions and hashes of their price tags.

    Runs without a price tag stay in the paper: its reports list them as not counted.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen already.
        EmptyPaperError: If no run has a price tag.
        OpenRunsError: If a run is queued or running: its price tag would never count.
    """
    row = await _own(session, principal, paper_id)
    paper = row.Paper
    _require_collecting(paper)
    paper_runs = await collected(session, principal, paper, row.project)
    still_open = [each for each in paper_runs if each.facts.status in ("queued", "running")]
    if still_open:
        names = ", ".join(each.facts.name for each in still_open[:MOST_NAMED])
        raise OpenRunsError(
            f"{len(still_open)} of the paper's runs are queued or running, and would never count: "
            f"{names}{', ...' if len(still_open) > MOST_NAMED else ''}. Wait for them, cancel "
            "them, or take them out of the paper (a rule may end with created_before)."
        )
    priced = [each for each in paper_runs if each.version is not None and each.sha256 is not None]
    if not priced:
        raise EmptyPaperError("No run of the paper has a price tag yet. Add runs that have ended.")
    await papers.fix_runs(
        session,
        paper_id,
        [
            {
                "run_id": each.facts.id,
                "purpose": each.purpose,
                "version": each.version,
                "content_sha256": each.sha256,
            }
            for each in paper_runs
        ],
    )
    paper.frozen_at = datetime.now(UTC)
    paper.selection_sha256 = selection_sha256(
        [(str(each.facts.id), each.version or 0, each.sha256 or "") for each in priced]
    )
    await session.flush()


async def require(session: Session, principal: Principal, paper_id: uuid.UUID) -> Any:
    """The paper and the name of its project.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
    """
    row = await papers.get(session, principal.viewer, paper_id)
    if row is None:
        raise PaperNotFoundError(
            f"Paper {paper_id} not found: it does not exist, or some of its runs are hidden from "
            "you.",
            field="paper_id",
        )
    return row


async def collected(
    session: Session, principal: Principal, paper: Paper, project: str
) -> list[Collected]:
    """The runs of a paper, oldest first, each with the price tag that counts.

    Raises:
        PaperRunsError: If the rule matches too many runs.
    """
    stored = {each.run_id: each for each in await papers.runs_of(session, paper.id)}
    origins: dict[uuid.UUID, str] = dict.fromkeys(stored, "added" if _is_open(paper) else "frozen")
    if _is_open(paper) and paper.rule is not None:
        for run_id in await _of_rule(session, principal, paper, project):
            origins.setdefault(run_id, "rule")
    if len(origins) > MAX_RUNS:
        raise _wrong("rule", f"the paper has more than {MAX_RUNS} runs; narrow the rule")
    newest = await papers.newest_tags(session, list(origins)) if _is_open(paper) else {}
    paper_runs = []
    for facts in await papers.facts(session, list(origins)):
        run = stored.get(facts.id)
        if not _is_open(paper) and run is not None:
            purpose, version, sha256 = run.purpose, run.version, run.content_sha256
        else:
            purpose = purpose_of(
                None if run is None else run.purpose, facts.tags, is_trial=facts.is_trial
            )
            version, sha256 = newest.get(facts.id, (None, None))
        paper_runs.append(Collected(facts, origins[facts.id], purpose, version, sha256))
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


async def _own(session: Session, principal: Principal, paper_id: uuid.UUID) -> Any:
    row = await require(session, principal, paper_id)
    if not _may_change(principal, row.Paper):
        raise NotYourPaperError("Only the user who created this paper or an admin may change it.")
    await papers.lock(session, paper_id)
    return row


def _may_change(principal: Principal, paper: Paper) -> bool:
    return principal.has("admin") or (
        principal.has("member") and paper.created_by == principal.user_id
    )


def _is_open(paper: Paper) -> bool:
    return paper.frozen_at is None


def _require_collecting(paper: Paper) -> None:
    if not _is_open(paper):
        raise PaperFrozenError(
            "The paper is frozen: its runs never change again. Create another paper."
        )


async def _require_runs(
    session: Session, principal: Principal, run_ids: Sequence[uuid.UUID]
) -> None:
    visible = await access.visible_runs(session, principal, run_ids) if run_ids else set()
    errors = [
        FieldProblem(
            field=f"runs.{index}",
            message=f"run {run_id} not found: it does not exist or is hidden from you",
        )
        for index, run_id in enumerate(run_ids)
        if run_id not in visible
    ]
    if errors:
        raise PaperRunsError(errors)


async def _require_rule(
    session: Session, principal: Principal, project: str, rule: RunConditions | None
) -> None:
    if rule is not None and rule.experiment is not None:
        await require_filters(session, principal, project=project, experiment=rule.experiment)


def _wrong(field: str, message: str) -> PaperRunsError:
    return PaperRunsError([FieldProblem(field=field, message=message)])


def _stored(rule: RunConditions | None) -> dict[str, Any] | None:
    return None if rule is None else rule.model_dump(mode="json", exclude_defaults=True)


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
        }
    )
