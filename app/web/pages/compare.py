"""Two to eight groups of runs, compared with one of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from app.api.access import READ
from app.api.deps import Caller, CurrentSession
from app.db import Session
from app.schemas.common import FieldProblem
from app.services.insights import comparison
from app.services.insights.comparison import LETTERS, Groups, NothingToCompareError
from app.services.principals import Principal
from app.web.asked import Asked, PageQuery, asking
from app.web.asked import read as read_query
from app.web.choices import Choices
from app.web.drawn import drawn
from app.web.forms import Filled, Form
from app.web.links import rel
from app.web.rendering import page_router, render
from app.web.views import insights as shared
from app.web.views.compare import Compared, CompareView, compare_view
from pricetag.tag.ratios import METRICS, Metric

router = page_router()
Letter = Literal["a", "b", "c", "d", "e", "f", "g", "h"]


class CompareQuery(PageQuery):
    """The groups: IDs of their runs, each with commas or repeated."""

    choices: ClassVar[Choices] = {
        "reference": {letter: letter.upper() for letter in LETTERS},
        "only": {"differences": "Only what differs"},
    }
    a: list[str] = Field([], title="Group A")
    b: list[str] = Field([], title="Group B")
    c: list[str] = Field([], title="Group C")
    d: list[str] = Field([], title="Group D")
    e: list[str] = Field([], title="Group E")
    f: list[str] = Field([], title="Group F")
    g: list[str] = Field([], title="Group G")
    h: list[str] = Field([], title="Group H")
    reference: Letter = Field("a", title="Reference")
    only: Filled[Literal["differences"]] = Field(None, title="Only")

    def texts(self) -> dict[str, str]:
        """The IDs of the groups that have any, by letter."""
        joined = {letter: ",".join(getattr(self, letter)) for letter in LETTERS}
        return {letter: text.strip(", ") for letter, text in joined.items() if text.strip(", ")}


AskedGroups = Annotated[Asked[CompareQuery], Depends(asking(CompareQuery))]


@router.get("/compare", dependencies=[READ])
async def show_compare(
    request: Request, session: CurrentSession, caller: Caller, asked: AskedGroups
) -> Response:
    """Ratios with intervals, verdicts, stages, and what differs; or the form of the groups."""
    view, asked = await _view(session, caller, asked)
    chart = await drawn(session, view.chart if view else None)
    return show_groups(request, asked, view=view, chart=chart)


def show_groups(
    request: Request, asked: Asked[CompareQuery], view: CompareView | None = None, chart: Any = None
) -> Response:
    """The page, with the comparison if there is one."""
    used = asked.query.texts()
    free = [letter for letter in LETTERS if letter not in used]
    return render(
        request,
        "compare.html",
        status=asked.status,
        form=asked.form,
        view=view,
        chart=chart,
        state=shared.query(request.query_params.multi_items()),
        letters=LETTERS,
        offered=sorted([*used, *free[: max(1, 2 - len(used))]]),
        groups=len(used),
        only=asked.query.only,
    )


async def _view(
    session: Session, caller: Principal, asked: Asked[CompareQuery]
) -> tuple[CompareView | None, Asked[CompareQuery]]:
    """The comparison; None without two groups, or if they have errors."""
    groups: dict[str, list[UUID]] = {}
    for letter, text in asked.query.texts().items():
        try:
            groups[letter] = comparison.parse_runs(letter, text)
        except NothingToCompareError as error:
            asked = _rejected(asked, error)
    if asked.form.problems or len(groups) < 2:
        return None, asked
    try:
        read = await comparison.read_groups(session, caller, groups)
    except NothingToCompareError as error:
        return None, _rejected(asked, error)
    query = asked.query
    base = query.reference if query.reference in groups else next(iter(groups))
    view = compare_view(
        _compared(read, base),
        read.stages(),
        reference=base,
        projects=read.projects,
        only_differing=query.only is not None,
    )
    return view, asked


def _rejected(asked: Asked[CompareQuery], error: NothingToCompareError) -> Asked[CompareQuery]:
    """The groups with their errors."""
    return asked.wrong(
        problem.model_copy(update={"field": (problem.field or "a").partition(".")[0]})
        for problem in error.errors
    )


def ask_for_groups(request: Request, groups: Sequence[str]) -> Response:
    """Leads to the comparison of groups, or asks for other ones.

    Args:
        request: The request.
        groups: IDs of the runs of each, with commas.
    """
    offered = list(groups[: len(LETTERS)])
    lettered = dict(zip(LETTERS, offered, strict=False))
    if len(groups) <= len(LETTERS):
        return RedirectResponse(rel(request, "show_compare", lettered), 303)
    lettered[LETTERS[-1]] = ",".join(groups[len(LETTERS) - 1 :])
    message = (
        f"two to eight groups can be compared (got {len(groups)}): this one has all that are left;"
        " remove or move runs"
    )
    asked = read_query(CompareQuery, lettered.items())
    return show_groups(request, asked.wrong([FieldProblem(field=LETTERS[-1], message=message)]))


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
