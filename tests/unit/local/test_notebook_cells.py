"""Cells of a notebook with a price tag, in the real IPython."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

from pricetag.integrations import jupyter
from pricetag.integrations.jupyter import CellPriceTag
from pricetag.local.runs import LocalRuns
from tests.support.local_runs import plant


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PRICETAG_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PRICETAG_METER_HOST", "model")
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    before = sys.modules["__main__"]
    opened = InteractiveShell.instance(config=config)
    yield opened
    opened.restore_sys_module_state()  # it has replaced __main__ by a module of its own
    InteractiveShell.clear_instance()
    assert sys.modules["__main__"] is before


def run(shell: Any, cell: str) -> tuple[Any, Any]:
    """Runs a cell; what it returns, and what is shown."""
    with capture_output() as shown:
        result = shell.run_cell(cell)
    return result, shown


def test_a_cell_is_metered_and_its_price_tag_shown(shell: Any, tmp_path: Path) -> None:
    assert run(shell, "%load_ext pricetag")[0].success
    cell = "%%pricetag 'a cell' --project reviews --tag night\nx = sum(range(10**6))\nprint(x)"
    result, shown = run(shell, cell)
    assert result.success
    assert shown.stdout.startswith("499999500000\n")
    (displayed,) = shown.outputs
    (kept,) = LocalRuns(tmp_path / "data" / "local").all()
    assert (kept.run["name"], kept.run["status"]) == ("a cell", "succeeded")
    assert (kept.run["project"], kept.run["tags"]) == ("reviews", ["night"])
    assert kept.price_tag is not None
    assert displayed.data["text/plain"].startswith("pricetag: a cell (succeeded)\n")
    assert "<caption>a cell, price tag 1</caption>" in displayed.data["text/html"]
    assert str(kept.run["id"])[:8] in displayed.data["text/html"]
    assert shell.user_ns["x"] == 499999500000  # the cell ran in the notebook
    check_that_an_exception_is_shown_and_recorded(shell, tmp_path)


def check_that_an_exception_is_shown_and_recorded(shell: Any, tmp_path: Path) -> None:
    failed, shown = run(shell, "%%pricetag\n1 / 0")
    assert not failed.success
    assert "ZeroDivisionError" in shown.stdout + shown.stderr
    newest = LocalRuns(tmp_path / "data" / "local").all()[0]
    assert (newest.run["name"], newest.run["status"]) == ("notebook cell", "failed")
    assert newest.run["status_reason"]["message"] == "ZeroDivisionError: division by zero"
    assert "(failed)" in shown.outputs[-1].data["text/plain"]


def test_wrong_usage_is_reported_and_runs_nothing(shell: Any, tmp_path: Path) -> None:
    run(shell, "%load_ext pricetag")
    for line, message in (("--projct x", "unrecognized arguments: --projct"), ("'a", "quotation")):
        _, shown = run(shell, f"%%pricetag {line}\nx = 1")
        assert f"UsageError: %%pricetag: {message}" in (shown.stdout + shown.stderr).replace(
            "No closing ", ""
        )
    assert "x" not in shell.user_ns
    assert not (tmp_path / "data").exists()
    run(shell, "%unload_ext pricetag")
    assert "Cell magic `%%pricetag` not found" in run(shell, "%%pricetag\nx = 1")[1].stderr


class Unmetered:
    """A block without a meter; it notes how it ended."""

    price_tag = None
    run_id = None
    ended: ClassVar[list[Any]] = []

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name

    def __enter__(self) -> None:
        """Nothing is opened."""

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.ended.append(kind)


@pytest.fixture
def quick(shell: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A shell whose cells are not metered."""
    monkeypatch.setattr(jupyter, "track", Unmetered)
    monkeypatch.setattr(Unmetered, "ended", [])
    run(shell, "%load_ext pricetag")
    return shell


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("raise ValueError('boom')", ValueError),
        ("1 +", SyntaxError),
        ("import sys; sys.exit(3)", SystemExit),
    ],
)
@pytest.mark.filterwarnings("ignore:To exit")
def test_a_cell_that_fails_has_failed_for_the_notebook_and_is_shown_once(
    quick: Any, code: str, error: type[BaseException]
) -> None:
    result, shown = run(quick, f"%%pricetag\n{code}")
    assert not result.success
    assert isinstance(result.error_in_exec, error)
    assert (shown.stdout + shown.stderr).count(f"{error.__name__}:") == 1
    assert Unmetered.ended == [error]
    # The next error is shown as usual.
    assert "ZeroDivisionError" in run(quick, "1 / 0")[1].stdout


def test_a_semicolon_hides_the_value_of_a_cell(quick: Any) -> None:
    assert "42" in run(quick, "%%pricetag\n41 + 1")[1].stdout
    assert run(quick, "%%pricetag\n41 + 1;  # hidden")[1].stdout == ""
    assert "42" in run(quick, "41 + 1")[1].stdout


def test_the_help_shows_the_usage_and_runs_nothing(quick: Any) -> None:
    _, shown = run(quick, "%%pricetag --help\nx = 1")
    assert shown.stdout.startswith("usage: %%pricetag [--project P]")
    assert "x" not in quick.user_ns
    assert Unmetered.ended == []


def test_texts_of_a_price_tag_are_escaped_in_html(tmp_path: Path) -> None:
    document = json.loads(json.dumps(plant(tmp_path).document))
    document["price_tag"]["name"] = "<b>x</b>"
    document["run"]["status"] = "<i>"
    shown = CellPriceTag(document)._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert "<i>" not in shown
