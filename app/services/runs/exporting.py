"""Lists of runs as files: the whole result as CSV, or chosen runs as a table for a paper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal
from uuid import UUID

from app.db import Database, Session
from app.reports import csv_, latex, markdown, run_lists
from app.repositories.runs import runs
from app.schemas.common import FieldProblem
from app.schemas.runs import RunSort, RunSummary
from app.services.errors import InvalidError
from app.services.principals import Principal
from app.services.runs import listing
from app.services.runs.listing import RunFilter
from app.services.runs.responses import summary

MOST_CHOSEN = 200
"""Maximum number of runs that are chosen one by one."""

PAGE = 200
TableFormat = Literal["md", "tex"]
MEDIA_TYPES = {"csv": csv_.MEDIA_TYPE, "md": markdown.MEDIA_TYPE, "tex": latex.MEDIA_TYPE}


class NothingChosenError(InvalidError):
    """No visible run was chosen, or some are not there; the error lists them."""

    code = "nothing-chosen"

    def __init__(self, errors: list[FieldProblem]) -> None:
        super().__init__(f"{errors[0].field}: {errors[0].message}", field=errors[0].field)
        self.errors = errors


async def chosen(
    session: Session, principal: Principal, run_ids: Sequence[UUID]
) -> list[RunSummary]:
    """The runs with these ids, in the order of the ids.

    Args:
        session: Database session, only read.
        principal: Who asks.
        run_ids: The ids; one that is listed twice counts once.

    Raises:
        NothingChosenError: If there is no id, or no visible run has one of them.
    """
    wanted = list(dict.fromkeys(run_ids))
    rows = await runs.list_chosen(session, principal.viewer, wanted)
    present = {row.run.id for row in rows}
    errors = [
        FieldProblem(
            field="run", message=f"run {run_id} not found: it does not exist or is hidden from you"
        )
        for run_id in wanted
        if run_id not in present
    ]
    if errors or not wanted:
        raise NothingChosenError(errors or [FieldProblem(field="run", message="choose runs first")])
    return [RunSummary.model_validate(summary(row)) for row in rows]


def as_table(items: Sequence[RunSummary], fmt: TableFormat) -> bytes:
    """The runs as a table in Markdown or LaTeX."""
    plain = [run.model_dump() for run in items]
    return run_lists.as_markdown(plain) if fmt == "md" else run_lists.as_latex(plain)


def as_csv(items: Sequence[RunSummary]) -> bytes:
    """The runs as a whole CSV."""
    return run_lists.csv_head() + run_lists.csv_lines([run.model_dump() for run in items])


async def stream_csv(
    database: Database, principal: Principal, filters: RunFilter, sort: RunSort
) -> AsyncIterator[bytes]:
    """All selected runs as CSV, page by page, in a bounded amount of memory.

    Each page is read in its own transaction, so that a slow reader holds nothing. Runs posted in
    the meantime cause no duplicates or gaps.

    Args:
        database: Engine and sessions of this process.
        principal: Who asks.
        filters: Filters of the runs.
        sort: Their order.
    """
    yield run_lists.csv_head()
    cursor: str | None = None
    while True:
        async with database.sessions() as session:
            page = await listing.list_page(
                session, principal, filters, sort=sort, cursor=cursor, limit=PAGE
            )
        plain: list[Any] = [run.model_dump() for run in page.items]
        yield await asyncio.to_thread(run_lists.csv_lines, plain)
        if page.next_cursor is None:
            return
        cursor = page.next_cursor
