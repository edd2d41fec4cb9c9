"""Parameters that select runs, for every operation that has them."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from app.schemas.common import StoredName

OfProject = Annotated[StoredName | None, Query(description="Only runs of this project.")]
OfExperiment = Annotated[StoredName | None, Query(description="Only runs of this experiment.")]
WithTags = Annotated[
    list[StoredName] | None,
    Query(max_length=20, description="Only runs with this tag; repeatable: with all of the tags."),
]
