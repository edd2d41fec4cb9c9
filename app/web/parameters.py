"""Parameters that several pages have in their address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, ClassVar, TypeVar

from fastapi import Depends, Query
from pydantic import Field

from app.schemas.common import StoredName
from app.services.errors import InvalidError
from app.services.insights import reading
from app.services.runs.listing import RunFilter
from app.web.asked import Asked, PageQuery, asking
from app.web.choices import Choices
from app.web.forms import Filled
from app.web.views import periods
from app.web.views.periods import InvalidPeriodError, Named, Period

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

    choices: ClassVar[Choices] = {"period": periods.TITLES}
    period: Filled[Named] = Field(None, title="Period")
    first: Filled[date] = Field(None, alias="from", title="From day (UTC)")
    last: Filled[date] = Field(None, alias="to", title="To day, included")


OfPeriod = TypeVar("OfPeriod", bound=PeriodQuery)


def period_of(
    asked: Asked[OfPeriod], default: Named = "30d", names: Sequence[Named] = tuple(periods.TITLES)
) -> tuple[Period, Asked[OfPeriod]]:
    """The period of a page, and its form with the period's days or their errors.

    Args:
        asked: The query of the page.
        default: The period where none was chosen, or a wrong one.
        names: The periods to choose.
    """
    query, now = asked.query, datetime.now(UTC)
    try:
        period = periods.period(query.period, query.first, query.last, now, default, names)
    except InvalidPeriodError as error:
        return periods.period(None, None, None, now, default, names), asked.wrong(error.problems)
    return period, asked if asked.form.problems else asked.filled(period.query)


AskedPeriod = Annotated[Asked[PeriodQuery], Depends(asking(PeriodQuery))]
"""The period of a page, as it was filled in."""


class SelectionQuery(PageQuery):
    """The ended runs that an insight is about."""

    project: Filled[StoredName] = Field(None, title="Project")
    experiment: Filled[StoredName] = Field(None, title="Experiment")
    tag: list[StoredName] = Field([], max_length=20, title="Tag")
    limit: int = Field(100, ge=1, le=200, title="Newest runs")

    @property
    def filters(self) -> RunFilter:
        """The filters of these runs."""
        return RunFilter(
            project=self.project,
            experiment=self.experiment,
            tags=self.tag,
            statuses=reading.FINAL,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether the reader chose any filter."""
        return bool(self.project or self.experiment or self.tag)


class ScoreQuery(SelectionQuery):
    """The runs and the score of an insight; without a value, the score that most runs have."""

    quality: Filled[StoredName] = Field(None, title="Score")
    split: Filled[StoredName] = Field(None, title="Split")
    task: Filled[StoredName] = Field(None, title="Task")
    data: Filled[StoredName] = Field(None, title="Data")

    @property
    def score(self) -> Mapping[str, str | None]:
        """The score, for the service."""
        return {
            "metric": self.quality,
            "split": self.split,
            "task": self.task,
            "data": self.data,
        }


class ListQuery(PageQuery):
    """A page of a list."""

    cursor: Filled[Annotated[str, Field(max_length=1000)]] = Field(None, title="Page")
    limit: int = Field(50, ge=1, le=200, title="Rows")
