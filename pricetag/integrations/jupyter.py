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
import shlex
from collections.abc import Callable
from html import escape
from importlib import import_module
from typing import Any

from pricetag.client.shown import ShownPriceTag
from pricetag.local.runs import read_run
from pricetag.local.settings import read_settings
from pricetag.local.summary import summary_text
from pricetag.local.tracking import Track, track

MAGIC = "pricetag"
DEFAULT_NAME = "notebook cell"


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
        note = f"{run['status']}; sources and components: pricetag show {str(run['id'])[:8]}"
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
            result = shell.run_cell(cell)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as raised:
            error = raised
            raise
        finally:
            run.__exit__(None if error is None else type(error), error, None)
        _show(run)

    return pricetag


def _show(run: Track) -> None:
    """Shows the price tag, if the cell is a run of its own."""
    if run.price_tag is None or run.run_id is None:
        return
    stored = read_run(read_settings().folder / run.run_id)
    if stored is not None:
        import_module("IPython.display").display(CellPriceTag(stored.document))


class _Options(argparse.ArgumentParser):
    """Reports wrong usage as IPython shows it, without ending the kernel."""

    def error(self, message: str) -> Any:
        raise import_module("IPython.core.error").UsageError(f"%%{MAGIC}: {message}")


def _options(line: str) -> argparse.Namespace:
    parser = _Options(prog=f"%%{MAGIC}", add_help=False)
    parser.add_argument("name", nargs="?", default=DEFAULT_NAME)
    parser.add_argument("--project")
    parser.add_argument("--experiment", default="local")
    parser.add_argument("--tag", action="append", default=[])
    try:
        words = shlex.split(line)
    except ValueError as error:
        parser.error(str(error))
    return parser.parse_args(words)
