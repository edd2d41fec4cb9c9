"""Fields that mean the same in several schemas: their types with their descriptions."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import Field

from app.schemas.common import RunOrigin, RunStatus

Item = TypeVar("Item")

ObjectId = Annotated[uuid.UUID, Field(description="ID that never changes.")]
RunId = Annotated[uuid.UUID, Field(description="ID of the run.")]
RunName = Annotated[str, Field(description="Name of the run.")]
StatusOfRun = Annotated[RunStatus, Field(description="Status of the run.")]
OriginOfRun = Annotated[
    RunOrigin,
    Field(
        description="Who measured the run: a worker of this server (`queue`), Pricetag's meter on "
        "the user's machine (`local`) or in a Slurm job (`slurm`), a CodeCarbon client "
        "(`codecarbon`), or another tool whose file was imported (`import`)."
    ),
]
AttemptNumber = Annotated[int, Field(description="Number of the attempt, from 1.")]
TagVersion = Annotated[int, Field(description="Version of the price tag, from 1.")]
ProjectName = Annotated[str, Field(description="Name of the project.")]
ExperimentName = Annotated[str, Field(description="Name of the experiment.")]
PoolName = Annotated[str, Field(description="Pool of workers.")]
CreatedAt = Annotated[datetime, Field(description="Time of creation (UTC).")]
EventTime = Annotated[datetime, Field(description="Time of the event (UTC).")]
License = Annotated[str, Field(description="License of the figure.")]
SourceUrl = Annotated[str, Field(description="Web address of the source.")]
Items = Annotated[list[Item], Field(description="Items of the list.")]
NextCursor = Annotated[
    str | None, Field(description="Pass as `cursor` for the next page; null on the last page.")
]
