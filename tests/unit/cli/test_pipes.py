"""Output into a pipe or a file is not cut to the width of a terminal that is not there."""

from __future__ import annotations

import pytest

from pricetag.cli.console import PIPE_WIDTH, console


def test_a_pipe_has_room_and_a_stated_width_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert console().width == PIPE_WIDTH
    monkeypatch.setenv("COLUMNS", "60")
    assert console().width == 60
