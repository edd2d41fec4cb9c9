"""Cells of a notebook with a price tag.

::

    %load_ext pricetag

    %%pricetag fine-tuning --project reviews
    trainer.train()

The cell is metered as ``pricetag.track`` meters a block, and its price tag is shown below its
output: as a table in a notebook, as text in a terminal. In a run that is metered already, the cell
is a stage of that run.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any, NoReturn

from pricetag.client.shown import ShownPriceTag
from pricetag.local.runs import read_run
from pricetag.local.settings import settings_of_program
from pricetag.local.summary import summary_text, unmetered
from pricetag.local.tracking import Track, track
from pricetag.tag.status import status_text
from pricetag.tag.view import TagView

MAGIC = "pricetag"
DEFAULT_NAME = "notebook cell"
NAME_HELP = f"name of the run (default: {DEFAULT_NAME})"
SHOWING = "showtraceback"
"""The method of the shell that shows an exception."""


class CellPriceTag:
    """The price tag of a cell: a table in notebooks, text elsewhere.

    Attributes:
        document: The settled local run.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    @property
    def price_tag(self) -> dict[str, Any]:
        """The price tag."""
        tag: dict[str, Any] = self.document["price_tag"]
        return tag

    def __repr__(self) -> str:
        """The totals as text."""
        return summary_text(self.document).rstrip()

    def _repr_html_(self) -> str:
        run = self.document["run"]
        short_id = str(run["id"])[:8]
        note = f"{status_text(run['status'])}; sources and components: pricetag show {short_id}"
        if (share := unmetered(TagView.read(self.price_tag))) is not None:
            note = f"metered: {share[0]} ({share[1]}); {note}"
        table: str = ShownPriceTag(self.price_tag)._repr_html_()
        return f"{table}<p>{escape(note)}</p>"


def load_ipython_extension(shell: Any) -> None:
    """Adds the magic ``%%pricetag``; called by ``%load_ext pricetag``."""
    shell.register_magic_function(_magic(shell), "cell", MAGIC)


def unload_ipython_extension(shell: Any) -> None:
    """Removes the magic; called by ``%unload_ext pricetag``."""
    shell.magics_manager.magics["cell"].pop(MAGIC, None)


def _magic(shell: Any) -> Callable[[str, str], None]:
    def pricetag(line: str, cell: str) -> None:
        """Meters the cell: %%pricetag [NAME] [--project P] [--experiment E] [--tag T ...]."""
        options = _options(line)
        if options is None:  # the help was asked for
            return
        run = track(
            options.name,
            project=options.project,
            experiment=options.experiment,
            tags=options.tag,
            quiet=True,
        )
        run.__enter__()
        error: BaseException | None = None
        try:
            with _quiet_after_semicolon(shell, cell):
                result = shell.run_cell(cell)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as raised:
            error = raised
            raise
        finally:
            run.__exit__(None if error is None else type(error), error, None)
        _show(run)
        if error is not None:
            _raise_again(shell, error)

    return pricetag


@contextmanager
def _quiet_after_semicolon(shell: Any, cell: str) -> Iterator[None]:
    """Shows no value of a cell that ends in ``;``.

    IPython looks for the semicolon in its history, which has the whole cell as a call of the magic.
    """
    ends: Any = import_module("IPython.core.displayhook").DisplayHook.semicolon_at_end_of_expression
    try:
        is_quiet = bool(ends(shell.transform_cell(cell)))
    except Exception:  # the error is shown when the cell runs
        is_quiet = False
    before = shell.ast_node_interactivity
    if is_quiet:
        shell.ast_node_interactivity = "none"
    try:
        yield
    finally:
        shell.ast_node_interactivity = before


def _raise_again(shell: Any, error: BaseException) -> NoReturn:
    """Raises the error of a cell, which IPython has shown already, so that the cell has failed.

    Without it, "Run all", nbconvert and papermill would continue.
    """
    own = vars(shell)
    before = own.get(SHOWING)
    show = getattr(shell, SHOWING)

    def show_others(*arguments: Any, **options: Any) -> None:
        if sys.exc_info()[1] is not error:
            show(*arguments, **options)

    def restore() -> None:
        shell.events.unregister("post_execute", restore)
        if before is None:
            own.pop(SHOWING, None)
        else:
            own[SHOWING] = before

    shell.events.register("post_execute", restore)
    own[SHOWING] = show_others
    raise error


def _show(run: Track) -> None:
    """Shows the price tag, if the cell is a run of its own."""
    if run.price_tag is None or run.run_id is None:
        return
    stored = read_run(settings_of_program(dict(os.environ)).folder / run.run_id)
    if stored is not None:
        import_module("IPython.display").display(CellPriceTag(stored.document))


class _Options(argparse.ArgumentParser):
    """Reports wrong usage as IPython shows it, without ending the kernel."""

    def error(self, message: str) -> Any:
        text = f"%%{MAGIC}: {message}\n{self.format_usage().rstrip()}"
        raise import_module("IPython.core.error").UsageError(text)


def _options(line: str) -> argparse.Namespace | None:
    """The options of a cell; None if they ask for the help, which is printed."""
    parser = _Options(
        prog=f"%%{MAGIC}",
        description="Meter the cell, and show its price tag below its output.",
        add_help=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", default=DEFAULT_NAME, help=NAME_HELP)
    parser.add_argument("--project", metavar="P", help="project of the run")
    parser.add_argument(
        "--experiment", metavar="E", default="local", help="experiment of the run (default: local)"
    )
    parser.add_argument(
        "--tag", metavar="T", action="append", default=[], help="tag of the run (repeatable)"
    )
    parser.add_argument(
        *("-h", "--help"), action="store_true", help="show this help; the cell does not run"
    )
    try:
        words = shlex.split(line)
    except ValueError as error:
        parser.error(str(error))
    options = parser.parse_args(words)
    if options.help:
        parser.print_help()
        return None
    return options
