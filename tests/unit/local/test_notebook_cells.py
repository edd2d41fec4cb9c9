"""Cells of a notebook with a price tag, in the real IPython."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config

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
    _, shown = run(shell, "%%pricetag\n1 / 0")
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


def test_texts_of_a_price_tag_are_escaped_in_html(tmp_path: Path) -> None:
    document = json.loads(json.dumps(plant(tmp_path).document))
    document["price_tag"]["name"] = "<b>x</b>"
    document["run"]["status"] = "<i>"
    shown = CellPriceTag(document)._repr_html_()
    assert "&lt;b&gt;x&lt;/b&gt;" in shown
    assert "<i>" not in shown
