"""Every kind that states a format works on a tiny model of that format, up to its artifact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pricetag.recipes import REGISTRY
from pricetag.recipes.plan import misfit
from pricetag.recipes.registry import kind_of
from pricetag.recipes.shapes import Shape
from tests.support.formats_of_kinds import (
    ARCHITECTURES,
    FORMATS,
    KINDS,
    MAKERS,
    SPARSE,
    Options,
    formats_in,
    models_for,
    options_of,
    task_of,
)
from tests.support.tasks import TASKS, task_files, task_recipe
from tests.support.training import CONFIG, carry_out, counted_once, data_set, recipe
from workers.training.formats import registry

SMALL: Options = {
    **{"max_steps": 2, "batch_size": 8, "max_length": 16, "precision": "fp32", "evaluate": False},
    **{"recovery_epochs": 0.1, "min_seconds": 0.01, "examples": 8, "calibration_examples": 8},
}
CLASSES = "classification"


PAIRS = [(kind, name) for kind in KINDS for name in models_for(kind)]
SHAPE = {**CONFIG, "num_attention_heads": 4}
PLAIN = Shape(4, 32, 4, 64, complete=True)


class Models:
    """Tiny models of each format, each made when it is needed first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        data_set(root / CLASSES, train=24, dev=8, test=4)
        for task in TASKS:
            task_files(root / task, task)

    def described(self, task: str, *stages: Options, model: Any) -> dict[str, Any]:
        if task == CLASSES:
            return recipe(*stages, model=model)
        return task_recipe(task, *stages, model=model)

    def folder(self, task: str, name: str) -> str:
        """Name of a model's folder under the task's data root."""
        place = self.root / task / name
        if not place.exists():
            work = self.root / f"work-{task}-{name}"
            stages = MAKERS[name]
            described = self.described(task, *stages, model=self.start(task, name))
            carry_out(self.root / task, described, work_dir=work, artifacts_dir=work / "artifacts")
            (work / f"stage-{len(stages) - 1:02}" / "model").rename(place)
        return name

    def start(self, task: str, name: str) -> Options:
        config = {**SHAPE, "model_type": "gpt2"} if task == "causal_lm" else SHAPE
        architecture = {"architecture": ARCHITECTURES[name]} if name in ARCHITECTURES else {}
        return {"config": config, **architecture}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with counted_once():
        yield Models(tmp_path_factory.mktemp("models"))


def small(kind: str, options: Options) -> Options:
    fields = REGISTRY[kind].params.model_fields
    changes = {key: value for key, value in SMALL.items() if key in fields}
    if "max_steps" in changes:
        options = {key: value for key, value in options.items() if key != "epochs"}
    if kind == "share-tied_embeddings":
        changes["embeddings"] = "untied"  # a BERT's are tied already
    if kind == "prune-qa":
        changes.pop("examples")  # of one criterion alone
    if not options.get("recovery_epochs"):
        changes.pop("recovery_epochs", None)  # it has none by default
    return {**options, **changes}


def fitting(kind: str, name: str) -> Options:
    """The first options of a kind with which it works on a format."""
    for options in options_of(kind):
        stage = REGISTRY[kind].params.model_validate(options)
        model = PLAIN if options.get("start") == "pretrained" else shape_of(name)
        if misfit(model, [stage], {0: PLAIN}) is None:
            return options
    raise AssertionError(f"{kind} has no options for {name}")


@pytest.mark.parametrize(("kind", "name"), PAIRS)
def test_a_kind_works_on_a_format_that_it_states(
    models: Models, tmp_path: Path, kind: str, name: str
) -> None:
    task, options = task_of(kind), fitting(kind, name)
    stages = [small(kind, options)]
    model = models.folder(task, name)
    if "student" in options and options["student"].get("model"):
        models.folder(task, "plain")
        stages[0]["student"] = {"model": "plain"}
    if options.get("start") == "pretrained":
        model = models.folder(task, "plain")
        stages = [*(small(kind_of(made), made) for made in MAKERS[name][1:]), *stages]
    described = models.described(task, *stages, model=model)
    reporter = carry_out(
        models.root / task, described, work_dir=tmp_path, artifacts_dir=tmp_path / "artifacts"
    )
    assert [event["status"] for event in reporter.of("stage_end")][-1] == "succeeded"
    if not REGISTRY[kind].traits.makes_model:
        return
    folder = tmp_path / f"stage-{len(stages) - 1:02}" / "model"
    made_formats = set(registry.read_notes(folder)) & set(FORMATS)
    assert made_formats == expected_formats(kind, stages[-1], name)
    if registry.read_notes(folder) and not REGISTRY[kind].traits.headless:
        loaded = registry.load(folder)
        ids = torch.arange(5, 13)[None]
        with torch.no_grad():
            outputs = loaded(input_ids=ids)
        assert all(
            torch.isfinite(value).all() for value in outputs.values() if torch.is_tensor(value)
        )


def expected_formats(kind: str, stage: Options, name: str) -> set[str]:
    """The formats after a stage, as the server knows them."""
    if stage.get("start") == "pretrained" or (stage.get("student") or {}).get("model"):
        return set()
    params = REGISTRY[kind].params.model_validate(stage)
    return set(REGISTRY[kind].traits.reshape(params, shape_of(name)).formats)


def shape_of(name: str) -> Shape:
    """The shape of a model by its name."""
    heads = None if "sliced" in formats_in(name) else PLAIN.heads
    return replace(PLAIN.of_format(*formats_in(name) - {SPARSE}), heads=heads)
