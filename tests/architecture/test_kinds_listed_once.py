"""Stage kinds are named where they are described, and nowhere else.

A place that compares a kind with a name, lists kinds, or imports a kind's parameters would have
to be changed for each new one; the traits in ``pricetag/recipes/methods`` are asked instead.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pricetag.recipes import REGISTRY

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "models", "pricetag", "workers")

JUSTIFIED = {
    "app/api/v1/examples.py": "recipes shown as examples in the API's pages",
    "app/demo.py": "the recipe that the demo runs",
    "app/services/intake/door.py": "work that no queue started is a program of its author",
    "pricetag/accounting/work/operations.py": "the price tag's remark on programs; accounting "
    "may import nothing, and the kind is part of issued documents",
    "pricetag/local/settling.py": "a local run is a program of its author; local mode does not "
    "load the registry",
    "pricetag/studies/jobs.py": "to train large and then compress is, by its paper, to prune and "
    "to quantize",
}
"""Places that name kinds on purpose."""


def places(root: Path, kinds: frozenset[str]) -> list[str]:
    """``file:line`` of all places that know kinds by name, outside their own files."""
    listed: list[str] = []
    for room in ROOMS:
        for file in sorted((root / room).rglob("*.py")):
            name = file.relative_to(root).as_posix()
            if not _is_own_file(name, kinds):
                lines = {line for line in _lines(ast.parse(file.read_text()), name, kinds)}
                listed += [f"{name}:{line}" for line in sorted(lines)]
    return listed


def _is_own_file(name: str, kinds: frozenset[str]) -> bool:
    folders = ("pricetag/recipes/methods", "pricetag/recipes/stages", "workers/recipes")
    return any(
        name == f"{folder}/{kind.replace('-', '_')}.py" for folder in folders for kind in kinds
    )


def _lines(tree: ast.Module, name: str, kinds: frozenset[str]) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and _compares_kind(node, kinds):
            yield node.lineno
        elif isinstance(node, ast.Set | ast.List | ast.Tuple):
            if len(_named(node.elts, kinds)) > 1:
                yield node.lineno
        elif isinstance(node, ast.Dict):
            keyed = {
                ast.literal_eval(k): v
                for k, v in zip(node.keys, node.values, strict=True)
                if isinstance(k, ast.Constant)
            }
            if len(kinds & set(keyed)) > 1 or _named([keyed.get("kind")], kinds):
                yield node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if any(node.value.startswith(f"workers.recipes.{kind}") for kind in kinds):
                yield node.lineno
        elif isinstance(node, ast.Assign) and _named([node.value], kinds):
            if any(ast.unparse(target).isupper() for target in node.targets):
                yield node.lineno
        elif isinstance(node, ast.keyword) and node.arg == "kind" and _named([node.value], kinds):
            yield node.value.lineno
        elif isinstance(node, ast.Call) and _is_name(node.func, "isinstance"):
            classes = {kind.title() for kind in kinds}
            if classes & {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}:
                yield node.lineno


def _compares_kind(node: ast.Compare, kinds: frozenset[str]) -> bool:
    """``stage.kind == "train"``, ``kind in ("train", "prune")``, ``stage["kind"] != "measure"``."""
    sides = [node.left, *node.comparators]
    literals = [
        inner for side in sides for inner in (side.elts if hasattr(side, "elts") else [side])
    ]
    return bool(_named(literals, kinds)) and "kind" in ast.unparse(node).lower()


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _named(nodes: Sequence[ast.expr | None], kinds: frozenset[str]) -> set[str]:
    texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str) and text in kinds}


@pytest.fixture(scope="module")
def named_places() -> list[str]:
    return places(ROOT, frozenset(REGISTRY))


def test_no_code_outside_the_registry_compares_kinds_by_name(named_places: list[str]) -> None:
    unjustified = [place for place in named_places if place.rpartition(":")[0] not in JUSTIFIED]
    assert unjustified == []


def test_every_justified_exception_still_exists(named_places: list[str]) -> None:
    files = {place.rpartition(":")[0] for place in named_places}
    assert files == set(JUSTIFIED)


@pytest.mark.parametrize(
    "line",
    [
        'TRAINING = frozenset({"train", "distill", "prune"})',
        'if stage.kind == "quantize": pass',
        'if stage["kind"] in ("measure",): pass',
        'if "command" != stage.get("kind"): pass',
        'MODULES = ["workers.recipes.train"]',
        'label = {"train": "Training", "prune": "Pruning"}',
        'SCRIPT_KIND = "command"',
        'step(kind="evaluate")',
        "isinstance(stage, Distill)",
    ],
)
def test_a_planted_place_is_detected(tmp_path: Path, line: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "planted.py").write_text(f"x = 1\n{line}\n")
    assert places(tmp_path, frozenset(REGISTRY)) == ["app/planted.py:2"]


@pytest.mark.parametrize(
    "line", ['load_split(context, "train")', 'x = {"train": a, "test": b}', 'kind == "gpu"']
)
def test_splits_and_other_kinds_are_not_mistaken(tmp_path: Path, line: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "planted.py").write_text(f"{line}\n")
    assert places(tmp_path, frozenset(REGISTRY)) == []
