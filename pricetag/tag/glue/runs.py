"""Models made by runs on GLUE: methods, scores, and the energy of making them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from pricetag.accounting.document.records import QualityTag, StageTag
from pricetag.recipes import REGISTRY, kind_of
from pricetag.recipes.glue import GlueTask, glue_task
from pricetag.recipes.plan import Planned, plan_of_stored
from pricetag.recipes.registry import entry_of
from pricetag.recipes.training import FullTraining, Recovery
from pricetag.tag.names import shown_name
from pricetag.tag.variants import Variant, variants
from pricetag.tag.view import TagView

MAX_CHAIN = 32
"""Earlier runs that a model may go through."""

_INCIDENTAL = frozenset({"kind", "method", "name", "evaluate", "mid_evaluation"})
_OF_TRAINING = frozenset({*FullTraining.model_fields, *Recovery.model_fields})
"""Options that all trainings have: how long and how well they train, not by which method."""

Options = Mapping[str, str]


@dataclass(frozen=True)
class Method:
    """How one stage changes a model.

    Attributes:
        kind: Kind of the stage.
        options: Options of the method that differ from their defaults, as text.
        config: All options but names and seeds, as text.
    """

    kind: str
    options: Options
    config: Options

    def __str__(self) -> str:
        options = ", ".join(f"{name} {value}" for name, value in self.options.items())
        return f"{self.kind} ({options})" if options else self.kind


@dataclass(frozen=True)
class GlueRun:
    """A run's price tag with its recipe, as stored."""

    tag: TagView
    recipe: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        """ID of the run."""
        return self.tag.document.run_id

    @property
    def task(self) -> GlueTask | None:
        """The task of GLUE that its data are of."""
        return glue_task((self.recipe.get("data") or {}).get("glue"))

    @property
    def earlier_run(self) -> str | None:
        """ID of the run whose model it starts from."""
        return earlier_run(self.recipe)

    @cached_property
    def models(self) -> list[Made]:
        """The models that its stages made, in order; the first is the one it starts from."""
        return list(_models(self))


def earlier_run(recipe: Mapping[str, Any]) -> str | None:
    """ID of the run whose model a stored recipe starts from."""
    model = recipe.get("model")
    return str(model["run"]) if isinstance(model, Mapping) and "run" in model else None


@dataclass
class Made:
    """A model as it was after some stages of a run.

    Attributes:
        run: The run.
        makers: Keys of the stages that made it.
        methods: The methods of these stages.
        stage: Name of the last of them.
        scores: The official metrics by split and name.
        variant: Result of a measure stage; None if there was none.
    """

    run: GlueRun
    makers: tuple[str, ...]
    methods: tuple[Method, ...]
    stage: str | None
    scores: dict[tuple[str, str], QualityTag] = field(default_factory=dict)
    variant: Variant | None = None

    def making_stages(self) -> list[StageTag]:
        """The stages that made it, in all attempts; failed ones cost too, reused ones do not."""
        stages = self.run.tag.document.stages
        return [stage for stage in stages if stage.key in self.makers and stage.status != "reused"]


@dataclass(frozen=True)
class Start:
    """The model that a run starts from.

    Attributes:
        name: Name of the model that no run made.
        identity: Its folder, name on the hub, or shape.
        made: The models of earlier runs, in order.
        missing: Why a part of the chain is unknown.
    """

    name: str
    identity: str
    made: tuple[Made, ...] = ()
    missing: str | None = None


def start_of(run: GlueRun, runs: Mapping[str, GlueRun], depth: int = 0) -> Start:
    """The model that a run starts from, back to one that no run made.

    Args:
        run: The run.
        runs: Runs by ID, with those that models come from.
        depth: Number of runs that came after it.
    """
    model = run.recipe.get("model")
    if isinstance(model, str):
        return Start(PurePosixPath(model).name or model, model)
    if not isinstance(model, Mapping) or "run" not in model:
        return Start(_shape(model), json.dumps(model, sort_keys=True))
    run_id = str(model["run"])
    earlier = runs.get(run_id)
    start_model = None if earlier is None else _named(earlier, model.get("stage"))
    if earlier is None or start_model is None or depth >= MAX_CHAIN:
        reason = f"the model of run {run_id[:8]}, which it starts from, has no price tag here"
        return Start(f"model of run {run_id[:8]}", run_id, missing=reason)
    start = start_of(earlier, runs, depth + 1)
    return Start(start.name, start.identity, (*start.made, start_model), start.missing)


