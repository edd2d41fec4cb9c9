from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pricetag.recipes import RecipeError, derive_kind, parse_recipe, parse_run_spec
from pricetag.recipes.methods.train import Train
from pricetag.recipes.registry import REGISTRY

Run = dict[str, Any]

VALID: Run = {
    "project": "text",
    "experiment": "sst2",
    "name": "MiniLM fine-tuned, then int8",
    "tags": ["sst2", "minilm"],
    "resources": {"gpus": 0, "pool": "default"},
    "recipe": {
        "task": "classification",
        "data": {
            "train": "data/sst2/train.tsv",
            "validation": "data/sst2/dev.tsv",
            "text": "sentence",
            "text_pair": None,
            "label": "label",
        },
        "model": "models/minilm",
        "stages": [
            {"kind": "train", "epochs": 1, "batch_size": 32, "learning_rate": 1e-4, "seed": 0},
            {"kind": "quantize", "scheme": "int8_dynamic", "embeddings": True},
            {"kind": "measure", "batch_size": 1},
        ],
    },
}
COMMAND: Run = {
    "project": "p",
    "experiment": "e",
    "name": "n",
    "recipe": {"stages": [{"kind": "command", "argv": ["true"]}]},
}


def changed(change: Callable[[Run], object], base: Run = VALID) -> Run:
    run = copy.deepcopy(base)
    change(run)
    return run


def fault(run: object) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_run_spec(run)
    return caught.value


def set_stage(index: int, **fields: Any) -> Callable[[Run], object]:
    return lambda run: run["recipe"]["stages"][index].update(fields)


def test_the_documented_shape_is_read_with_its_values_and_defaults() -> None:
    spec = parse_run_spec(VALID)
    stage = spec.recipe.stages[0]
    assert isinstance(stage, Train)
    assert (stage.batch_size, stage.learning_rate, stage.effective_epochs) == (32, 1e-4, 1.0)
    assert (spec.priority, spec.max_attempts, spec.not_before) == (0, 3, None)


def test_a_stored_recipe_is_read_back_equal() -> None:
    spec = parse_run_spec({**VALID, "not_before": "2031-01-02T03:04:05+00:00"})
    assert spec.not_before == datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert parse_run_spec(spec.model_dump(mode="json")) == spec
    assert parse_recipe(spec.recipe.model_dump(mode="json")) == spec.recipe


@pytest.mark.parametrize(
    ("stages", "kind"),
    [
        (VALID["recipe"]["stages"], "train+quantize+measure"),
        ([{"kind": "train"}, {"kind": "train"}, {"kind": "measure"}], "train+measure"),
    ],
)
def test_kind_names_each_stage_kind_once(stages: list[Run], kind: str) -> None:
    run = changed(lambda run: run["recipe"].update(stages=stages))
    assert derive_kind(parse_run_spec(run).recipe) == kind


def test_kind_of_a_command() -> None:
    assert derive_kind(parse_run_spec(COMMAND).recipe) == "command"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (lambda r: r.pop("project"), "project", "is missing"),
        (lambda r: r.update(base={"recipe": r.pop("recipe")}), "base", "pricetag study"),
        (lambda r: r.update(nmae="x"), "nmae", "not a known field"),
        (lambda r: r.update(name=3), "name", "must be text"),
        (lambda r: r.update(name="x" * 201), "name", "at most 200"),
        (lambda r: r.update(name="   "), "name", "must not be empty"),
        (lambda r: r.update(tags="a"), "tags", "list"),
        (lambda r: r.update(priority=True), "priority", "whole number"),
        (lambda r: r.update(not_before="2031-01-02T03:04:05"), "not_before", "time zone"),
        (lambda r: r["resources"].update(gpus=-1), "resources.gpus", "must be at least 0 (got -1)"),
        (lambda r: r["resources"].update(gpus=1.5), "resources.gpus", "whole number"),
        (lambda r: r["resources"].update(pool="a b"), "resources.pool", "letters, digits"),
        (lambda r: r["recipe"].pop("task"), "recipe.task", "classification or regression"),
        (lambda r: r["recipe"].pop("model"), "recipe.model", "{config: {...}}"),
        (lambda r: r["recipe"].pop("data"), "recipe.data", "train: ..."),
        (lambda r: r["recipe"].update(task="ner"), "recipe.task", "regression"),
        (lambda r: r["recipe"].update(stages=[]), "recipe.stages", "at least 1"),
        (
            lambda r: r["recipe"].update(stages=[{"kind": "train"}] * 65),
            "recipe.stages",
            "at most 64",
        ),
        (
            lambda r: r["recipe"]["data"].update(train="../train.tsv"),
            "recipe.data.train",
            "data roots",
        ),
        (lambda r: r["recipe"]["data"].update(train="t.pkl"), "recipe.data.train", ".parquet"),
        (lambda r: r["recipe"]["data"].update(config="sst2"), "recipe.data.config", "hub"),
        (lambda r: r["recipe"]["data"].update(hub="/etc"), "recipe.data.hub", "OWNER/NAME"),
        (lambda r: r["recipe"]["data"].update(hub="../private"), "recipe.data.hub", "OWNER/NAME"),
        (
            lambda r: r["recipe"]["data"].update(hub="http://10.0.0.1"),
            "recipe.data.hub",
            "OWNER/NAME",
        ),
        (lambda r: r["recipe"]["data"].update(label="sentence"), "recipe.data", "different"),
        (lambda r: r["recipe"]["data"].pop("validation"), "recipe.data.validation", "evaluate"),
        (lambda r: r["recipe"].update(model=3), "recipe.model", "must be text"),
        (lambda r: r["recipe"].update(model="../m"), "recipe.model", "'..'"),
        (
            lambda r: r["recipe"].update(
                model={"config": {"hidden_size": 10, "num_attention_heads": 3}},
            ),
            "recipe.model.config.num_attention_heads",
            "not a multiple",
        ),
        (set_stage(0, epochs=0), "recipe.stages.0.epochs", "greater than 0"),
        (set_stage(0, epochs="1"), "recipe.stages.0.epochs", "number"),
        (set_stage(0, max_steps=3), "recipe.stages.0.max_steps", "not both"),
        (set_stage(0, seed=2**32), "recipe.stages.0.seed", "must be at most"),
        (set_stage(1, scheme="int4"), "recipe.stages.1.scheme", "int8_dynamic"),
        (set_stage(2, batch_size=0), "recipe.stages.2.batch_size", "(got 0)"),
        (set_stage(2, split="dev"), "recipe.stages.2.split", "validation"),
    ],
)
def test_an_error_names_its_field_and_valid_values(
    change: Callable[[Run], object], field: str, says: str
) -> None:
    error = fault(changed(change))
    assert error.field == field
    assert says in f"{error.message} {error.hint}"


