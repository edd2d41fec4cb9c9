"""A run as its author describes it."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from pricetag.recipes.base import VISIBLE_ONLY, Name, Params, StageParams
from pricetag.recipes.data import Data, FromScratch, ModelSource
from pricetag.recipes.glue import GLUE, glue_task, task_entry
from pricetag.recipes.not_before import NotBefore
from pricetag.recipes.plan import misfit
from pricetag.recipes.registry import REGISTRY, Stage, traits_of
from pricetag.recipes.shapes import described_shape
from pricetag.recipes.tasks import TASKS, TaskName, tasks_with

MAX_STAGES = 64

Tag = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), VISIBLE_ONLY
]
POOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
Pool = Annotated[str, StringConstraints(pattern=POOL_PATTERN)]


def _fault(field: str, message: str, **values: object) -> PydanticCustomError:
    return PydanticCustomError("recipe", message, {**values, "field": field})


class Recipe(Params):
    """Stages of a run in order, each on the model of the previous one."""

    task: TaskName | None = Field(default=None, description="What the model learns.")
    data: Data | None = Field(default=None, description="Data sets, with their columns.")
    model: ModelSource | None = Field(
        None,
        description="Folder, hub name, {config: {...}} to train from scratch, or "
        "{run: ID, stage: NAME} for a published model of an earlier run.",
    )
    stages: Annotated[list[Stage], Field(min_length=1, max_length=MAX_STAGES)] = Field(
        description="Stages in the order of execution."
    )

    @model_validator(mode="before")
    @classmethod
    def _task_of_glue(cls, values: object) -> object:
        """A task of GLUE need not be named twice."""
        if not isinstance(values, dict) or values.get("task") is not None:
            return values
        data = values.get("data")
        name = data.get("glue") if isinstance(data, dict) else getattr(data, "glue", None)
        task = glue_task(name)
        return values if task is None else {**values, "task": task.task}

    @property
    def runs_program(self) -> bool:
        """Whether the recipe runs programs instead of training."""
        return traits_of(self.stages[0]).runs_program

    def splits(self) -> dict[str, str]:
        """The splits of its data and the file of each; empty without data."""
        return {} if self.data is None else self.data.splits()

    @model_validator(mode="after")
    def _stages_fit_together(self) -> Self:
        if (wrong := traits_of(self.stages[0]).check_first(self.stages[0])) is not None:
            raise _fault(f"stages.0.{wrong.option}", "{what}", what=str(wrong))
        if self.runs_program:
            self._check_program()
        else:
            self._check_training()
            self._check_task()
            self._check_order()
            self._check_splits()
            self._check_shapes()
        return self

    def _check_program(self) -> None:
        first = self.stages[0].stage_kind()
        for index, stage in enumerate(self.stages):
            if not traits_of(stage).runs_program:
                raise _fault(
                    f"stages.{index}.kind",
                    "'{kind}' cannot follow a {first}: a {first} run has {first} stages only",
                    kind=stage.stage_kind(),
                    first=first,
                )
        for field in ("task", "data", "model"):
            if getattr(self, field) is not None:
                raise _fault(field, "is not used by a {first} run; remove it", first=first)

    def _check_training(self) -> None:
        for index, stage in enumerate(self.stages):
            if traits_of(stage).runs_program:
                raise _fault(
                    f"stages.{index}.kind",
                    "a {kind} cannot be mixed with training stages; submit it as its own run",
                    kind=stage.stage_kind(),
                )
        required = {
            "task": f"is missing: {' or '.join(TASKS)}",
            "data": "is missing: {{train: ..., validation: ..., text: ..., label: ...}}",
            "model": "is missing: a folder, a hub name, {{config: {{...}}}} or {{run: ID}}",
        }
        for field, message in required.items():
            if getattr(self, field) is None:
                raise _fault(field, message.replace("{{", "{").replace("}}", "}"))
        first = self.stages[0]
        if isinstance(self.model, FromScratch) and not traits_of(first).starts_from_scratch:
            starters = [e.kind for e in REGISTRY.values() if e.traits.starts_from_scratch]
            raise _fault(
                "stages.0.kind",
                "'{kind}' needs a trained model; a model from scratch starts with {starters}",
                kind=first.stage_kind(),
                starters=" or ".join(starters),
            )
        if isinstance(self.model, FromScratch):
            wrong = traits_of(first).check_scratch(first)
            if wrong is not None:
                raise _fault(f"stages.0.{wrong.option}", "{what}", what=str(wrong))
        for index, stage in enumerate(self.stages):
            if (wrong := traits_of(stage).check_model(stage, self.model)) is not None:
                raise _fault(f"stages.{index}.{wrong.option}", "{what}", what=str(wrong))

    def _check_task(self) -> None:
        """Stages, data and a new model must match the run's task."""
        assert self.data is not None
        assert self.task is not None
        task = task_entry(self.task, self.data.glue)
        if self.data.glue is not None and self.task != (right := GLUE[self.data.glue].task):
            raise _fault(
                "task",
                "must be {right} for {title}, not {task}; or remove it",
                right=right,
                title=task.shown,
                task=self.task,
            )
        for index, stage in enumerate(self.stages):
            works_on = traits_of(stage).tasks
            if task.name not in works_on:
                raise _fault(
                    f"stages.{index}.kind",
                    "'{kind}' does not work on {task}; it works on {tasks}",
                    kind=stage.stage_kind(),
                    task=task.name,
                    tasks=" and ".join(name for name in TASKS if name in works_on),
                )
            if (wrong := traits_of(stage).check_task(stage, task)) is not None:
                raise _fault(f"stages.{index}.{wrong.option}", "{what}", what=str(wrong))
        for option, field in Data.model_fields.items():
            owners = tasks_with(option)
            changed = getattr(self.data, option) != field.default
            if changed and owners and option not in task.options:
                owner_names = " and ".join(owners)
                raise _fault(f"data.{option}", "belongs to {whose}; remove it", whose=owner_names)
        block = self.data.block_size
        for index, stage in enumerate(self.stages):
            longest = getattr(stage, "max_length", None)
            if block is not None and longest is not None and block > longest:
                raise _fault(
                    f"stages.{index}.max_length",
                    "{longest} is less than data.block_size {block}: blocks would be cut",
                    longest=longest,
                    block=block,
                )
        if isinstance(self.model, FromScratch):
            model_type = self.model.config.model_type
            if model_type not in task.architectures:
                raise _fault(
                    "model.config.model_type",
                    "a model for {task} from scratch is {right}, not {made}",
                    task=task.name,
                    right=" or ".join(task.architectures),
                    made=model_type,
                )

    def _check_order(self) -> None:
        self._check_heads()
        last: StageParams | None = None
        for index, stage in enumerate(self.stages):
            traits = traits_of(stage)
            if last is not None and (traits.trains or traits.makes_model):
                raise _fault(
                    f"stages.{index}.kind",
                    "'{kind}' cannot follow {last}: {reason}; put it before",
                    kind=stage.stage_kind(),
                    last=last.stage_kind(),
                    reason=traits_of(last).final,
                )
            if traits.final is not None:
                last = stage

    def _check_heads(self) -> None:
        """A model without a head must get one by training before it is used."""
        for index, (before, stage) in enumerate(pairwise(self.stages), start=1):
            reason = traits_of(before).headless
            if reason is not None and not traits_of(stage).starts_from_scratch:
                raise _fault(
                    f"stages.{index}.kind",
                    "'{kind}' cannot follow {before}: {reason}; put a train stage between them",
                    kind=stage.stage_kind(),
                    before=before.stage_kind(),
                    reason=reason,
                )

    def _check_splits(self) -> None:
        splits = self.splits()
        for index, stage in enumerate(self.stages):
            for need in traits_of(stage).splits(stage):
                if need.split not in splits:
                    raise _fault(
                        f"data.{need.split}",
                        "is missing, but stage {index} ({kind}) needs it{unless}{glue}",
                        index=index,
                        kind=stage.stage_kind(),
                        unless=f" unless {need.option}: false" if need.option else "",
                        glue=_hint_of_glue(self.data, need.split),
                    )

    def _check_shapes(self) -> None:
        wrong = misfit(described_shape(self.model), self.stages)
        if wrong is not None:
            raise _fault(wrong.field, "{what}", what=wrong.message)


