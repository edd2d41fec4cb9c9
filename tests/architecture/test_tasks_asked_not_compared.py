"""A task is described in its own file; no other code compares tasks by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pricetag.recipes.tasks import TASKS
from workers.training.tasks.registry import task_named

ROOT = Path(__file__).parents[2]
OWN_FILES = {"pricetag/recipes/tasks.py", *(f"workers/training/tasks/{n}.py" for n in TASKS)}


def compared_tasks(code: str) -> list[int]:
    """Lines that compare something with the name of a task, or look one up by name."""
    lines = []
    for node in ast.walk(ast.parse(code)):
        constants: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                inner = side.elts if isinstance(side, ast.Tuple | ast.Set | ast.List) else [side]
                constants += inner
        elif isinstance(node, ast.MatchValue):
            constants = [node.value]
        elif isinstance(node, ast.Dict):
            constants = [key for key in node.keys if key is not None]
        if any(isinstance(one, ast.Constant) and one.value in TASKS for one in constants):
            lines.append(node.lineno)  # type: ignore[attr-defined]
    return lines


def test_no_task_is_compared_by_name_outside_its_own_file() -> None:
    places = [
        f"{file.relative_to(ROOT)}:{line}"
        for room in ("app", "models", "pricetag", "workers")
        for file in sorted((ROOT / room).rglob("*.py"))
        if file.relative_to(ROOT).as_posix() not in OWN_FILES
        for line in compared_tasks(file.read_text())
    ]
    assert places == []


@pytest.mark.parametrize(
    "code",
    [
        'if recipe.task == "regression": pass',
        'x = task in ("classification", "regression")',
        'loss = {"classification": 1}',
    ],
)
def test_a_comparison_is_detected(code: str) -> None:
    assert compared_tasks(code) == [1]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_of_a_recipe_has_its_module(name: str) -> None:
    assert task_named(name).name == name
