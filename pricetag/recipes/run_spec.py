"""A run as its author describes it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import Name, Params
from pricetag.recipes.data import Data, FromScratch, ModelSource
from pricetag.recipes.shapes import described_shape, misfit
from pricetag.recipes.stages import Stage

MAX_STAGES = 64
TRAINING_KINDS = frozenset({"train", "distill", "prune"})

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Pool = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


def _fault(field: str, message: str, **values: object) -> PydanticCustomError:
    return PydanticCustomError("recipe", message, {**values, "field": field})


class Recipe(Params):
    """What a run does: stages in order, each on the artifact of the one before."""

    task: Literal["classification", "regression"] | None = None
    data: Data | None = None
    model: ModelSource | None = Field(
        None, description="Folder, hub name, or {config: {...}} to train from scratch."
    )
    stages: Annotated[list[Stage], Field(min_length=1, max_length=MAX_STAGES)]

    @property
    def is_command(self) -> bool:
        """Whether the recipe runs programs instead of training."""
        return self.stages[0].kind == "command"

    @model_validator(mode="after")
    def _stages_fit_together(self) -> Self:
        if self.is_command:
            self._check_command()
        else:
            self._check_training()
            self._check_labels()
            self._check_order()
            self._check_splits()
            self._check_students()
        return self

    def _check_command(self) -> None:
        for index, stage in enumerate(self.stages):
            if stage.kind != "command":
                raise _fault(
                    f"stages.{index}.kind",
                    "'{kind}' cannot follow a command: a command run has command stages only",
                    kind=stage.kind,
                )
        for field in ("task", "data", "model"):
            if getattr(self, field) is not None:
                raise _fault(field, "is not used by a command run; leave it out")

    def _check_training(self) -> None:
        for index, stage in enumerate(self.stages):
            if stage.kind == "command":
                raise _fault(
                    f"stages.{index}.kind",
                    "a command cannot be mixed with training stages; submit it as its own run",
                )
        what_would_do = {
            "task": "is missing: classification or regression",
            "data": "is missing: {{train: ..., validation: ..., text: ..., label: ...}}",
            "model": "is missing: a folder, a hub name, or {{config: {{...}}}}",
        }
        for field, message in what_would_do.items():
            if getattr(self, field) is None:
                raise _fault(field, message.replace("{{", "{").replace("}}", "}"))
        if isinstance(self.model, FromScratch) and self.stages[0].kind != "train":
            raise _fault(
                "stages.0.kind",
                "'{kind}' needs a trained model; a model from scratch starts with train",
                kind=self.stages[0].kind,
            )

    def _check_labels(self) -> None:
        assert self.data is not None
        for option in ("labels", "positive_label"):
            if self.task != "classification" and getattr(self.data, option) is not None:
                raise _fault(f"data.{option}", "belongs to classification; remove it")

    def _check_order(self) -> None:
        quantized = False
        for index, stage in enumerate(self.stages):
            if quantized and (stage.kind in TRAINING_KINDS or stage.kind == "quantize"):
                raise _fault(
                    f"stages.{index}.kind",
                    "'{kind}' cannot follow quantize: 8-bit weights are final; put it before",
                    kind=stage.kind,
                )
            quantized = quantized or stage.kind == "quantize"

    def _check_splits(self) -> None:
        assert self.data is not None
        given = self.data.splits()
        for index, stage in enumerate(self.stages):
            for option, split in _splits_needed(stage):
                if split not in given:
                    raise _fault(
                        f"data.{split}",
                        "is missing, but stage {index} ({kind}) needs it{unless}",
                        index=index,
                        kind=stage.kind,
                        unless=f" unless {option}: false" if option else "",
                    )

    def _check_students(self) -> None:
        found = misfit(described_shape(self.model), self.stages)
        if found is not None:
            raise _fault(found.field, "{what}", what=found.message)


def _splits_needed(stage: Stage) -> list[tuple[str, str]]:
    """The data splits a stage reads, each with the option that can be switched off."""
    if stage.kind == "evaluate":
        return [("", split) for split in stage.splits]
    if stage.kind == "measure":
        return [("accuracy", stage.split)] if stage.accuracy else []
    needed: list[tuple[str, str]] = []
    if stage.kind in ("train", "distill") or (stage.kind == "prune" and stage.recovery_epochs > 0):
        needed.append(("", "train"))
    plan = getattr(stage, "mid_evaluation", None)
    if plan is not None:
        needed.append(("", plan.split))
    if stage.kind in ("train", "distill", "prune") and stage.evaluate:
        needed.append(("evaluate", "validation"))
    return needed


class Resources(Params):
    """What a run needs of a worker."""

    gpus: int = Field(0, ge=0, le=1024)
    pool: Pool = "default"


class RunSpec(Params):
    """One job: whose it is, what it needs, and its recipe."""

    project: Name
    experiment: Name
    name: Name
    tags: Annotated[list[Tag], Field(max_length=50)] = Field(default_factory=list)
    resources: Resources = Resources()
    priority: int = Field(0, ge=-1000, le=1000, description="Higher goes first.")
    not_before: Annotated[AwareDatetime | None, Field(strict=False)] = Field(
        None, description="Earliest start, ISO 8601 with time zone."
    )
    max_attempts: int = Field(3, ge=1, le=100)
    recipe: Recipe


def derive_kind(recipe: Recipe) -> str:
    """The run's kind: ``command``, or its stage kinds, each once: ``train+quantize+measure``."""
    return "+".join(dict.fromkeys(stage.kind for stage in recipe.stages))
