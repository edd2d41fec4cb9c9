"""A worker's recipe composes parts on one screen; the parts themselves are elsewhere."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LONGEST = 40
ENTRY_POINTS = {"prepare", "run"}


def faults(code: str) -> list[str]:
    """What makes a recipe more than a composition."""
    tree = ast.parse(code)
    lines = len(code.splitlines())
    extra = [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and node.name not in ENTRY_POINTS
    ]
    return [*([f"{lines} lines"] if lines > LONGEST else []), *extra]


def test_every_recipe_is_a_composition_on_one_screen() -> None:
    recipes = sorted((ROOT / "workers" / "recipes").glob("*.py"))
    assert len(recipes) > 5
    assert {file.name: faults(file.read_text()) for file in recipes} == {
        file.name: [] for file in recipes
    }


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("x = 1\n" * 41, ["41 lines"]),
        ("x = 1\n" * 40, []),
        ("def _speed(): ...\n\ndef run(): ...\n", ["_speed"]),
        ("class Loop: ...\n", ["Loop"]),
    ],
)
def test_a_recipe_with_machinery_is_detected(code: str, expected: list[str]) -> None:
    assert faults(code) == expected