def test_unknown_kind_names_the_nearest_and_all_known() -> None:
    error = fault(changed(set_stage(0, kind="trian")))
    assert error.field == "recipe.stages.0.kind"
    assert error.hint is not None
    assert "did you mean 'train'?" in error.hint
    assert "quantize" in error.hint


@pytest.mark.parametrize("stage", [{}, {"kind": None}, {"kind": ["train"]}, {"kind": {}}])
def test_an_invalid_kind_is_rejected(stage: Run) -> None:
    error = fault(changed(lambda r: r["recipe"].update(stages=[stage])))
    assert error.field == "recipe.stages.0.kind"


def test_an_unknown_option_names_the_nearest() -> None:
    error = fault(changed(set_stage(0, epoch=1)))
    assert (error.field, error.message) == ("recipe.stages.0.epoch", "is not a known field")
    assert error.hint is not None
    assert error.hint.startswith("did you mean 'epochs'?")


def test_every_error_is_reported() -> None:
    error = fault(changed(lambda r: r.update(priority="high", max_attempts=0)))
    assert {one.field for one in error.errors} == {"priority", "max_attempts"}
    assert all(one.field in str(error) for one in error.errors)


@pytest.mark.parametrize(
    ("stages", "field"),
    [
        ([{"kind": "quantize"}, {"kind": "train"}], "recipe.stages.1.kind"),
        ([{"kind": "quantize"}, {"kind": "quantize"}], "recipe.stages.1.kind"),
        ([{"kind": "train"}, {"kind": "command", "argv": ["a"]}], "recipe.stages.1.kind"),
        ([{"kind": "command", "argv": ["a"]}, {"kind": "train"}], "recipe.stages.1.kind"),
        ([{"kind": "evaluate", "splits": ["test"]}], "recipe.data.test"),
        (
            [{"kind": "distill", "student": {"layers": [2, 1]}}],
            "recipe.stages.0.student.layers",
        ),
        ([{"kind": "distill", "student": {"layers": 0}}], "recipe.stages.0.student.layers"),
        ([{"kind": "distill", "student": {"layers": "last"}}], "recipe.stages.0.student.layers"),
        ([{"kind": "prune", "sparsity": 1.0}], "recipe.stages.0.sparsity"),
        ([{"kind": "prune", "sparsity": 0.5, "rounds": 2}], "recipe.stages.0.rounds"),
        ([{"kind": "prune", "sparsity": 0.5, "mode": "iterative"}], "recipe.stages.0.rounds"),
        ([3], "recipe.stages.0"),
    ],
)
def test_stages_that_do_not_fit_together_are_rejected(stages: list[Any], field: str) -> None:
    assert fault(changed(lambda r: r["recipe"].update(stages=stages))).field == field


def test_a_model_from_scratch_begins_with_training() -> None:
    run = changed(lambda r: r["recipe"].update(model={"config": {}}, stages=[{"kind": "measure"}]))
    assert fault(run).field == "recipe.stages.0.kind"


