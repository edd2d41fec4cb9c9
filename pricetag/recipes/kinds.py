"""Entries and traits of stage kinds: all that the rest of the system must know about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.base import Split, StageParams
from pricetag.recipes.shapes import ALL_FORMATS, MisfitError, Shape
from pricetag.recipes.tasks import TASKS, TaskEntry

P = TypeVar("P", bound=StageParams)

Group = Literal["training", "evaluation", "compression", "measurement", "program"]
GROUPS: tuple[Group, ...] = ("training", "evaluation", "compression", "measurement", "program")
"""Groups of stage kinds; lists are sorted in this order, then by name."""


@dataclass(frozen=True, slots=True)
class SplitNeed:
    """A split that a stage reads, unless its ``option`` (if any) is false."""

    split: Split
    option: str | None = None


def _no_splits(params: Any) -> tuple[SplitNeed, ...]:
    return ()


def _no_count(params: Any, devices: int) -> Work:
    return Work()


def _never(params: Any) -> bool:
    return False


def _no_fault(params: Any) -> MisfitError | None:
    return None


def _no_fault_with_model(params: Any, model: object) -> MisfitError | None:
    return None


def _no_fault_with_task(params: Any, task: TaskEntry) -> MisfitError | None:
    return None


def _same_shape(params: Any, shape: Shape) -> Shape:
    return shape


def _alone(params: Any, shape: Shape) -> Shape | None:
    return None


@dataclass(frozen=True, kw_only=True)
class Traits(Generic[P]):
    """Behavior of the stages of a kind; the defaults describe a stage that only reads.

    Attributes:
        group: Group of the kind.
        trains: Whether optimizer steps change its weights, with checkpoints to resume from.
        all_ranks: Whether all processes of a job on several devices take part, not only rank 0.
        evaluates_after: Whether an evaluation follows automatically unless ``evaluate: false``.
        evaluates_train: Whether that evaluation reads the training split too, for the gap between
            both.
        continues: Whether it can continue the training of the same stage of an earlier run from its
            published model, as the rungs of a study do.
        makes_model: Whether it produces a model, which is published and passed to the next stage.
        final: Reason why its model can be neither trained nor compressed further.
        headless: Why its model must be trained before it is used; None if it has a head.
        starts_from_scratch: Whether it may be the first stage of a model with random weights, or
            follow a stage whose model is ``headless``.
        finds_tickets: Whether its models are lottery tickets, which win or lose against the full
            model over seeds, unless the option ``control`` names a control.
        runs_program: Whether it runs the author's own program, without task and model.
        measures_model: Whether it reports size, speed and quality of the current model.
        tasks: Tasks that it supports.
        formats: Formats of models on which it works beside plain and pruned ones, with some of
            its options; every kind that takes a model states them.
        splits: Splits that it reads.
        work: Amount of work on a number of devices, as far as its options determine it.
        counts_whole: Whether ``done`` of ``total`` counts the whole stage, not a part of it.
        reshape: Shape of the model after the stage; raises ``MisfitError``.
        companion: Shape of a network that is trained beside a model of a shape; None without one.
        check_first: Reason why a run cannot begin with the stage, from its options alone.
        check_scratch: Reason why a model with random weights cannot begin with the stage, from its
            options, if ``starts_from_scratch``.
        check_model: Reason why the stage's options do not fit the run's model, as submitted.
        check_task: Reason why the stage's options do not fit the run's task.
        amount: Options for the amount of work, by which figures of earlier runs are scaled.
        tuning: Options that change the learned model, but hardly the usage.
        seeds: Options that seed its random numbers.
        later: Options that the kind got after its first runs, also ``option.part``. At their
            default they are not part of fingerprints and step keys, so that those stored before
            stay equal.
    """

    group: Group
    trains: bool = False
    all_ranks: bool = False
    evaluates_after: bool = False
    evaluates_train: bool = False
    continues: bool = False
    makes_model: bool = False
    final: str | None = None
    headless: str | None = None
    starts_from_scratch: bool = False
    finds_tickets: bool = False
    runs_program: bool = False
    measures_model: bool = False
    tasks: frozenset[str] = frozenset(TASKS)
    formats: frozenset[str] | None = None
    splits: Callable[[P], tuple[SplitNeed, ...]] = _no_splits
    work: Callable[[P, int], Work] = _no_count
    counts_whole: Callable[[P], bool] = _never
    reshape: Callable[[P, Shape], Shape] = _same_shape
    companion: Callable[[P, Shape], Shape | None] = _alone
    check_first: Callable[[P], MisfitError | None] = _no_fault
    check_scratch: Callable[[P], MisfitError | None] = _no_fault
    check_model: Callable[[P, object], MisfitError | None] = _no_fault_with_model
    check_task: Callable[[P, TaskEntry], MisfitError | None] = _no_fault_with_task
    amount: frozenset[str] = frozenset()
    tuning: frozenset[str] = frozenset()
    seeds: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Paper:
    """The publication of a technique."""

    citation: str
    url: str


@dataclass(frozen=True)
class RecipeEntry(Generic[P]):
    """The description of one stage kind.

    Raises:
        ValueError: If the traits contain an unknown task or format, or an option that the
            parameters do not have, or do not state the formats that the kind works on.
    """

    params: type[P]
    title: str
    summary: str
    paper: Paper
    example: dict[str, Any]
    traits: Traits[P] = field(repr=False)

    def __post_init__(self) -> None:
        traits = self.traits
        named = traits.amount | traits.tuning | traits.seeds
        named |= {path.split(".")[0] for path in traits.later}
        if traits.evaluates_after:
            named |= {"evaluate", "max_length"}
        if unknown := sorted(traits.tasks - set(TASKS)):
            raise ValueError(f"{self.kind}: traits name unknown tasks: {', '.join(unknown)}")
        if traits.formats is None and not traits.runs_program:
            raise ValueError(f"{self.kind}: traits must state the formats that the kind works on")
        if unknown := sorted((traits.formats or frozenset()) - ALL_FORMATS):
            raise ValueError(f"{self.kind}: traits name unknown formats: {', '.join(unknown)}")
        missing = sorted(named - set(self.params.model_fields))
        if missing:
            raise ValueError(f"{self.kind}: traits name unknown options: {', '.join(missing)}")

    @property
    def kind(self) -> str:
        """Name of the kind: that in recipes, followed by the method where it must be named."""
        return self.params.stage_kind()

    @property
    def family(self) -> str:
        """The kind as recipes write it, which several methods may share."""
        return str(self.params.model_fields["kind"].default)

    @property
    def file_name(self) -> str:
        """Name of the kind's files, without the ending."""
        return self.kind.replace("-", "_")

    @property
    def module(self) -> str:
        """Module of its code, imported only in a job's own process."""
        return f"workers.recipes.{self.file_name}"

    def read(self, stored: Any) -> P:
        """The parameters of a stored stage, without options that this version does not have."""
        fields = self.params.model_fields
        return self.params.model_validate({k: v for k, v in stored.items() if k in fields})

    def without_later(self, stage: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a stage, as JSON, without ``later`` ones at their default value."""
        options = dict(stage)
        for path in self.traits.later:
            name, _, part = path.partition(".")
            default = self._default(name)
            if not part:
                if name in options and options[name] == default:
                    del options[name]
            elif isinstance(parts := options.get(name), Mapping):
                same = part in parts and parts[part] == default[part]
                options[name] = {k: v for k, v in parts.items() if not (same and k == part)}
        return options

    def _default(self, option: str) -> Any:
        """The default of an option, as JSON."""
        default = self.params.model_fields[option].get_default(call_default_factory=True)
        return default.model_dump(mode="json") if isinstance(default, BaseModel) else default

    def describe(self) -> dict[str, Any]:
        """The entry as plain data, with the JSON schema of its parameters."""
        return {
            "kind": self.kind,
            "family": self.family,
            "title": self.title,
            "summary": self.summary,
            "paper": {"citation": self.paper.citation, "url": self.paper.url},
            "schema": self.params.model_json_schema(),
            "example": self.example,
        }
