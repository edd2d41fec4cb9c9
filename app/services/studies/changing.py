"""Creating and canceling studies."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from app.db import Session
from app.repositories.people import projects
from app.repositories.studies import studies
from app.schemas.common import FieldProblem
from app.schemas.studies import StudyAccepted
from app.services import access, idempotency
from app.services.attempts import execution
from app.services.errors import (
    ConflictError,
    ForbiddenError,
    InvalidFieldsError,
    NotFoundError,
    RunFinishedError,
)
from app.services.principals import Principal
from app.services.studies import record, tpe
from app.services.studies.advancing import advance
from models import Study
from pricetag.recipes import parse_run_spec
from pricetag.studies.parse import StudyError, parse_study
from pricetag.studies.spec import StudySpec
from pricetag.studies.strategies import NEEDS_OPTUNA, Tpe


class StudyNotFoundError(NotFoundError):
    """The study does not exist, or the caller may not see it."""

    code = "study-not-found"


class NotYourStudyError(ForbiddenError):
    """A member can change only studies that they posted."""

    code = "not-your-study"


class StudyFinishedError(ConflictError):
    """The study has ended and can no longer be changed."""

    code = "study-finished"


class InvalidStudyError(InvalidFieldsError):
    """The description of the study is invalid; the error lists every invalid field."""

    code = "invalid-study"


def parse(body: object) -> StudySpec:
    """Validates the description of a study.

    Raises:
        InvalidStudyError: If a field is invalid; lists every invalid field.
    """
    try:
        spec = parse_study(body)
    except StudyError as error:
        raise InvalidStudyError(
            [
                FieldProblem(field=fault.field or None, message=fault.message, hint=fault.hint)
                for fault in error.errors
            ]
        ) from error
    if isinstance(spec.strategy, Tpe) and not tpe.is_installed():
        raise InvalidStudyError([FieldProblem(field="strategy.kind", message=NEEDS_OPTUNA)])
    return spec


async def create(
    session: Session, principal: Principal, body: object, key: str | None
) -> StudyAccepted:
    """Creates a study and posts its first trials, all in the caller's transaction.

    Args:
        session: Database session; the caller commits.
        principal: The caller.
        body: The description as plain data.
        key: Idempotency key; the same key and body return the same study.

    Raises:
        RoleRequiredError: If the token may only read.
        InvalidStudyError: If the description is invalid.
        KeyReusedError: If the key was used for another body.
        NotAMemberError: If its project is a private one of others.
    """
    principal.require("member", "submit studies")
    spec = parse(body)
    base = parse_run_spec(spec.base)
    project_id = await access.require_project_to_post(session, principal, base.project)
    digest = idempotency.body_sha256(body)
    stored = await idempotency.earlier(
        session,
        principal,
        key,
        digest,
        "study",
        lambda: studies.by_key(session, principal.user_id, key or ""),
    )
    if stored is not None:
        return _accepted(stored, base.project)
    if project_id is None:
        project_id = await projects.ensure_project(session, base.project, principal.user_id)
    study = Study(
        id=uuid.uuid4(),
        project_id=project_id,
        experiment=base.experiment,
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        status="running",
        created_by=principal.user_id,
        token_id=principal.token_id,
        idempotency_key=key,
        body_sha256=digest,
    )
    await studies.add(session, study)
    # The server continues where this transaction stops.
    await advance(session, study.id)
    return _accepted(study, base.project)


async def cancel(session: Session, principal: Principal, study_id: uuid.UUID) -> StudyAccepted:
    """Ends a study: no trial starts any more, queued runs are canceled, running ones stop.

    Raises:
        RoleRequiredError: If the token may only read.
        StudyNotFoundError: If there is no such study.
        NotYourStudyError: If a member did not post it.
        StudyFinishedError: If it has ended.
    """
    study, project = await lock_open(session, principal, study_id)
    study.status = "cancelled"
    study.status_reason = {"code": "cancelled", "message": f"canceled by {principal.name}"}
    study.finished_at = datetime.now(UTC)
    await session.flush()
    study_record = await record.read(session, study.id, parse_study(study.spec, is_stored=True))
    for run_id in sorted(
        run.run_id for run in study_record.runs if run.run_id and run.state == "open"
    ):
        try:
            await execution.request_cancel(session, run_id)
        except RunFinishedError:
            continue  # it has ended in the meantime
    return _accepted(study, project)


async def lock_open(
    session: Session, principal: Principal, study_id: uuid.UUID
) -> tuple[Study, str]:
    """A study that the principal may cancel, locked, and the name of its project.

    Raises:
        RoleRequiredError: If the token may only read.
        StudyNotFoundError: If there is no such study.
        NotYourStudyError: If a member did not post it.
        StudyFinishedError: If it has ended.
    """
    principal.require("member", "cancel studies")
    row = await studies.get(session, principal.viewer, study_id)
    study = None if row is None else await studies.lock(session, study_id)
    if study is None:
        raise not_found(study_id)
    if study.created_by != principal.user_id and not principal.has("admin"):
        raise NotYourStudyError("Only the study's author or an administrator can cancel it.")
    if study.status != "running":
        raise StudyFinishedError(f"The study has already {_PAST[study.status]}.")
    return study, row.project


_PAST = {"finished": "finished", "failed": "failed", "cancelled": "been canceled"}


def not_found(study_id: uuid.UUID) -> StudyNotFoundError:
    """The error for a study that does not exist or is hidden."""
    return StudyNotFoundError(
        f"Study {study_id} not found: it does not exist or is hidden from you.", field="study_id"
    )


def _accepted(study: Study, project: str) -> StudyAccepted:
    return StudyAccepted.model_validate(
        {
            "id": study.id,
            "name": study.name,
            "project": project,
            "experiment": study.experiment,
            "status": study.status,
            "status_reason": study.status_reason,
            "created_at": study.created_at,
            "url": f"/v1/studies/{study.id}",
        }
    )
