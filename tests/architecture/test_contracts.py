"""The import contracts hold, and violations are detected."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import app
import models
import workers

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "models", "pricetag", "workers")

VIOLATIONS = {
    "the library reaches torch": ("pricetag/recipes/base.py", "import torch"),
    "accounting reaches pydantic": ("pricetag/accounting/units.py", "import pydantic"),
    "accounting reaches the catalog": ("pricetag/accounting/units.py", "import pricetag.catalog"),
    "the view model reaches the command line": (
        "pricetag/tag/figure.py",
        "import pricetag.cli.console",
    ),
    "the accounting reaches the view model": (
        "pricetag/accounting/document/records.py",
        "import pricetag.tag.view",
    ),
    "a node reaches its worker": ("workers/node/identity.py", "import workers.worker"),
    "the settings reach the database": ("app/settings/storage.py", "import app.db"),
    "quantities reach the bill": (
        "pricetag/accounting/quantity/checks.py",
        "import pricetag.accounting.bill.inputs",
    ),
    "the bill reaches the document": (
        "pricetag/accounting/bill/bill.py",
        "import pricetag.accounting.document.records",
    ),
    "the server reaches transformers": ("app/services/runs/posting.py", "import transformers"),
    "the server reaches a worker": ("app/services/runs/posting.py", "import workers.node.identity"),
    "the child reaches the database": ("workers/job/child.py", "import app.db"),
    "a recipe reaches the tables": ("workers/recipes/train.py", "import models"),
    "a service reaches fastapi": ("app/services/runs/posting.py", "import fastapi"),
    "the API writes SQL": ("app/api/v1/runs.py", "import sqlalchemy"),
    "a recipe reaches another": ("workers/recipes/train.py", "import workers.recipes.prune"),
    "a table reaches a service": ("models/run.py", "import app.services.runs"),
    "a repository reaches a service": ("app/repositories/runs/runs.py", "import app.services.runs"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for room in ROOMS:
        shutil.copytree(
            ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", "data")
        )
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_the_import_contracts_are_kept(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout


def test_every_planted_violation_is_detected(copy: Path) -> None:
    """All are planted at once, and each is found at its line."""
    originals = {name: (copy / name).read_text() for name, _ in VIOLATIONS.values()}
    lines = {}
    try:
        for what, (name, statement) in VIOLATIONS.items():
            planted = (copy / name).read_text().rstrip("\n") + f"\n{statement}\n"
            (copy / name).write_text(planted)
            lines[what] = planted.count("\n")
        done = lint(copy)
    finally:
        for name, original in originals.items():
            (copy / name).write_text(original)
    assert done.returncode != 0
    for what, (name, statement) in VIOLATIONS.items():
        importer = name.removesuffix(".py").replace("/", ".")
        imported = statement.removeprefix("import ")
        step = rf"\b{re.escape(importer)} -> {re.escape(imported)} \([^)]*\bl\.{lines[what]}\b"
        assert re.search(step, done.stdout), what


def test_a_module_without_a_layer_is_detected(copy: Path) -> None:
    rooms = ("app", "pricetag", "pricetag/accounting", "workers")
    strays = [copy / room / "stray.py" for room in rooms]
    try:
        for stray in strays:
            stray.write_text('"""It has no place."""\n')
        done = lint(copy)
    finally:
        for stray in strays:
            stray.unlink()
    assert done.returncode != 0
    for room in rooms:
        assert f"{room.replace('/', '.')}.stray" in done.stdout


def test_the_plain_packages_resolve_inside_the_repository() -> None:
    for room in (app, models, workers):
        assert Path(str(room.__file__)).is_relative_to(ROOT)


def test_the_wheel_contains_only_the_library() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["include"] == ["pricetag*"]
