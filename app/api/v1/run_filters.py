"""Parameters that select runs, for every operation that has them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from app.api.deps import Caller
from app.repositories.runs.selection import RunFilter
from app.schemas.common import Moment, RunOrigin, RunStatus, StoredName
from app.schemas.runs import RunKind, SearchText

OfProject = Annotated[StoredName | None, Query(description="Only runs of this project.")]
OfExperiment = Annotated[StoredName | None, Query(description="Only runs of this experiment.")]
WithTags = Annotated[
    list[StoredName] | None,
    Query(max_length=20, description="Only runs with this tag; repeatable: with all of the tags."),
]


async def _selected(
    caller: Caller,
    project: OfProject = None,
    experiment: OfExperiment = None,
    user: Annotated[
        StoredName | None, Query(description="Only runs of this user: a name, or `me`.")
    ] = None,
    tag: WithTags = None,
    status: Annotated[
        list[RunStatus] | None,
        Query(
            max_length=5,
            description="Only runs with this status; repeatable: with any of the statuses.",
        ),
    ] = None,
    kind: Annotated[
        RunKind | None,
        Query(
            description="Only runs with a stage of this kind, or with exactly these kinds in "
            "order, e.g. `train+measure`."
        ),
    ] = None,
    origin: Annotated[
        list[RunOrigin] | None,
        Query(
            max_length=5,
            description="Only runs that were measured by a worker (`queue`) or elsewhere (`local`, "
            "`slurm`, `codecarbon`, `import`); repeatable: by any of these.",
        ),
    ] = None,
    q: Annotated[
        SearchText | None,
        Query(
            description="Words to search for in names and tags, in any case: each must be part "
            "of the run's name or of one of its tags."
        ),
    ] = None,
    created_after: Annotated[
        Moment | None, Query(description="Only runs posted after this time (ISO 8601).")
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only runs posted before this time (ISO 8601).")
    ] = None,
    finished_after: Annotated[
        Moment | None, Query(description="Only runs that ended after this time (ISO 8601).")
    ] = None,
    finished_before: Annotated[
        Moment | None, Query(description="Only runs that ended before this time (ISO 8601).")
    ] = None,
) -> RunFilter:
    return RunFilter(
        project=project,
        experiment=experiment,
        tags=tag or (),
        statuses=status or (),
        kind=kind,
        origins=origin or (),
        search=q,
        created_after=created_after,
        created_before=created_before,
        user=caller.name if user == "me" else user,
        finished_after=finished_after,
        finished_before=finished_before,
    )


SelectedRuns = Annotated[RunFilter, Depends(_selected)]
"""All filters of the list of runs."""
