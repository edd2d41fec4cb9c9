"""The runs that a list selects: names resolved to ids, conditions that an index can answer."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from app.repositories.people.visibility import Viewer, sees_project
from models import Experiment, Project, Run, User
from models.run import NEVER, finished_or_never, gram_query, search_grams, search_text, stage_kinds
from pricetag.recipes import kinds_within

LEADING = ("experiment_id", "created_by", "project_id", "kind", "status", "origin")
"""Columns whose runs an index has by time of posting; those of the fewest runs first."""

PAIRS = (("experiment_id",), ("project_id", "created_by"), ("project_id", "status"))
"""Columns whose runs an index has, whatever their order; those of the fewest runs first."""

OPEN = frozenset({"queued", "running"})
"""Status of runs that are not over."""

FILTERED = (
    Run.id,
    Run.project_id,
    Run.experiment_id,
    Run.created_by,
    Run.status,
    Run.kind,
    Run.origin,
    Run.name,
    Run.tags,
    Run.created_at,
    Run.finished_at,
)
"""Columns that the conditions of a selection use."""


@dataclass(frozen=True)
class RunFilter:
    """Filter of runs; all conditions must hold.

    Attributes:
        kind: A stage kind (with all its methods), or all stage kinds of a run joined by ``+``.
        origins: Who measured the run; any of them.
        search: Words; the run's name or one of its tags contains each, ignoring case.
    """

    project: str | None = None
    experiment: str | None = None
    user: str | None = None
    tags: Sequence[str] = field(default_factory=tuple)
    statuses: Sequence[str] = field(default_factory=tuple)
    kind: str | None = None
    origins: Sequence[str] = field(default_factory=tuple)
    search: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None


@dataclass(frozen=True)
class Selection:
    """A filter with IDs instead of names.

    Attributes:
        wanted: The filter.
        values: The values that a column may have, by column.
        hidden: Projects whose runs the viewer does not see; empty where `values` says which
            they see.
    """

    wanted: RunFilter
    values: Mapping[str, Collection[Any]]
    hidden: Collection[uuid.UUID] = ()

    @property
    def is_empty(self) -> bool:
        """Whether a name does not exist, or is hidden from the viewer."""
        return not all(self.values.values())

    @property
    def has_index(self) -> bool:
        """Whether an index other than that of words finds the selected runs.

        None finds what is only not hidden.
        """
        unused = RunFilter()
        without = ("project", "experiment", "user", "search")
        conditions = [f.name for f in fields(RunFilter) if f.name not in without]
        return bool(self.values) or any(
            getattr(self.wanted, name) != getattr(unused, name) for name in conditions
        )

    def split(self) -> tuple[Selection, Selection]:
        """What the rows of figures answer by themselves, and what only the runs do.

        Those have the status of runs that are over.
        """
        wanted, values = self.wanted, dict(self.values)
        of_run = RunFilter(tags=wanted.tags, search=wanted.search)
        is_over = OPEN.isdisjoint(values.get("status", ()))
        alone = [name for name in ("origin", *(() if is_over else ("status",))) if name in values]
        of_columns = {name: values.pop(name) for name in alone}
        of_figures = replace(wanted, tags=(), search=None, statuses=(), origins=())
        return (
            replace(self, wanted=of_figures, values=values),
            Selection(of_run, of_columns),
        )

    @property
    def words(self) -> Sequence[str]:
        """The words that an index can look up."""
        words = self.searched
        # A single character selects too much to look it up, unless there is nothing else.
        return [word for word in words if len(word) > 1] or words

    @property
    def searched(self) -> Sequence[str]:
        """All words of the search."""
        return (self.wanted.search or "").split()

    def pair(self) -> Mapping[str, Any] | None:
        """Columns that have one value each, and whose runs an index counts; None without any."""
        for names in PAIRS:
            if all(len(self.values.get(name, ())) == 1 for name in names):
                return {name: next(iter(self.values[name])) for name in names}
        return None

    def leading(self, columns: Sequence[str] = LEADING) -> tuple[str, Any] | None:
        """A column with one value, and that value; by default, whose runs lie by time of posting.

        Args:
            columns: Of these the first one.
        """
        for name in columns:
            if len(self.values.get(name, ())) == 1:
                return name, next(iter(self.values[name]))
        return None

    def conditions(
        self, runs: Any, *, without: Collection[str] = (), looked_up: Collection[str] = ()
    ) -> list[ColumnElement[bool]]:
        """The selection as SQL.

        Args:
            runs: The table of runs, or a subquery with its columns.
            without: Columns whose conditions are known to hold.
            looked_up: Words that the index of words looks up before the texts are compared. The
                grams of a text take twenty times the time of a comparison.
        """
        clauses = [
            getattr(runs, name).in_(list(values))
            for name, values in self.values.items()
            if name not in without
        ]
        if self.hidden:
            clauses.append(runs.project_id.not_in(list(self.hidden)))
        if self.wanted.kind is not None and "kind" not in self.values:
            kinds = cast(kinds_within(self.wanted.kind), ARRAY(Text))
            clauses.append(stage_kinds(runs.kind).overlap(kinds))
        clauses += self.of_texts(runs, looked_up=looked_up)
        if "created_at" not in without:
            clauses += _between(runs.created_at, *self.bounds("created_at"))
        if "finished_at" not in without:
            clauses += self._finished_between(runs)
        return clauses

    def of_texts(self, runs: Any, *, looked_up: Collection[str] = ()) -> list[ColumnElement[bool]]:
        """The conditions on tags and words, as SQL; see `conditions`."""
        clauses: list[ColumnElement[bool]] = []
        if self.wanted.tags:
            clauses.append(runs.tags.contains(list(self.wanted.tags)))
        if self.wanted.search is not None:
            grams = search_grams(runs.name, runs.tags)
            clauses += [grams.bool_op("@@")(gram_query(word)) for word in looked_up]
            clauses += [contains(runs, word) for word in self.searched]
        return clauses

    def _finished_between(self, runs: Any) -> list[ColumnElement[bool]]:
        after, before = self.bounds("finished_at")
        finished_at = finished_or_never(runs.finished_at)
        # Of a bound, runs that are not finished are never within.
        until = before or (NEVER if after is not None else None)
        return _between(finished_at, after, until)

    def bounds(self, column: str) -> tuple[datetime | None, datetime | None]:
        """The times between which `created_at` or `finished_at` lies."""
        wanted = self.wanted
        if column == "created_at":
            return wanted.created_after, wanted.created_before
        return wanted.finished_after, wanted.finished_before


def contains(runs: Any, word: str) -> ColumnElement[bool]:
    """Whether a run's name or one of its tags contains a word, ignoring case."""
    # The name is checked first: it is shorter and more likely to match.
    texts = (func.lower(runs.name), search_text(runs.name, runs.tags))
    return or_(*(func.strpos(text, func.lower(word)) > 0 for text in texts))


