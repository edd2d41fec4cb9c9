"""Who may see and change a paper."""

from __future__ import annotations

import uuid
from typing import Any

from app.db import Session
from app.repositories.papers import papers
from app.schemas.common import FieldProblem
from app.services.errors import ConflictError, ForbiddenError, InvalidFieldsError, NotFoundError
from app.services.principals import Principal
from models import Paper


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


async def own(session: Session, principal: Principal, paper_id: uuid.UUID) -> Any:
    """The paper and the name of its project, locked for a change.

    Raises:
        PaperNotFoundError: If the paper does not exist, or has hidden runs.
        NotYourPaperError: If somebody else created it.
    """
    row = await require(session, principal, paper_id)
    if not may_change(principal, row.Paper):
        raise NotYourPaperError("Only the user who created this paper or an admin may change it.")
    await papers.lock(session, paper_id)
    return row


def may_change(principal: Principal, paper: Paper) -> bool:
    """Whether the principal may change a paper."""
    return principal.has("admin") or (
        principal.has("member") and paper.created_by == principal.user_id
    )


def is_open(paper: Paper) -> bool:
    """Whether a paper still collects runs."""
    return paper.frozen_at is None


def require_collecting(paper: Paper) -> None:
    """Requires that a paper still collects runs.

    Raises:
        PaperFrozenError: If it is frozen.
    """
    if not is_open(paper):
        raise PaperFrozenError(
            "The paper is frozen: its title and runs never change again. Create another paper."
        )


def wrong(field: str, message: str) -> PaperRunsError:
    """The error for one field."""
    return PaperRunsError([FieldProblem(field=field, message=message)])