@pytest.mark.parametrize("field", ["task", "data", "model"])
def test_a_command_has_no_use_for_training_fields(field: str) -> None:
    value = VALID["recipe"][field]
    error = fault(changed(lambda r: r["recipe"].update({field: value}), COMMAND))
    assert error.field == f"recipe.{field}"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"argv": []}, "argv"),
        ({"argv": "ls -l"}, "argv"),
        ({"argv": [1]}, "argv.0"),
        ({"argv": ["x" * 32_769]}, "argv.0"),
        ({"argv": ["x"] * 1025}, "argv"),
        ({"argv": ["x"], "env": {"PRICETAG_EVENTS": "/tmp/x"}}, "env.PRICETAG_EVENTS"),
        ({"argv": ["x"], "env": {"A=B": "1"}}, "env.A=B"),
        ({"argv": ["x"], "timeout_s": 0}, "timeout_s"),
    ],
)
def test_commands_are_bounded(fields: Run, where: str) -> None:
    error = fault(changed(set_stage(0, **fields), COMMAND))
    assert error.field == f"recipe.stages.0.{where}"


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        (lambda r: r.update(name="a\x00b"), "name", "NUL"),
        (lambda r: r.update(name="\ud800"), "name", "Unicode"),
        (set_stage(0, learning_rate=float("nan")), "recipe.stages.0.learning_rate", "finite"),
        (set_stage(0, learning_rate=float("inf")), "recipe.stages.0.learning_rate", "finite"),
        (lambda r: r.update({3: 1}), "", "text"),
    ],
)
def test_text_that_no_database_can_store_is_rejected(
    change: Callable[[Run], object], field: str, says: str
) -> None:
    error = fault(changed(change))
    assert error.field == field
    assert says in error.message


def test_endless_descriptions_are_rejected_without_traversing_them() -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    assert "levels" in fault(changed(lambda r: r.update(tags=deep))).message
    loop: list[Any] = []
    loop.append(loop)
    assert "levels" in fault(changed(lambda r: r.update(tags=loop))).message
    assert "values" in fault(changed(lambda r: r.update(tags=["x"] * 60_000))).message


@pytest.mark.parametrize("obj", [None, [], "run", 3])
def test_a_run_must_be_an_object(obj: object) -> None:
    assert "object" in fault(obj).message


def distilled(*students: Run, model: Any = "models/minilm") -> Run:
    """A run that makes one student after another."""
    run = copy.deepcopy(VALID)
    stages = [{"kind": "distill", "student": student} for student in students]
    run["recipe"].update(model=model, stages=[{"kind": "train"}, *stages])
    return run


SMALL = {"config": {"num_hidden_layers": 4, "hidden_size": 96, "num_attention_heads": 4}}


@pytest.mark.parametrize(
    ("run", "field", "says"),
    [
        (
            distilled({"hidden_size": 100, "num_attention_heads": 3}),
            "1.student.num_attention_heads",
            "hidden_size 100 is not a multiple of num_attention_heads 3",
        ),
        (
            distilled({"hidden_size": 98}, model=SMALL),
            "1.student.hidden_size",
            "hidden_size 98 is not a multiple of num_attention_heads 4",
        ),
        (
            distilled({"hidden_size": 64, "num_attention_heads": 8}, {"hidden_size": 60}),
            "2.student.hidden_size",
            "hidden_size 60 is not a multiple of num_attention_heads 8",
        ),
        (distilled({"layers": 5}, model=SMALL), "1.student.layers", "has 4 layers, not 5"),
        (distilled({"layers": [0, 4]}, model=SMALL), "1.student.layers", "layers 0 to 3, not 4"),
        (
            distilled({}, {"layers": 3}, model=SMALL),
            "2.student.layers",
            "the teacher has 2 layers, not 3",
        ),
        (distilled({"layers": [1, 3]}, {"layers": 3}), "2.student.layers", "has 2 layers, not 3"),
    ],
)
def test_an_impossible_student_is_rejected(run: Run, field: str, says: str) -> None:
    error = fault(run)
    assert error.field == f"recipe.stages.{field}"
    assert says in error.message


@pytest.mark.parametrize(
    "run",
    [
        distilled({"hidden_size": 100}, {"num_attention_heads": 5}),  # the teacher may fit
        distilled({"hidden_size": 90, "num_attention_heads": 3}, {"layers": 1}, model=SMALL),
        distilled({"layers": 4}, {"layers": "first"}, {"layers": [0, 1]}, model=SMALL),
    ],
)
def test_a_student_that_may_fit_is_accepted(run: Run) -> None:
    assert parse_run_spec(run).recipe.stages[1].kind == "distill"


def test_a_kind_that_does_not_work_on_the_task_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = REGISTRY["distill"]
    limited = replace(entry.traits, tasks=frozenset({"classification", "regression"}))
    monkeypatch.setitem(REGISTRY, "distill", replace(entry, traits=limited))
    stages = [{"kind": "train"}, {"kind": "distill"}]
    run = changed(lambda run: run["recipe"].update(stages=stages))
    assert parse_run_spec(run).recipe.stages[1].kind == "distill"
    error = fault(changed(lambda run: run["recipe"].update(task="masked_lm"), run))
    assert error.field == "recipe.stages.1.kind"
    assert "does not work on masked_lm; it works on classification and regression" in error.message