def _between(
    column: ColumnElement[Any], after: datetime | None, before: Any
) -> list[ColumnElement[bool]]:
    clauses = []
    if after is not None:
        clauses.append(column > after)
    if before is not None:
        clauses.append(column < before)
    return clauses


async def resolve(session: AsyncSession, viewer: Viewer, wanted: RunFilter) -> Selection:
    """The filter with the ids of its names, and of the projects that the viewer may see."""
    values: dict[str, Collection[Any]] = {}
    hidden: Collection[uuid.UUID] = ()
    if wanted.experiment is not None:
        values["experiment_id"] = await _experiments(session, viewer, wanted)
    elif wanted.project is not None:
        query = select(Project.id).where(Project.name == wanted.project, sees_project(viewer))
        values["project_id"] = (await session.execute(query)).scalars().all()
    elif not viewer.sees_all or viewer.project_id is not None:
        visible, hidden = await _projects(session, viewer)
        if hidden and len(visible) <= len(hidden):
            values["project_id"], hidden = visible, ()
    if wanted.user is not None:
        query = select(User.id).where(User.name == wanted.user)
        values["created_by"] = (await session.execute(query)).scalars().all()
    if wanted.kind is not None and "+" in wanted.kind:
        values["kind"] = [wanted.kind]
    if wanted.statuses:
        values["status"] = list(dict.fromkeys(wanted.statuses))
    if wanted.origins:
        values["origin"] = list(dict.fromkeys(wanted.origins))
    return Selection(wanted, values, hidden)


async def _experiments(
    session: AsyncSession, viewer: Viewer, wanted: RunFilter
) -> Sequence[uuid.UUID]:
    query = (
        select(Experiment.id)
        .join(Project, Project.id == Experiment.project_id)
        .where(Experiment.name == wanted.experiment, sees_project(viewer))
    )
    if wanted.project is not None:
        query = query.where(Project.name == wanted.project)
    return (await session.execute(query)).scalars().all()


async def _projects(
    session: AsyncSession, viewer: Viewer
) -> tuple[list[uuid.UUID], list[uuid.UUID]]:
    """The projects that the viewer sees, and those that they do not see."""
    rows = (await session.execute(select(Project.id, sees_project(viewer)))).all()
    return [project_id for project_id, sees in rows if sees], [
        project_id for project_id, sees in rows if not sees
    ]
