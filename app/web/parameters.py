"""Parameters that several pages have in their address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, TypeVar

from fastapi import Depends, Query
from pydantic import Field

from app.schemas.common import StoredName
from app.services import insights
from app.services.errors import InvalidError
from app.services.runs.listing import RunFilter
from app.web.asked import Asked, PageQuery, asking
from app.web.forms import Filled
from app.web.views import periods
from app.web.views.periods import InvalidPeriodError, Named, Period

Text = Annotated[Filled[StoredName], Query()]
Texts = Annotated[list[Filled[StoredName]] | None, Query(max_length=20)]
NamedPeriod = Annotated[Filled[Named], Query()]
From = Annotated[Filled[date], Query(alias="from")]
To = Annotated[Filled[date], Query(alias="to")]


def _period(period: NamedPeriod = None, first: From = None, last: To = None) -> Period:
    try:
        return periods.period(period, first, last, datetime.now(UTC), "30d")
    except InvalidPeriodError as error:
        raise InvalidError(str(error), field="from") from error


ChosenPeriod = Annotated[Period, Depends(_period)]
"""The period of a file to download; by default 30 days."""


class PeriodQuery(PageQuery):
    """The period of a page."""

    period: Filled[Named] = Field(None, title="Period")
    first: Filled[date] = Field(None, alias="from", title="From day (UTC)")
    last: Filled[date] = Field(None, alias="to", title="To day, included")


OfPeriod = TypeVar("OfPeriod", bound=PeriodQuery)


def period_of(
    asked: Asked[OfPeriod], default: Named = "30d", names: Sequence[Named] = tuple(periods.TITLES)
) -> tuple[Period, Asked[OfPeriod]]:
    """The period of a page, and its form with the period's days or what is wrong with them.

    Args:
        asked: The query of the page.
        default: The period where none was chosen, or a wrong one.
        names: The periods to choose.
    """
    query, now = asked.query, datetime.now(UTC)
    try:
        chosen = periods.period(query.period, query.first, query.last, now, default, names)
    except InvalidPeriodError as error:
        return periods.period(None, None, None, now, default, names), asked.wrong(error.problems)
    return chosen, asked if asked.form.problems else asked.filled(chosen.query)


AskedPeriod = Annotated[Asked[PeriodQuery], Depends(asking(PeriodQuery))]
"""The period of a page, as it was filled in."""


@dataclass(frozen=True, slots=True)
class Selected:
    """The ended runs that an insight is about.

    Attributes:
        filters: What selects them.
        is_filtered: Whether the reader chose anything.
    """

    filters: RunFilter
    is_filtered: bool


def _selected(project: Text = None, experiment: Text = None, tag: Texts = None) -> Selected:
    tags = [name for name in tag or () if name]
    filters = RunFilter(project=project, experiment=experiment, tags=tags, statuses=insights.FINAL)
    return Selected(filters, bool(project or experiment or tags))


Selection = Annotated[Selected, Depends(_selected)]


class ListQuery(PageQuery):
    """A page of a list."""

    cursor: Filled[Annotated[str, Field(max_length=1000)]] = Field(None, title="Page")
    limit: int = Field(50, ge=1, le=200, title="Rows")


Newest = Annotated[int, Query(ge=1, le=200)]
"""Maximum number of runs of an insight."""


def _score(
    quality: Text = None, split: Text = None, task: Text = None, data: Text = None
) -> Mapping[str, str | None]:
    return {"metric": quality, "split": split, "task": task, "data": data}


Score = Annotated[Mapping[str, str | None], Depends(_score)]
"""The score that an insight is about; without a value, the one that most runs have."""
