"""Similarity of runs: fingerprints of a recipe, its steps, and the work in each step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pricetag.accounting.forecast.from_history import Work
from pricetag.recipes import REGISTRY, Data, kind_of, traits_of
from pricetag.recipes.base import Split
from pricetag.recipes.plan import plan_of_stored
from pricetag.recipes.registry import runs_program
from pricetag.recipes.training import Optimisation
from pricetag.recipes.training import examples_per_step as of_options

NAMES = frozenset({"name"})
"""Options that only change the name of a stage."""

FIRST_DATA_OPTIONS = frozenset(
    {*("hub", "config", "revision", "train", "validation", "test", "text", "text_pair", "label")}
)
"""Options of data that existed when the first fingerprints were stored."""

SPLITS: tuple[str, ...] = get_args(Split)

SCRIPTS = (".py", ".sh", ".r", ".jl", ".pl", ".rb", ".js", ".lua", ".ipynb")

Recipe = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One top-level stage as a worker runs it; ``automatic`` evaluations follow training."""

    kind: str
    recipe_index: int
    automatic: bool
    work: Work
    reports_whole: bool  # whether its progress covers the whole stage


@dataclass(frozen=True, slots=True)
class Likeness:
    """Fingerprints of a run, strictest first.

    Attributes:
        recipe_sha256: Equal for the same work, apart from names and seeds.
        shape_sha256: Equal for the same steps with any amount of work; the script of a program.
        family_sha256: Equal for the same kinds of steps on the same model and data.
        data_sha256: Equal for the same task on the same data; None for a program.
        model_sha256: Equal for the same model; None for a program.
    """

    recipe_sha256: str
    shape_sha256: str
    family_sha256: str
    data_sha256: str | None
    model_sha256: str | None


def likeness(recipe: Recipe, *, every_split: bool = False) -> Likeness:
    """The fingerprints of a stored recipe, with defaults filled in.

    Splits that no step reads only change ``data_sha256``.

    Args:
        recipe: The stored recipe.
        every_split: Whether unread splits count, too, as in the fingerprints that earlier versions
            stored.
    """
    head = {name: recipe.get(name) for name in ("task", "data", "model")}
    of_data = _sha256([head["task"], _data(head["data"])])
    head["data"] = _data(head["data"], frozenset() if every_split else _unread(recipe))
    stages = list(recipe["stages"])
    exact = _sha256([head, [_without(stage, _incidental(stage)) for stage in stages]])
    if runs_program(recipe):
        script = [_script(stage) for stage in stages]
        loose = _sha256([head, script]) if all(script) else exact
        return Likeness(exact, loose, loose, None, None)
    kinds = [step.params.stage_kind() for step in plan_of_stored(recipe)]
    return Likeness(
        recipe_sha256=exact,
        shape_sha256=_sha256([head, [_without(stage, _scaled(stage)) for stage in stages]]),
        family_sha256=_sha256([head, kinds]),
        data_sha256=of_data,
        model_sha256=_sha256(head["model"]),
    )


def former_likeness(recipe: Recipe) -> Likeness | None:
    """The fingerprints that earlier versions stored; None if they are the same."""
    return likeness(recipe, every_split=True) if _unread(recipe) else None


def _unread(recipe: Recipe) -> frozenset[str]:
    """Splits of the data that no step reads."""
    data = recipe.get("data")
    if data is None or runs_program(recipe):
        return frozenset()
    read = {
        need.split
        for step in plan_of_stored(recipe)
        for need in traits_of(step.params).splits(step.params)
    }
    return frozenset(name for name in SPLITS if data.get(name) is not None) - read


def _data(
    data: Mapping[str, Any] | None, unread: frozenset[str] = frozenset()
) -> dict[str, Any] | None:
    """The data without unread splits, and options of later versions with their default value."""
    if data is None:
        return None
    data = {name: None if name in unread else value for name, value in data.items()}
    defaults = {name: field.get_default() for name, field in Data.model_fields.items()}
    return {
        name: value
        for name, value in data.items()
        if name in FIRST_DATA_OPTIONS or value != defaults.get(name)
    }


def _incidental(stage: Mapping[str, Any]) -> frozenset[str]:
    """Options that change only the name of the stage, and chance."""
    return NAMES | REGISTRY[kind_of(stage)].traits.seeds


def _scaled(stage: Mapping[str, Any]) -> frozenset[str]:
    """Options that change only the amount of work of a stage."""
    traits = REGISTRY[kind_of(stage)].traits
    return _incidental(stage) | traits.amount | traits.tuning


def _without(stage: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """The stage without these and without unset options: later versions may have more options."""
    options = REGISTRY[kind_of(stage)].without_later(stage)
    set_options = {name: value for name, value in options.items() if value not in (None, {}, [])}
    return {name: value for name, value in set_options.items() if name not in names}


def _script(stage: Mapping[str, Any]) -> list[str] | None:
    """A program and its script, without arguments; None if there is no script.

    Scripts with one name in two folders differ; a script is the same in all commits.
    """
    argv = stage["argv"]
    code = stage.get("code")
    place_of_code = [] if code is None else [code["git"] if isinstance(code, Mapping) else code]
    for place, argument in enumerate(argv[:8]):
        if argument == "-m" and place + 1 < len(argv):
            return [*place_of_code, *argv[: place + 2]]
        if argument.lower().endswith(SCRIPTS):
            return [*place_of_code, *argv[: place + 1]]
    return None


def _sha256(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def steps(recipe: Recipe, gpus: int) -> list[Step]:
    """The steps of a recipe in the order of their keys: each stage, and its evaluation."""
    return [
        Step(
            kind=step.params.stage_kind(),
            recipe_index=step.index,
            automatic=step.automatic,
            work=traits_of(step.params).work(step.params, max(gpus, 1)),
            reports_whole=traits_of(step.params).counts_whole(step.params),
        )
        for step in plan_of_stored(recipe)
    ]


def trains(kind: str) -> bool:
    """Whether stages of a kind train; False for kinds that this version does not have."""
    entry = REGISTRY.get(kind)
    return entry is not None and entry.traits.trains


def examples_per_step(stage: Mapping[str, Any], devices: int) -> float | None:
    """Examples per optimizer step, over all devices; None if the stage has no such steps."""
    params = REGISTRY[kind_of(stage)].read(stage)
    return float(of_options(params, devices)) if isinstance(params, Optimisation) else None
