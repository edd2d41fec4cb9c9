"""Posting a run: checked, quoted, admitted by its budgets and queued, or found by its key."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from app.db import Session
from app.queue import entries
from app.repositories.attempts import executions
from app.repositories.attempts.executions import Event
from app.repositories.people import projects
from app.repositories.runs import runs
from app.schemas.common import FieldProblem
from app.schemas.runs import (
    RunAccepted,
)
from app.services import access, idempotency
from app.services.attempts import lineage
from app.services.budgets import admission as budgets
from app.services.carbon import green_start
from app.services.errors import InvalidFieldsError
from app.services.principals import Principal
from app.services.quoting import estimation as quoting
from app.services.runs.responses import accepted, row_of
from app.settings import get_settings
from models import IdempotencyKey, Run
from pricetag.recipes import RecipeError, RunSpec, derive_kind, parse_run_spec

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)


class InvalidRunError(InvalidFieldsError):
    """The description of the run is invalid; the error lists every invalid field."""

    code = "invalid-recipe"


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
    if isinstance(spec.not_before, datetime) and not EARLIEST <= spec.not_before <= LATEST:
        message = f"must be between the years {EARLIEST.year} and {LATEST.year}"
        raise InvalidRunError([FieldProblem(field="not_before", message=message)])
    return spec


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
    principal.require("member", "submit runs")
    spec = parse(body)
    project_id = await access.require_project_to_post(session, principal, spec.project)
    if key is None:
        run, warnings = await _insert(session, principal, spec, project_id)
        return await accepted(session, run, spec.project, spec.experiment, warnings)
    digest = idempotency.body_sha256(body)
    stored_key = await runs.find_key(session, principal.user_id, key)
    if stored_key is None:
        savepoint = await session.begin_nested()
        try:
            run, warnings = await _insert(session, principal, spec, project_id)
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
    same = idempotency.same_body(stored_key, digest, "run")
    row = await row_of(session, same.run_id)
    return await accepted(session, row.run, row.project, row.experiment)


async def _insert(
    session: Session, principal: Principal, spec: RunSpec, project_id: uuid.UUID | None
) -> tuple[Run, list[str]]:
    upstream = await lineage.resolve(session, principal, spec.recipe)
    draft = await quoting.quote_for(session, spec, spec.project)
    duration_s = draft.quantities["duration_s"].value
    green = await green_start.of_spec(session, get_settings(), spec, duration_s)
    if project_id is None:
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
        power_limit_w=spec.resources.power_limit_w,
        pool=spec.resources.pool,
        priority=spec.priority,
        not_before=green_start.earliest(spec, green),
        max_attempts=spec.max_attempts,
        status="queued",
        created_by=principal.user_id,
        token_id=principal.token_id,
    )
    await runs.add(session, run)
    await lineage.keep(session, run.id, upstream)
    if green is not None:
        await green_start.keep(session, run.id, green)
    warnings = await budgets.admit(session, run, draft)
    await quoting.store(session, run, draft)
    await executions.add_events(
        session, run.id, [Event("status", run.created_at, {"status": "queued"})]
    )
    await entries.enqueue_run(session, run, not_before=run.not_before)
    return run, warnings
