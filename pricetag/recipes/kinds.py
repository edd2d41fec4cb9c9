"""What the rest of the system must know about a stage kind: its entry and its traits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes.base import Split, StageParams
from pricetag.recipes.shapes import MisfitError, Shape
from pricetag.recipes.tasks import TASKS

P = TypeVar("P", bound=StageParams)

Group = Literal["training", "evaluation", "compression", "measurement", "program"]
GROUPS: tuple[Group, ...] = ("training", "evaluation", "compression", "measurement", "program")
"""What a kind is for; lists of kinds are in this order, then by name."""


@dataclass(frozen=True, slots=True)
class SplitNeed:
    """A split that a stage reads; ``option: false`` spares it, where there is such an option."""

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


def _same_shape(params: Any, shape: Shape) -> Shape:
    return shape


@dataclass(frozen=True, kw_only=True)
class Traits(Generic[P]):
    """How stages of a kind behave. The defaults are those of a stage that only reads.

    Attributes:
        group: What the kind is for.
        trains: Its weights change by optimizer steps, with checkpoints to resume from.
        all_ranks: Every process of a job on several devices takes part; else rank 0 alone.
        evaluates_after: An evaluation follows by itself unless ``evaluate: false``.
        makes_model: It leaves a model that the next stage takes and that is published.
        final: Why the model it leaves can be neither trained nor compressed further.
        starts_from_scratch: It may be the first stage of a model with random weights.
        runs_program: It runs a program of its author's own, in a run without task and model.
        measures_model: It reports size, speed and quality of the current model.
        tasks: The tasks that it works on.
        splits: The splits that it reads.
        work: How much it has to do, on a number of devices, as far as its options say so.
        counts_whole: Whether ``done`` of ``total`` counts the whole stage, not a part of it.
        reshape: The shape of the model after the stage; raises ``MisfitError``.
        check_first: Why a run cannot begin with the stage, by its options alone.
        amount: Options that say how much is done: the figures of earlier runs are scaled by them.
        tuning: Options that change what is learned and hardly what it takes.
        seeds: Options that seed its random numbers.
    """

    group: Group
    trains: bool = False
    all_ranks: bool = False
    evaluates_after: bool = False
    makes_model: bool = False
    final: str | None = None
    starts_from_scratch: bool = False
    runs_program: bool = False
    measures_model: bool = False
    tasks: frozenset[str] = frozenset(TASKS)
    splits: Callable[[P], tuple[SplitNeed, ...]] = _no_splits
    work: Callable[[P, int], Work] = _no_count
    counts_whole: Callable[[P], bool] = _never
    reshape: Callable[[P, Shape], Shape] = _same_shape
    check_first: Callable[[P], MisfitError | None] = _no_fault
    amount: frozenset[str] = frozenset()
    tuning: frozenset[str] = frozenset()
    seeds: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Paper:
    """The publication a technique follows."""

    citation: str
    url: str


@dataclass(frozen=True)
class RecipeEntry(Generic[P]):
    """One stage kind, described once.

    Raises:
        ValueError: The traits name a task that does not exist, or an option that the parameters
            do not have.
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
        if traits.evaluates_after:
            named |= {"evaluate", "max_length"}
        if unknown := sorted(traits.tasks - set(TASKS)):
            raise ValueError(f"{self.kind}: traits name unknown tasks: {', '.join(unknown)}")
        missing = sorted(named - set(self.params.model_fields))
        if missing:
            raise ValueError(f"{self.kind}: traits name unknown options: {', '.join(missing)}")

    @property
    def kind(self) -> str:
        """The kind's name in a recipe; its files are called the same."""
        return str(self.params.model_fields["kind"].default)

    @property
    def module(self) -> str:
        """Where its code is, imported in a job's own process alone."""
        return f"workers.recipes.{self.kind}"

    def read(self, stored: Any) -> P:
        """The parameters of a stored stage; options that this version does not have are dropped."""
        fields = self.params.model_fields
        return self.params.model_validate({k: v for k, v in stored.items() if k in fields})

    def describe(self) -> dict[str, Any]:
        """The entry as plain data, with the JSON schema of its parameters."""
        return {
            "kind": self.kind,
            "title": self.title,
            "summary": self.summary,
            "paper": {"citation": self.paper.citation, "url": self.paper.url},
            "schema": self.params.model_json_schema(),
            "example": self.example,
        }
