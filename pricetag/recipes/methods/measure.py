"""Parameters of measuring a model."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.base import Split, StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed, Traits
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape

Threshold = Annotated[float, Field(ge=0, le=1)]


class Measure(StageParams):
    """Measure size, speed, energy and quality of the current model.

    Parameters, non-zeros, bytes, FLOPs, latency at batch 1 and at ``batch_size``,
    throughput, peak memory, energy of inference, and quality on ``split``.

    Source: Schwartz et al. 2020, Green AI, doi:10.1145/3381831; Strubell et al. 2019,
    doi:10.18653/v1/P19-1355.
    """

    kind: Literal["measure"] = "measure"
    batch_size: int = Field(
        32, ge=1, le=65_536, description="Examples per batch of throughput and energy."
    )
    sequence_length: int = Field(
        64, ge=4, le=8192, description="Tokens per example for FLOPs, latency and energy."
    )
    min_seconds: float = Field(
        5.0, gt=0, le=3600, description="Minimum duration of metered inference, s."
    )
    split: Split = Field("validation", description="Split on which to measure the quality.")
    accuracy: bool = Field(True, description="Measure the quality on the split as well.")
    max_length: int = Field(
        128, ge=4, le=8192, description="Maximum number of tokens; longer texts are cut."
    )
    thresholds: list[Threshold] | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="Thresholds of a model with early exits: each is metered at batch 1 and at "
        "batch_size, on texts of split, beside the model's own.",
    )

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        if self.thresholds is not None and self.thresholds != sorted(set(self.thresholds)):
            raise PydanticCustomError(
                "thresholds", "must rise and name each threshold once", {"field": "thresholds"}
            )
        return self


def _splits(params: Measure) -> tuple[SplitNeed, ...]:
    if params.thresholds is not None:
        return (SplitNeed(params.split),)
    return (SplitNeed(params.split, "accuracy"),) if params.accuracy else ()


def _work(params: Measure, devices: int) -> Work:
    """The metered inferences: the model's own, and two batch sizes for each threshold."""
    each = len({1, params.batch_size})
    return Work(seconds=params.min_seconds * (1 + each * len(params.thresholds or ())))


def _reshape(params: Measure, shape: Shape) -> Shape:
    if params.thresholds is not None and shape.lacks("exits"):
        raise MisfitError(
            "thresholds",
            "the model has no early exits; train it with method: early_exit first",
            "no-exits",
        )
    return shape


ENTRY = RecipeEntry(
    params=Measure,
    title="Measure size, speed, energy and quality",
    summary="Measures the size, FLOPs, speed, memory, energy per inference and accuracy.",
    paper=Paper(
        "Schwartz, Dodge, Smith, Etzioni (2020): Green AI. Communications of the ACM 63(12).",
        "https://doi.org/10.1145/3381831",
    ),
    example={"kind": "measure", "batch_size": 8, "sequence_length": 32, "min_seconds": 1},
    traits=Traits(
        group="measurement",
        formats=ALL_FORMATS,
        measures_model=True,
        splits=_splits,
        work=_work,
        reshape=_reshape,
        amount=frozenset({"batch_size", "min_seconds", "thresholds"}),
        later=frozenset({"thresholds"}),
    ),
)