def _named(run: GlueRun, stage: str | None) -> Made | None:
    """The model that a stage made, by its name, or the run's last one."""
    candidates = [model for model in run.models if model.makers and stage in (None, model.stage)]
    return candidates[-1] if candidates else None


def _shape(model: Any) -> str:
    """A model from scratch in words: ``bert 4 x 32 from scratch``."""
    config = (model or {}).get("config") or {}
    layers, width = config.get("num_hidden_layers"), config.get("hidden_size")
    return f"{config.get('model_type', 'model')} {layers} x {width} from scratch"


def _models(run: GlueRun) -> Iterator[Made]:
    by_makers: dict[tuple[str, ...], Made] = {}
    stages = run.recipe.get("stages") or []
    # A recipe may have kinds of a version that is no longer installed.
    steps = plan_of_stored(run.recipe) if stages and all(map(entry_of, stages)) else []
    measured = {variant.stage: variant for variant in variants(run.tag.document)}
    for attempt in sorted({stage.attempt for stage in run.tag.document.stages}):
        _add_attempt(run, attempt, steps, measured, by_makers)
    return iter(by_makers.values())


def _add_attempt(
    run: GlueRun,
    attempt: int,
    steps: Sequence[Planned],
    measured: Mapping[str, Variant],
    by_makers: dict[tuple[str, ...], Made],
) -> None:
    """Add the models of an attempt; scores of a later attempt replace those of an earlier one."""
    stages = [stage for stage in run.tag.document.stages if stage.attempt == attempt]
    top = sorted((s for s in stages if s.parent is None), key=lambda stage: stage.index)
    current = by_makers.setdefault((), Made(run, (), (), None))
    for place, stage in enumerate(top):
        entry = REGISTRY.get(stage.kind)
        if entry is None or entry.traits.makes_model:
            step = steps[place] if place < len(steps) else None
            fits = step is not None and step.params.stage_kind() == stage.kind
            method = _method(step) if step is not None and fits else Method(stage.kind, {}, {})
            makers = (*current.makers, stage.key)
            after = Made(run, makers, (*current.methods, method), shown_name(stage))
            current = by_makers.setdefault(makers, after)
            continue
        parts = [stage, *(part for part in stages if part.parent == stage.key)]
        _add_scores(current, [item for part in parts for item in part.quality])
        current.variant = measured.get(stage.key, current.variant)


def _add_scores(model: Made, figures: Sequence[QualityTag]) -> None:
    task = model.run.task
    for item in figures:
        if task and item.metric in task.metrics and item.split in task.score_splits:
            model.scores[(str(item.split), item.metric)] = item


def _method(step: Planned) -> Method:
    stage = step.params.model_dump(mode="json")
    entry = REGISTRY[kind_of(stage)]
    traits = entry.traits
    options = entry.without_later(stage)
    fields = entry.params.model_fields
    config = {
        name: value
        for name, value in options.items()
        if name not in _INCIDENTAL | traits.seeds and not name.startswith("checkpoint_")
    }
    own = {
        name: value
        for name, value in config.items()
        if name not in _OF_TRAINING | traits.amount | traits.tuning
        and value is not None
        and (fields[name].is_required() or value != _default(entry.params, name))
    }
    return Method(step.params.stage_kind(), dict(_flat(own)), dict(_flat(config)))


def _default(params: Any, name: str) -> Any:
    default = params.model_fields[name].get_default(call_default_factory=True)
    return default.model_dump(mode="json") if hasattr(default, "model_dump") else default


def _flat(options: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Options as text, those within others with a dot: ``student.layers``."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        elif value is not None:
            yield before + name, value if isinstance(value, str) else json.dumps(value)
