"""Commands of the service, which are not in the library but in the checkout next to it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pricetag
from pricetag.cli.console import CliError
from pricetag.loading import loading

ROOT = Path(pricetag.__file__).resolve().parent.parent


def load(module: str, name: str) -> Any:
    """An object of the service, such as ``load("app.cli", "commands")``.

    Raises:
        CliError: If only the library is installed, or a dependency of the service is missing.
    """
    package = module.partition(".")[0]
    if not (ROOT / package / "__init__.py").is_file():
        raise CliError(
            "only the pricetag library is installed here; the service runs from a "
            "checkout (pip install -e '.[server,worker]') or from the image"
        )
    if sys.path[:1] != [str(ROOT)]:
        # Before PYTHONPATH, whose folders may hold an "app" or "workers" of their own.
        sys.path.insert(0, str(ROOT))
    try:
        with loading():
            return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        extra = "worker" if package == "workers" else "server"
        raise CliError(
            f"{error.name} is not installed; in the checkout run pip install -e '.[{extra}]'"
        ) from error


def delegate(module: str, name: str, arguments: list[str], command: str) -> int:
    """Runs a command of the service with the arguments as they were typed.

    ``module:name`` is either a Typer application, of which ``command`` is one command, or a
    function that reads ``sys.argv``, as entry points do.

    Returns:
        The exit code.
    """
    target = load(module, name)
    import typer

    if isinstance(target, typer.Typer):
        result = typer.main.get_command(target).main(
            args=[command, *arguments], prog_name="pricetag", standalone_mode=False
        )
        return result if isinstance(result, int) else 0
    return _run_entry(target, [f"pricetag {command}", *arguments])


def _run_entry(entry: Callable[[], Any], argv: list[str]) -> int:
    before = sys.argv
    sys.argv = argv
    try:
        result = entry()
    except SystemExit as exit_:
        if isinstance(exit_.code, str):
            raise CliError(exit_.code) from exit_
        return exit_.code or 0
    finally:
        sys.argv = before
    return result if isinstance(result, int) else 0
