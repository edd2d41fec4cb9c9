"""Two to eight groups of runs, compared with one of them."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.services import comparison
from app.services.comparison import LETTERS, Groups
from app.web.drawn import drawn
from app.web.forms import Form
from app.web.links import rel
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.compare import Compared, compare_view
from pricetag.tag.ratios import METRICS, Metric

router = page_router()
Runs = Annotated[list[str] | None, Query(max_length=50)]
Letter = Literal["a", "b", "c", "d", "e", "f", "g", "h"]


async def _groups(
    a: Runs = None,
    b: Runs = None,
    c: Runs = None,
    d: Runs = None,
    e: Runs = None,
    f: Runs = None,
    g: Runs = None,
    h: Runs = None,
) -> dict[str, list[UUID]]:
    groups = {}
    for letter, texts in zip(LETTERS, (a, b, c, d, e, f, g, h), strict=True):
        ids = ",".join(text for text in texts or () if text.strip(", "))
        if ids:
            groups[letter] = comparison.parse_runs(letter, ids)
    return groups


@router.get("/compare", dependencies=[READ])
async def show_compare(
    request: Request,
    session: CurrentSession,
    caller: Caller,
    groups: Annotated[dict[str, list[UUID]], Depends(_groups)],
    reference: Letter = "a",
    only: Annotated[Literal["differences"] | None, Query()] = None,
) -> Response:
    """Ratios with intervals, verdicts, stages, and what differs."""
    view = None
    if len(groups) > 1:
        base = reference if reference in groups else next(iter(groups))
        read = await comparison.read_groups(session, caller, groups)
        view = compare_view(
            _compared(read, base),
            read.stages(),
            reference=base,
            projects=read.projects,
            only_differing=only is not None,
        )
    return render(
        request,
        "compare.html",
        view=view,
        chart=await drawn(session, view.chart if view else None),
        state=shared.query(request.query_params.multi_items()),
        letters=LETTERS,
        only=only,
    )


def _compared(read: Groups, base: str) -> dict[Metric, dict[str, Compared]]:
    """Each group against the reference, for every figure."""
    return {
        metric: {
            letter: read.against(letter, base, metric) for letter in read.runs if letter != base
        }
        for metric in METRICS
    }


@router.post("/compare", dependencies=[READ])
async def arrange_compare(request: Request, caller: Caller, form: Form) -> Response:
    """Moves runs between groups, and leads to their comparison."""
    groups: dict[str, list[str]] = {}
    for name, letter in form.items():
        if name.startswith("run.") and letter in LETTERS and letter:
            groups.setdefault(letter, []).append(name.removeprefix("run."))
    added = [part for part in re.split(r"[\s,]+", form.get("add", "")) if part]
    letter = form.get("to", "")
    if added and letter and letter in LETTERS:
        groups.setdefault(letter, []).extend(added)
    query = {letter: ",".join(ids) for letter, ids in sorted(groups.items())}
    if form.get("reference"):
        query["reference"] = form["reference"]
    return RedirectResponse(rel(request, "show_compare", query), 303)
