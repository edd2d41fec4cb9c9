"""A quote from operations: the number in a recipe, and measured or nominal cost per operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.db import Session
from app.repositories.quotes import outcomes
from app.services.quoting import history
from app.services.quoting.likeness import Likeness, Step, trains
from models import Outcome
from pricetag.accounting.forecast.estimates import Forecast, Spread, predict
from pricetag.accounting.forecast.from_flops import (
    Seen,
    by_efficiency,
    nominal_duration_s,
    nominal_energy_kwh,
    training_flops_closed_form,
)
from pricetag.accounting.forecast.from_history import expect
from pricetag.accounting.work.flops import EncoderShape
from pricetag.recipes import REGISTRY
from pricetag.recipes.shapes import Shape
from pricetag.tag.figures import counted

NEWEST_IN_POOL = 200
MODEL_SPREAD = Spread(0.5)
"""Spread of the operations per example between data sets, whose text lengths differ."""

SPREADS = {"same-recipe": Spread(0.02), "same-shape": Spread(0.05), "same-stages": Spread(0.3)}


@dataclass(frozen=True, slots=True)
class Hardware:
    """The accelerators of a pool.

    Attributes:
        names: Product names.
        peak_flops_per_s: Dense 16-bit peak of one accelerator; None if the catalog has none, or
            if the accelerators differ.
        power_limit_w: Power limit of one accelerator; None if not reported.
    """

    names: tuple[str, ...]
    peak_flops_per_s: float | None
    power_limit_w: float | None


@dataclass(frozen=True, slots=True)
class Operations:
    """Counted operations of a recipe.

    Attributes:
        flops: Dense floating-point operations.
        how: How they were counted.
        skipped: Kinds of steps that are not included.
    """

    flops: Forecast
    how: str
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FromOperations:
    """Time and energy from operations, or the reasons why they are unknown."""

    operations: Operations
    duration_s: Forecast | str
    it_energy_kwh: Forecast | str
    how: str


class NoOperations(ValueError):  # noqa: N818 - it states why there is no such quote
    """Operations, or their cost, are unknown; the message says which."""


async def estimate(
    session: Session,
    recipe: Mapping[str, Any],
    likeness: Likeness,
    steps: Sequence[Step],
    *,
    project: str | None,
    pool: str,
    gpus: int,
    hardware: Hardware,
    former: Likeness | None = None,
) -> FromOperations:
    """Predicts time and energy of a recipe from its operations.

    Raises:
        NoOperations: If the operations or their cost in this pool are unknown.
    """
    operations = await _count(session, recipe, likeness, steps, former, project)
    rows = await outcomes.counted_in_pool(
        session, pool, gpus, project=project, limit=NEWEST_IN_POOL
    )
    times = [Seen(flops, duration_s) for flops, duration_s, _, _ in rows if duration_s]
    energies = [
        Seen(flops, kwh)
        for flops, _, kwh, coverage in rows
        if kwh and (coverage or 0.0) >= history.LEAST_COVERAGE_RATIO
    ]
    duration_s = by_efficiency(operations.flops, times)
    if duration_s is not None:
        return FromOperations(
            operations,
            duration_s,
            by_efficiency(operations.flops, energies) or "no run in this pool was fully metered",
            f"time and energy per operation of {counted(len(times), 'run')} in this pool",
        )
    return _nominal(operations, gpus, pool, hardware)


def _nominal(operations: Operations, gpus: int, pool: str, hardware: Hardware) -> FromOperations:
    if not gpus:
        raise NoOperations(f"no run with counted operations has ended in pool {pool!r} yet")
    if hardware.peak_flops_per_s is None:
        hardware_names = ", ".join(hardware.names) or "its nodes are unknown"
        raise NoOperations(
            f"no run with counted operations has ended in pool {pool!r} yet, and the peak of "
            f"its accelerators is not in the catalog ({hardware_names})"
        )
    duration_s = nominal_duration_s(
        operations.flops, peak_flops_per_s=hardware.peak_flops_per_s, devices=gpus
    )
    energy: Forecast | str = "the devices report no power limit"
    if hardware.power_limit_w is not None:
        energy = nominal_energy_kwh(duration_s, power_limit_w=hardware.power_limit_w, devices=gpus)
    how = f"2% to 60% of the peak of {hardware.names[0]}, 30% to 100% of its power, no host"
    return FromOperations(operations, duration_s, energy, how)


async def _count(
    session: Session,
    recipe: Mapping[str, Any],
    likeness: Likeness,
    steps: Sequence[Step],
    former: Likeness | None,
    project: str | None,
) -> Operations:
    if likeness.data_sha256 is None:
        raise NoOperations("a program's operations are not counted")
    planned = [step.work for step in steps]
    for level in history.LEVELS:
        rows: list[Outcome] = []
        for version in (likeness, former):
            if version is not None:
                value = getattr(version, level.fingerprint)
                rows += await outcomes.like_anywhere(
                    session, level.fingerprint, value, project=project, limit=20
                )
        runs = [history.like_run(row) for row in rows]
        expected = expect(runs, planned, SPREADS[level.name])
        if expected is not None and expected.flops is not None:
            return Operations(
                expected.flops, f"{counted(len(expected.runs), 'run')} of {level.text}"
            )
    return await _of_training(session, recipe, likeness, steps, project)


async def _of_training(
    session: Session,
    recipe: Mapping[str, Any],
    likeness: Likeness,
    steps: Sequence[Step],
    project: str | None,
) -> Operations:
    """Operations of the training steps alone, by examples."""
    flops: Forecast | None = None
    how = ""
    skipped = dict.fromkeys(step.kind for step in steps if not trains(step.kind))
    per_epoch = await _examples_per_epoch(session, likeness, project)
    rates = await _flops_per_example(session, likeness, project)
    for step in steps:
        if not trains(step.kind):
            continue
        examples = step.work.examples
        if examples is None and step.work.epochs is not None and per_epoch is not None:
            examples = step.work.epochs * per_epoch
        if examples == 0 or step.work.epochs == 0:
            continue
        if examples is None:
            raise NoOperations("no run has reported the number of examples in this data yet")
        step_flops, how = _training_step(recipe, step, examples, rates)
        flops = (
            step_flops
            if flops is None
            else Forecast(flops.value + step_flops.value, max(flops.log_half, step_flops.log_half))
        )
    if flops is None:
        raise NoOperations(
            "the recipe has no training stage, and no similar run has counted its operations"
        )
    return Operations(flops, how, tuple(skipped))


def _training_step(
    recipe: Mapping[str, Any], step: Step, examples: float, rates: Mapping[str, list[float]]
) -> tuple[Forecast, str]:
    if measured_rates := rates.get(step.kind):
        rate = predict(measured_rates, MODEL_SPREAD)
        return rate.times(
            examples
        ), f"operations per example in {counted(len(measured_rates), 'run')} of this model"
    model = recipe["model"] if isinstance(recipe["model"], Mapping) else {}
    config = None if model.get("architecture") else model.get("config")
    if config is None or not REGISTRY[step.kind].traits.starts_from_scratch:
        raise NoOperations(f"no run has counted the operations of '{step.kind}' on this model yet")
    stage = recipe["stages"][step.recipe_index]
    longest = min(int(stage["max_length"]), config["max_position_embeddings"])
    shapes = _trained_shapes(config, step.kind, stage)
    parts = [
        training_flops_closed_form(shape, examples=examples, max_length=longest) for shape in shapes
    ]
    flops = Forecast(sum(part.value for part in parts), max(part.log_half for part in parts))
    return flops, "the closed form of the model's shape, texts of 15% to 100% of max_length"


def _trained_shapes(
    config: Mapping[str, Any], kind: str, stage: Mapping[str, Any]
) -> list[EncoderShape]:
    """The model from scratch, and the network that a stage trains beside it, if any."""
    model = Shape(
        layers=config["num_hidden_layers"],
        hidden_size=config["hidden_size"],
        intermediate_size=config["intermediate_size"],
    )
    entry = REGISTRY[kind]
    companion = entry.traits.companion(entry.read(stage), model)
    return [
        EncoderShape(each.layers, each.hidden_size, each.intermediate_size, each.hidden_size)
        for each in (model, companion)
        if each is not None and each.layers and each.hidden_size and each.intermediate_size
    ]


async def _examples_per_epoch(
    session: Session, likeness: Likeness, project: str | None
) -> float | None:
    data = str(likeness.data_sha256)
    rows = await outcomes.with_same(session, "data_sha256", data, project=project, limit=20)
    for row in rows:
        for step in row.steps:
            examples, epochs = step["work"].get("examples"), step["work"].get("epochs")
            if examples and epochs and trains(step["kind"]):
                return float(examples / epochs)
    return None


async def _flops_per_example(
    session: Session, likeness: Likeness, project: str | None
) -> dict[str, list[float]]:
    """Operations per example of training steps on this model, by kind, on any data."""
    model = str(likeness.model_sha256)
    rows = await outcomes.with_same(session, "model_sha256", model, project=project, limit=20)
    by_kind: dict[str, list[float]] = {}
    for row in rows:
        for step in row.steps:
            examples = step["work"].get("examples")
            if trains(step["kind"]) and examples and step["flops"]:
                by_kind.setdefault(step["kind"], []).append(step["flops"] / examples)
    return by_kind
