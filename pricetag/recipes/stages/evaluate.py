"""Parameters of an evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pricetag.recipes.stages.common import Split, StageParams


def _validation_only() -> list[Split]:
    return ["validation"]


class Evaluate(StageParams):
    """Measure the quality of the current model on one or more splits.

    Source: Wang et al. 2018, GLUE, table 1 (metrics by task), doi:10.18653/v1/W18-5446.
    """

    kind: Literal["evaluate"] = "evaluate"
    splits: Annotated[list[Split], Field(min_length=1, max_length=3)] = Field(
        default_factory=_validation_only
    )
    batch_size: int = Field(64, ge=1, le=65_536)
    max_length: int = Field(128, ge=4, le=8192, description="Tokens; longer texts are cut.")
