"""Runs: posting, listing, reading and canceling."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from app import queue
from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.attempts import executions, measured
from app.repositories.attempts.executions import Event
from app.repositories.people import projects
from app.repositories.runs import pages as run_pages
from app.repositories.runs import runs
from app.repositories.runs.runs import RunRow
from app.repositories.runs.selection import RunFilter, resolve
from app.schemas.common import FieldProblem
from app.schemas.runs import (
    AttemptRead,
    Headline,
    RejectedReason,
    RunAccepted,
    RunCount,
    RunPage,
    RunRead,
    RunResources,
    RunSort,
    RunSummary,
    StageRead,
)
from app.services import access, cursors, execution, lineage, waiting
from app.services.attempts.intake import dropped, rejected
from app.services.budgets import admission as budgets
from app.services.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    RunFinishedError,
    RunNotFoundError,
)
from app.services.principals import Principal
from app.services.quoting import estimation as quoting
from app.services.quoting import projection
from models import Attempt, IdempotencyKey, Run, Stage
from pricetag.recipes import RecipeError, RunSpec, derive_kind, parse_run_spec

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
MAX_REASONS = 20

MOST_COUNTED = 10_000
"""Maximum number of runs that a list counts."""


class NotYourRunError(ForbiddenError):
    """A member can change only runs that they posted."""

    code = "not-your-run"


class KeyReusedError(ConflictError):
    """The Idempotency-Key was used for another body."""

    code = "idempotency-key-reused"


class InvalidRunError(InvalidError):
    """The description of the run is invalid; the error lists every invalid field."""

    code = "invalid-recipe"

    def __init__(self, errors: list[FieldProblem]) -> None:
        first = errors[0]
        text = f"{first.field}: {first.message}" if first.field else first.message
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(text + more, field=first.field)
        self.errors = errors


def parse(body: object) -> RunSpec:
    """Validates the description of a run.

    Raises:
        InvalidRunError: If a field is invalid; lists every invalid field.
    """
    try:
        spec = parse_run_spec(body)
    except RecipeError as error:
        faults = [
            FieldProblem(field=fault.field or None, message=fault.message, hint=fault.hint)
            for fault in error.errors
        ]
        raise InvalidRunError(faults) from error
    if spec.not_before is not None and not EARLIEST <= spec.not_before <= LATEST:
        message = f"must be between the years {EARLIEST.year} and {LATEST.year}"
        raise InvalidRunError([FieldProblem(field="not_before", message=message)])
    return spec


def body_sha256(body: object) -> str:
    """Hash of the body, independent of format, spacing and order of keys."""
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


async def create(
    session: Session, principal: Principal, body: object, key: str | None
) -> RunAccepted:
    """Creates and queues a run, both in the caller's transaction.

    Args:
        session: Database session; the caller commits.
        principal: The caller.
        body: The description as plain data.
        key: Idempotency key; the same key and body return the same run.

    Raises:
        RoleRequiredError: If the token may only read.
        InvalidRunError: If the description is invalid.
        KeyReusedError: If the key was used for another body.
        NotAMemberError: If its project is a private one of others.
        InvalidUpstreamError: If the model of an earlier run cannot be used.
        BudgetExceededError: If the run would exceed a budget.
    """
    principal.require("member", "post runs")
    spec = parse(body)
    await access.require_project_to_post(session, principal, spec.project)
    if key is None:
        run, warnings = await _insert(session, principal, spec)
        return await accepted(session, run, spec.project, spec.experiment, warnings)
    digest = body_sha256(body)
    stored_key = await runs.find_key(session, principal.user_id, key)
    if stored_key is None:
        savepoint = await session.begin_nested()
        try:
            run, warnings = await _insert(session, principal, spec)
        except budgets.BudgetExceededError:
            await savepoint.rollback()
            # The same run, sent twice, may have used the rest of the budget.
            stored_key = await runs.find_key(session, principal.user_id, key)
            if stored_key is None:
                raise
        else:
            entry = IdempotencyKey(
                user_id=principal.user_id, key=key, body_sha256=digest, run_id=run.id
            )
            if await runs.claim_key(session, entry):
                await savepoint.commit()
                return await accepted(session, run, spec.project, spec.experiment, warnings)
            # A concurrent request with the same key came first: return its run.
            await savepoint.rollback()
            stored_key = await runs.find_key(session, principal.user_id, key)
    if stored_key is None or stored_key.body_sha256 != digest:
        raise KeyReusedError(
            "This Idempotency-Key was used for another body; use a new key for a new run.",
            field="Idempotency-Key",
        )
    row = await _row(session, stored_key.run_id)
    return await accepted(session, row.run, row.project, row.experiment)


async def _insert(session: Session, principal: Principal, spec: RunSpec) -> tuple[Run, list[str]]:
    upstream = await lineage.resolve(session, principal, spec.recipe)
    project_id = await projects.ensure_project(session, spec.project, principal.user_id)
    run = Run(
        id=uuid.uuid4(),
        project_id=project_id,
        experiment_id=await projects.ensure_experiment(session, project_id, spec.experiment),
        name=spec.name,
        tags=list(dict.fromkeys(spec.tags)),
        kind=derive_kind(spec.recipe),
        recipe=spec.recipe.model_dump(mode="json"),
        gpus=spec.resources.gpus,
        pool=spec.resources.pool,
        priority=spec.priority,
        not_before=spec.not_before,
        max_attempts=spec.max_attempts,
        status="queued",
        created_by=principal.user_id,
        token_id=principal.token_id,
    )
    await runs.add(session, run)
    await lineage.keep(session, run.id, upstream)
    draft = await quoting.quote_for(session, spec)
    warnings = await budgets.admit(session, run, draft)
    await quoting.store(session, run, draft)
    await executions.add_events(
        session, run.id, [Event("status", run.created_at, {"status": "queued"})]
    )
    await queue.enqueue_run(session, run, not_before=run.not_before)
    return run, warnings


async def accepted(
    session: Session, run: Run, project: str, experiment: str, warnings: Sequence[str] = ()
) -> RunAccepted:
    """The response to posting, canceling or resuming a run."""
    wait = await waiting.of_run(session, run)
    waits = [] if wait is None else [f"the run waits: {wait.message} ({wait.hint})"]
    return RunAccepted.model_validate(
        {
            "id": run.id,
            "status": run.status,
            "name": run.name,
            "project": project,
            "experiment": experiment,
            "kind": run.kind,
            "created_at": run.created_at,
            "cancel_requested_at": run.cancel_requested_at,
            "url": f"/v1/runs/{run.id}",
            "waiting": wait,
            "warnings": [*warnings, *waits],
        }
    )


async def _row(session: Session, run_id: uuid.UUID) -> RunRow:
    row = await runs.get_row(session, run_id)
    if row is None:
        raise not_found(run_id)
    return row


def not_found(run_id: uuid.UUID) -> RunNotFoundError:
    """The error for a run that does not exist."""
    return RunNotFoundError(
        f"Run {run_id} not found: it does not exist or is hidden from you.", field="run_id"
    )


async def read(session: Session, principal: Principal, run_id: uuid.UUID) -> RunRead:
    """A run with its recipe, attempts and stages.

    Raises:
        RunNotFoundError: If the run does not exist, or the principal may not see it.
    """
    await access.require_run(session, principal, run_id)
    row = await _row(session, run_id)
    stages: dict[uuid.UUID, list[Stage]] = defaultdict(list)
    for stage in await measured.stages_of_run(session, run_id):
        stages[stage.attempt_id].append(stage)
    attempts = await attempt_rows.of_run(session, run_id)
    reasons = await _reasons(session, attempts)
    return RunRead.model_validate(
        {
            **_summary(row),
            "recipe": row.run.recipe,
            "max_attempts": row.run.max_attempts,
            "waiting": await waiting.of_run(session, row.run),
            "created_by": row.run.created_by,
            "projection": await projection.of_run(session, row.run),
            "lineage": await lineage.of_run(session, principal, run_id),
            "attempts": [
                _attempt(attempt, stages[attempt.id], reasons[attempt.id]) for attempt in attempts
            ],
        }
    )


async def _reasons(
    session: Session, attempts: Sequence[Attempt]
) -> dict[uuid.UUID, list[RejectedReason]]:
    """Why reports were rejected, of the attempts that had any."""
    reasons: dict[uuid.UUID, list[RejectedReason]] = defaultdict(list)
    if any(rejected(attempt.intake) for attempt in attempts):
        for attempt_id, reason, count in await attempt_rows.rejected_reasons(
            session, attempts[0].run_id
        ):
            reasons[attempt_id].append(RejectedReason(reason=reason, count=count))
    return reasons


def _attempt(
    attempt: Attempt, stages: list[Stage], reasons: Sequence[RejectedReason]
) -> AttemptRead:
    count = rejected(attempt.intake)
    return AttemptRead.model_validate(
        {
            "number": attempt.number,
            "status": attempt.status,
            "reason": attempt.reason,
            "node": attempt.node_name,
            "devices": attempt.devices,
            "started_at": attempt.started_at,
            "ended_at": attempt.ended_at,
            "duration_s": attempt.duration_s,
            "left_out": dropped(attempt.intake),
            "rejected": {"count": count, "reasons": reasons[:MAX_REASONS]} if count else None,
            "stages": [StageRead.model_validate(stage) for stage in stages],
        }
    )


def _summary(row: RunRow) -> dict[str, object]:
    run = row.run
    return {
        "id": run.id,
        "project": row.project,
        "experiment": row.experiment,
        "name": run.name,
        "user": row.user,
        "tags": run.tags,
        "kind": run.kind,
        "resources": RunResources(gpus=run.gpus, pool=run.pool),
        "priority": run.priority,
        "not_before": run.not_before,
        "status": run.status,
        "status_reason": run.status_reason,
        "progress": run.progress,
        "cancel_requested_at": run.cancel_requested_at,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "price_tag": Headline.model_validate(row.headline) if row.headline else None,
    }


async def list_page(
    session: Session,
    principal: Principal,
    filters: RunFilter,
    *,
    sort: RunSort,
    cursor: str | None,
    limit: int,
    count: bool = False,
) -> RunPage:
    """A page of runs, which begins after the last run of the previous page.

    Args:
        session: Database session, only read.
        principal: Who asks.
        filters: Filters of the runs.
        sort: Their order.
        cursor: Where the previous page ended.
        limit: Maximum number of runs on the page.
        count: Whether to count the runs of all pages, up to `MOST_COUNTED`.

    Raises:
        CursorError: If the cursor does not belong to a list in this order.
    """
    after = _position(cursor, sort)
    selection = await resolve(session, principal.viewer, filters)
    rows = await runs.list_runs(session, selection, sort=sort, after=after, limit=limit + 1)
    shown, following = cursors.page(rows, limit, lambda row: _place(row.run, sort))
    items = [RunSummary.model_validate(_summary(row)) for row in shown]
    counted = await run_pages.count(session, selection, MOST_COUNTED) if count else None
    return RunPage(
        items=items,
        next_cursor=following,
        count=None if counted is None else RunCount.model_validate(counted),
    )


def _place(run: Run, sort: RunSort) -> tuple[str, str, str]:
    key = getattr(run, sort.removeprefix("-"))
    if isinstance(key, datetime):
        key = key.isoformat()
    return sort, "infinity" if key is None else str(key), str(run.id)


def _position(cursor: str | None, sort: RunSort) -> tuple[str, uuid.UUID] | None:
    if cursor is None:
        return None
    order, key, run_id = map(str, cursors.decode(cursor, str, str, str))
    if order != sort:
        raise cursors.invalid("cursor")
    if not sort.endswith("name"):
        cursors.check_time(key)
    return key, cursors.parse_id(run_id)


async def lock_own(session: Session, principal: Principal, run_id: uuid.UUID, to: str) -> Run:
    """The run, locked for a change by its author or an admin.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
    """
    principal.require("member", f"{to} runs")
    await access.require_run(session, principal, run_id)
    run = await executions.lock_run(session, run_id)
    if run is None:
        raise not_found(run_id)
    if run.created_by != principal.user_id and not principal.has("admin"):
        raise NotYourRunError(f"Only the run's author or an admin can {to} it.")
    return run


async def cancel(session: Session, principal: Principal, run_id: uuid.UUID) -> RunAccepted:
    """Cancels a queued run at once, and requests that a running one stops.

    Raises:
        RoleRequiredError: If the token may only read.
        RunNotFoundError: If there is no such run.
        NotYourRunError: If a member did not post it.
        RunFinishedError: If it has ended; states its status.
    """
    run = await lock_own(session, principal, run_id, "cancel")
    if run.status not in {"queued", "running"}:
        if run.status == "cancelled":
            raise RunFinishedError("The run is already canceled.")
        raise RunFinishedError(f"The run has already {run.status} and cannot be canceled.")
    await execution.request_cancel(session, run_id)
    row = await _row(session, run_id)
    return await accepted(session, row.run, row.project, row.experiment)
