"""Parameters that several pages have in their address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import Depends, Query

from app.schemas.common import StoredName
from app.services import insights
from app.services.errors import InvalidError
from app.services.runs.listing import RunFilter
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
"""The period of a page; by default 30 days."""


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
Newest = Annotated[int, Query(ge=1, le=200)]
"""Maximum number of runs of an insight."""


def _score(
    quality: Text = None, split: Text = None, task: Text = None, data: Text = None
) -> Mapping[str, str | None]:
    return {"metric": quality, "split": split, "task": task, "data": data}


Score = Annotated[Mapping[str, str | None], Depends(_score)]
"""The score that an insight is about; without a value, the one that most runs have."""
