"""Papers: creating, changing and freezing them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.reports.text import clean_all
from app.repositories.papers import papers
from app.repositories.people import projects
from app.repositories.shares import shares
from app.schemas.common import FieldProblem
from app.schemas.papers import PaperChange, PaperCreate, PaperRead, PaperRunsAdd
from app.schemas.published import MOST_ROWS
from app.schemas.reports import MAX_RUNS, RunConditions
from app.services import access, idempotency
from app.services.errors import ConflictError, RunNotFoundError
from app.services.papers.collecting import collected, read
from app.services.papers.rights import (
    PaperFrozenError,
    PaperRunsError,
    own,
    require_collecting,
    wrong,
)
from app.services.people.names import require_filters
from app.services.principals import Principal
from models import Paper
from pricetag.catalog import NotInCatalog
from pricetag.tag.paper import selection_sha256
from pricetag.tag.published import catalog_rows, entered_row


class EmptyPaperError(ConflictError):
    """The paper has no run with a price tag."""

    code = "empty-paper"


class OpenRunsError(ConflictError):
    """Runs of the paper are queued or running: freezing would omit what they use."""

    code = "open-runs"


MOST_NAMED = 5
"""Maximum number of runs that an error names."""

ROWS = frozenset({"published", "entered"})
"""Fields of a request with rows of other publications."""


async def create(
    session: Session, principal: Principal, request: PaperCreate, key: str | None = None
) -> PaperRead:
    """Creates a paper.

    Args:
        session: Database session; the caller commits.
        principal: The caller.
        request: The paper.
        key: Idempotency key; the same key and description return the same paper.

    Raises:
        RoleRequiredError: If the principal may only read.
        ProjectNotFoundError: If the project does not exist, or is hidden. A paper of published
            rows alone creates it.
        NotAMemberError: If that project is a private one of others.
        PaperRunsError: If a run does not exist, or is hidden, or the catalog has no such row.
        NotFoundError: If the experiment of the rule does not exist.
        KeyReusedError: If the key was used for another description.
    """
    principal.require("member", "create papers")
    body = request.model_dump(mode="json")
    without_rows = {"published", "entered"} - {name for name, rows in body.items() if rows}
    digest = idempotency.body_sha256({n: v for n, v in body.items() if n not in without_rows})
    posted = await idempotency.earlier(
        session,
        principal,
        key,
        digest,
        "paper",
        lambda: papers.by_key(session, principal.user_id, key or ""),
    )
    if posted is not None:
        return await read(session, principal, posted.id)
    rows_of_catalog = _catalog_rows(request.published)
    if not request.runs and request.rule is None:
        # Of published rows alone, so that its project needs no run.
        new = await access.require_project_to_post(session, principal, request.project) is None
        if new:
            await projects.ensure_project(session, request.project, principal.user_id)
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
        published=[*rows_of_catalog, *_entered(request)] or None,
        idempotency_key=key,
        body_sha256=digest,
    )
    await papers.add(session, paper)
    if request.runs:
        await papers.put_runs(session, paper.id, list(dict.fromkeys(request.runs)), None)
    return await read(session, principal, paper.id)


async def change(
    session: Session, principal: Principal, paper_id: uuid.UUID, request: PaperChange
) -> PaperRead:
    """Changes title, authors or rule.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If the title or the rule of a frozen paper is to be changed. Its authors
            may be added later, for example after a blind review.
        NotFoundError: If the experiment of the rule does not exist.
    """
    row = await own(session, principal, paper_id)
    values = request.model_dump(include=request.model_fields_set - {"rule", *ROWS})
    if request.title is None:
        values.pop("title", None)
    if values.get("title", row.Paper.title) != row.Paper.title:
        require_collecting(row.Paper)
    if "rule" in request.model_fields_set:
        require_collecting(row.Paper)
        await _require_rule(session, principal, row.project, request.rule)
        values["rule"] = _stored(request.rule)
    if request.model_fields_set & ROWS:
        require_collecting(row.Paper)
        values["published"] = _changed_rows(row.Paper, request)
    for name, value in values.items():
        setattr(row.Paper, name, value)
    await session.flush()
    return await read(session, principal, paper_id)


async def delete(session: Session, principal: Principal, paper_id: uuid.UUID) -> None:
    """Deletes a paper that is not frozen, and withdraws its share links; its reports stay.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen.
    """
    row = await own(session, principal, paper_id)
    if row.Paper.frozen_at is not None:
        raise PaperFrozenError(
            "A frozen paper cannot be deleted: its hash may have been published."
        )
    await shares.withdraw_of_paper(session, paper_id)
    await papers.delete_paper(session, paper_id)


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
    row = await own(session, principal, paper_id)
    require_collecting(row.Paper)
    await _require_runs(session, principal, request.runs)
    present = {each.run_id for each in await papers.runs_of(session, paper_id)}
    if len(present | set(request.runs)) > MAX_RUNS:
        raise wrong("runs", f"a paper has at most {MAX_RUNS} runs")
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
    row = await own(session, principal, paper_id)
    require_collecting(row.Paper)
    if not await papers.remove_run(session, paper_id, run_id):
        raise RunNotFoundError(
            f"Run {run_id} was not added to this paper. A run that the rule collects leaves the "
            "paper when the rule is changed, e.g. with `pricetag paper edit PAPER "
            "--created-before TIME`.",
            field="run_id",
        )


async def fix(session: Session, principal: Principal, paper_id: uuid.UUID) -> None:
    """Fixes the runs of a paper, and the versions and hashes of their price tags.

    Runs without a price tag stay in the paper: its reports list them as not counted.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
        PaperFrozenError: If it is frozen already.
        EmptyPaperError: If no run has a price tag, and there are no published rows.
        OpenRunsError: If a run is queued or running: its price tag would never count.
    """
    row = await own(session, principal, paper_id)
    paper = row.Paper
    require_collecting(paper)
    paper_runs = await collected(session, principal, paper, row.project)
    still_open = [each for each in paper_runs if each.facts.status in ("queued", "running")]
    if still_open:
        names = ", ".join(each.facts.name for each in still_open[:MOST_NAMED])
        raise OpenRunsError(
            f"{len(still_open)} of the paper's runs are queued or running, and would never count: "
            f"{names}{', ...' if len(still_open) > MOST_NAMED else ''}. Wait for them, cancel "
            "them, or take them out of the paper: with `pricetag paper remove` if they were added; "
            "if its rule collects them, with `pricetag paper edit PAPER --status succeeded "
            "--status failed --status canceled`, or --created-before TIME."
        )
    priced = [each for each in paper_runs if each.version is not None and each.sha256 is not None]
    if not priced and not paper.published:
        raise EmptyPaperError(
            "No run of the paper has a price tag yet, and it has no published rows. Add runs that "
            "have ended."
        )
    await papers.fix_runs(
        session,
        paper_id,
        [
            {
                "run_id": each.facts.id,
                "purpose": each.purpose,
                "origin": each.collected_by,
                "version": each.version,
                "content_sha256": each.sha256,
            }
            for each in paper_runs
        ],
    )
    paper.frozen_at = datetime.now(UTC)
    paper.selection_sha256 = selection_sha256(
        [(str(each.facts.id), each.version or 0, each.sha256 or "") for each in priced],
        paper.published or (),
    )
    await session.flush()


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


def _stored(rule: RunConditions | None) -> dict[str, Any] | None:
    return None if rule is None else rule.model_dump(mode="json", exclude_defaults=True)


def _catalog_rows(names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of the catalog that are named, each once.

    Raises:
        PaperRunsError: If the catalog has none of a name, or there are too many.
    """
    rows: dict[str, dict[str, Any]] = {}
    errors = []
    for index, name in enumerate(names):
        try:
            rows |= {row["id"]: row for row in catalog_rows(name)}
        except NotInCatalog as error:
            errors.append(FieldProblem(field=f"published.{index}", message=str(error)))
    if errors:
        raise PaperRunsError(errors)
    if len(rows) > MOST_ROWS:
        raise wrong("published", f"a paper has at most {MOST_ROWS} rows of the catalog")
    return list(rows.values())


def _entered(request: PaperCreate | PaperChange) -> list[dict[str, Any]]:
    """The rows that were entered by hand, as a report prints their texts."""
    return [entered_row(clean_all(entry.model_dump(mode="json"))) for entry in request.entered]


def _changed_rows(paper: Paper, request: PaperChange) -> list[dict[str, Any]] | None:
    """The published rows after a change of those of the catalog, of the entered ones, or both."""
    kept = paper.published or []
    rows_of_catalog = [row for row in kept if row["origin"] == "catalog"]
    entered = [row for row in kept if row["origin"] == "entered"]
    if "published" in request.model_fields_set:
        rows_of_catalog = _catalog_rows(request.published)
    if "entered" in request.model_fields_set:
        entered = _entered(request)
    return [*rows_of_catalog, *entered] or None
