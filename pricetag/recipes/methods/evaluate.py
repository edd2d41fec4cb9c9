"""Parameters of an evaluation."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field

from pricetag.recipes.base import MISMATCHED, Split, StageParams
from pricetag.recipes.kinds import Paper, RecipeEntry, SplitNeed, Traits
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError
from pricetag.recipes.tasks import TaskEntry


def _validation_only() -> list[Split]:
    return ["validation"]


class Evaluate(StageParams):
    """Measure the quality of the current model on one or more splits.

    Source: Wang et al. 2018, GLUE, table 1 (metrics by task), doi:10.18653/v1/W18-5446.
    """

    kind: Literal["evaluate"] = "evaluate"
    splits: Annotated[list[Split], Field(min_length=1, max_length=4)] = Field(
        default_factory=_validation_only, description="Splits to evaluate on."
    )
    batch_size: int = Field(64, ge=1, le=65_536, description="Examples per batch.")
    max_length: int = Field(
        128, ge=4, le=8192, description="Maximum number of tokens; longer texts are cut."
    )
    keep_probabilities: bool = Field(
        False,
        description="Keep the probability of each class for each example as an artifact "
        "(classification only); studies of ensembles average them.",
    )


def evaluation_after(
    stage: Any, splits: Collection[str], *, train_too: bool = False
) -> StageParams:
    """The evaluation after a training stage, on validation and, if present, test.

    Args:
        stage: Training stage, with ``max_length``.
        splits: Splits of the run's data.
        train_too: Whether it reads the training split as well.
    """
    splits_to_read: list[Split] = ["validation", "test"] if "test" in splits else ["validation"]
    if train_too:
        splits_to_read.append("train")
    evaluation = Evaluate(splits=splits_to_read, max_length=stage.max_length)
    return with_mismatched(evaluation, splits)


def with_mismatched(stage: StageParams, splits: Collection[str]) -> StageParams:
    """A stage; an evaluation reads both development sets if it reads one and the data have two.

    Args:
        stage: Any stage.
        splits: Splits of the run's data.
    """
    read = list(stage.splits) if isinstance(stage, Evaluate) else []
    if MISMATCHED not in splits or "validation" not in read or MISMATCHED in read:
        return stage
    read.insert(read.index("validation") + 1, MISMATCHED)
    return stage.model_copy(update={"splits": read})


def _has_classes(stage: Evaluate, task: TaskEntry) -> MisfitError | None:
    if stage.keep_probabilities and not task.has_classes:
        return MisfitError("keep_probabilities", f"needs a classification, not {task.shown}")
    return None


ENTRY = RecipeEntry(
    params=Evaluate,
    title="Evaluate",
    summary="Scores the model on splits of the data, with the metrics of its task.",
    paper=Paper(
        "Wang, Singh, Michael, Hill, Levy, Bowman (2018): GLUE: A Multi-Task Benchmark and "
        "Analysis Platform for Natural Language Understanding. BlackboxNLP.",
        "https://doi.org/10.18653/v1/W18-5446",
    ),
    example={"kind": "evaluate", "splits": ["validation"], "batch_size": 64},
    traits=Traits(
        group="evaluation",
        formats=ALL_FORMATS,
        splits=lambda params: tuple(SplitNeed(split) for split in params.splits),
        counts_whole=lambda params: len(params.splits) == 1,
        check_task=_has_classes,
        amount=frozenset({"batch_size"}),
        later=frozenset({"keep_probabilities"}),
    ),
)
