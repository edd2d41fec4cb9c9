"""No module imports itself through others, not even for its types or inside a function."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "models", "pricetag", "workers")


def cycle(root: Path, rooms: tuple[str, ...] = ROOMS) -> list[str]:
    """Modules of a cycle of imports, the first one again at the end; empty if there is none."""
    files = {_name(file, root): file for room in rooms for file in (root / room).rglob("*.py")}
    graph = {
        name: {target for target in _imports(file, files) if target != name}
        for name, file in files.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        modules: list[str] = error.args[1]
        return modules
    return []


def _name(file: Path, root: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imports(file: Path, files: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module in files:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in files else node.module


def test_no_module_imports_itself_through_others() -> None:
    assert cycle(ROOT) == []


@pytest.mark.parametrize(
    "back",
    [
        "import app.a\n",
        "from app.a import X\n",
        "from app import a\n",
        "if TYPE_CHECKING:\n    from app.a import X\n",
        "def later():\n    from app.a import X\n",
    ],
)
def test_a_planted_cycle_is_detected(tmp_path: Path, back: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "a.py").write_text("from app.b import Y\n")
    (tmp_path / "app" / "b.py").write_text(back)
    assert set(cycle(tmp_path, ("app",))) == {"app.a", "app.b"}
