"""Models in folders that do not fit the stages are rejected before the first stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pricetag.recipes import parse_recipe
from pricetag.recipes.shapes import FORMAT_FILES
from tests.support.training import CONFIG, TRAIN, job, recipe
from workers.job.context import ModelRef
from workers.job.reporter import JobError
from workers.job.sources import check_shapes

PLAIN = {**CONFIG, "model_type": "bert", "num_attention_heads": 4}
SLICED = {"layers": [{"heads": 2, "neurons": n} for n in (8, 8, 8, 8)]}
UNEVEN = {"layers": [{"heads": 2, "neurons": n} for n in (8, 7, 6, 8)]}
FOURS = {"kind": "prune", "sparsity": 0.5, "structure": "2:4"}
OF_WEIGHTS = {"shared", "factorized_embedding", "low_rank"}
ALLOWED = {
    "pkd": OF_WEIGHTS | {"sliced", "exits", "reformer"},
    "tinybert": OF_WEIGHTS,
    "minilm": OF_WEIGHTS,
}
"""Formats of a trained student whose layers show what the method compares."""


def write(
    root: Path, name: str, format_: str | None = None, note: Any = None, **sizes: Any
) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**PLAIN, **sizes}))
    if format_ is not None:
        (folder / FORMAT_FILES[format_]).write_text(json.dumps(note or {}))
    return folder


def fault(root: Path, *stages: dict[str, Any]) -> JobError | None:
    """The error of the stages on the model ``base``."""
    described = recipe(*stages, model="base")
    try:
        check_shapes(job(root, described), ModelRef(folder=root / "base"), parse_recipe(described))
    except JobError as error:
        return error
    return None


def distill(method: str, **options: Any) -> dict[str, Any]:
    start = {"start": "teacher"} if method == "pkd" else {}
    return {"kind": "distill", "method": method, **start, **options}


@pytest.mark.parametrize("format_", FORMAT_FILES)
@pytest.mark.parametrize("method", ALLOWED)
def test_a_trained_student_of_another_kind_shows_no_states_to_compare(
    tmp_path: Path, method: str, format_: str
) -> None:
    write(tmp_path, "base")
    write(tmp_path, "own", format_, SLICED)
    error = fault(tmp_path, TRAIN, distill(method, student={"model": "own"}))
    allowed = format_ in ALLOWED[method]
    assert (error is None) == allowed
    if error is not None:
        assert error.field == "recipe.stages.1.student.model"
        assert format_.replace("_", " ") in error.message


@pytest.mark.parametrize("format_", FORMAT_FILES)
@pytest.mark.parametrize("method", ALLOWED)
def test_a_teacher_of_another_kind_shows_no_states_to_a_trained_student(
    tmp_path: Path, method: str, format_: str
) -> None:
    write(tmp_path, "base", format_, SLICED)
    write(tmp_path, "own")
    error = fault(tmp_path, distill(method, student={"model": "own"}))
    assert (error is None) == (format_ in ALLOWED[method] - {"exits"})
    if error is not None:
        assert error.field == "recipe.stages.0.kind"
        assert f"the teacher is {format_}" in error.message


@pytest.mark.parametrize("format_", FORMAT_FILES)
@pytest.mark.parametrize("method", ["logits", "sequence"])
def test_logits_can_be_those_of_any_trained_student(
    tmp_path: Path, method: str, format_: str
) -> None:
    write(tmp_path, "base")
    write(tmp_path, "own", format_, SLICED)
    assert fault(tmp_path, TRAIN, distill(method, student={"model": "own"})) is None


@pytest.mark.parametrize(
    ("method", "sizes", "option"),
    [
        ("pkd", {"hidden_size": 16}, "student.hidden_size"),
        ("pkd", {"num_hidden_layers": 1}, "student.layers"),
        ("tinybert", {"num_attention_heads": 2}, "student.num_attention_heads"),
        ("minilm", {"num_attention_heads": 2}, "student.num_attention_heads"),
    ],
)
def test_a_trained_student_of_the_wrong_size_is_rejected(
    tmp_path: Path, method: str, sizes: dict[str, Any], option: str
) -> None:
    write(tmp_path, "base")
    write(tmp_path, "own", **sizes)
    error = fault(tmp_path, TRAIN, distill(method, student={"model": "own"}))
    assert error is not None
    assert error.field == f"recipe.stages.1.{option}"


@pytest.mark.parametrize("format_", FORMAT_FILES)
@pytest.mark.parametrize("before", [[], [TRAIN], [TRAIN, {"kind": "evaluate"}]])
@pytest.mark.parametrize(
    "stage",
    [
        {"kind": "distill", "method": "pkd"},
        {"kind": "prune", "method": "sparsebert"},
        {"kind": "prune", "method": "sparsebert", "start": "teacher"},
    ],
    ids=["pkd", "sparsebert", "sparsebert of a teacher"],
)
def test_no_student_starts_from_a_run_model_of_another_kind(
    tmp_path: Path, stage: dict[str, Any], before: list[dict[str, Any]], format_: str
) -> None:
    write(tmp_path, "base", format_, SLICED)
    error = fault(tmp_path, *before, stage)
    assert error is not None
    assert error.field is not None
    assert error.field.startswith(f"recipe.stages.{len(before)}.")


def test_a_student_of_the_runs_model_must_have_its_teachers_width(tmp_path: Path) -> None:
    write(tmp_path, "base")
    narrow = {"kind": "distill", "student": {"hidden_size": 16}}
    error = fault(tmp_path, TRAIN, narrow, {"kind": "prune", "method": "sparsebert"})
    assert error is not None
    assert error.field == "recipe.stages.2.start"
    assert "hidden_size 32 and its teacher 16" in error.message
    assert fault(tmp_path, TRAIN, {"kind": "prune", "method": "sparsebert"}) is None


@pytest.mark.parametrize(
    ("format_", "note", "fits"),
    [
        (None, None, True),
        ("sliced", SLICED, True),
        ("sliced", UNEVEN, False),
        ("sliced", {"layers": [{"heads": 2, "neurons": 6}] * 4}, False),
        ("sliced", {}, False),
        ("low_rank", {}, False),
        ("shared", {}, True),
        ("exits", {}, True),
    ],
)
def test_two_of_four_needs_columns_that_are_known(
    tmp_path: Path, format_: str | None, note: Any, fits: bool
) -> None:
    write(tmp_path, "base", format_, note)
    error = fault(tmp_path, FOURS)
    assert (error is None) == fits
    assert error is None or error.field == "recipe.stages.0.structure"