def _hint_of_glue(data: Data | None, split: str) -> str:
    if data is None or data.glue is None:
        return ""
    if split == "test":
        return "; GLUE's test labels are not published: use validation, or name a labeled file"
    return f"; of GLUE's tasks, MNLI alone has a {split} set"


class Resources(Params):
    """Requirements of a run on its worker."""

    gpus: int = Field(
        0, ge=0, le=1024, description="Number of accelerators; 0 for a run on the CPU."
    )
    pool: Pool = Field(default="default", description="Pool of workers.")
    power_limit_w: float | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Power limit of each accelerator while the run is executed (W); the worker "
        "restores the earlier one afterwards. NVIDIA only, and the worker must be root.",
    )

    @model_validator(mode="after")
    def _limits_something(self) -> Resources:
        if self.power_limit_w is not None and self.gpus == 0:
            raise ValueError("power_limit_w needs at least one accelerator (gpus)")
        return self


class RunSpec(Params):
    """One job: its place in the lab, its resources, and its recipe."""

    project: Name = Field(description="Name of the project; created if it does not exist.")
    experiment: Name = Field(description="Name of the experiment; created if it does not exist.")
    name: Name = Field(description="Name of the run.")
    tags: Annotated[list[Tag], Field(max_length=50)] = Field(
        default_factory=list, description="Tags by which the run can be found."
    )
    resources: Resources = Field(
        default=Resources(), description="Requirements of the run on its worker."
    )
    priority: int = Field(
        0, ge=-1000, le=1000, description="Priority in the queue; higher values start first."
    )
    not_before: NotBefore | None = Field(
        None,
        examples=["2031-01-02T03:00:00+01:00", "greenest within 12 h"],
        description="Earliest start: a time (ISO 8601 with time zone), or `greenest within N h` "
        "for the start with the lowest forecast carbon intensity in the next N hours (1 to 168).",
    )
    max_attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="Maximum number of attempts: lost and interrupted ones are repeated.",
    )
    recipe: Recipe = Field(description="Task, data, model and stages of the run.")


def runs_program(kind: str) -> bool:
    """Whether a run of this kind, as ``derive_kind`` gives it, runs programs of its author."""
    entries = (REGISTRY.get(part) for part in kind.split("+"))
    return any(entry is not None and entry.traits.runs_program for entry in entries)


def derive_kind(recipe: Recipe) -> str:
    """Kind of the run: its stage kinds, each once, as in ``train+quantize+measure``."""
    return "+".join(dict.fromkeys(stage.stage_kind() for stage in recipe.stages))
