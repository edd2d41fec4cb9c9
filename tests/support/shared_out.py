"""Test files in several processes: each is rewritten by one, and those that wait run beside others.

With every file that has assertions, pytest rewrites them, which takes each process as long as a
minute of tests. The processes keep what they have rewritten for one another, and begin at
different files. Files that share a costly start (a site and a browser) are run by one process.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]


class Located(Protocol):
    """A test and its file."""

    @property
    def path(self) -> Path:
        """The file of the test."""


Test = TypeVar("Test", bound=Located)

ENDS = {
    "architecture": 0.0,
    "contract": 0.0,
    "browser": 0.0,
    "e2e": 0.6,
    "integration": 0.9,
    "workers": 0.9,
}
"""At what share of all files the last of a room begins; of the other rooms, at the end.

The longest come first. Those that wait for servers and jobs (``e2e``, ``integration``) are spread
among those that compute, so that the cores are busy. Short files fill up the end.
"""

TOGETHER = ("tests/browser/",)
"""Rooms whose files are run by one process, which alone starts what they share."""


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Gives files to processes in the order of `in_order`, those of some rooms together."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # by number of tests, the longest would come last
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """The unit that one process runs: the file of a test, or its room."""
    file = nodeid.partition("::")[0]
    return next((room for room in TOGETHER if file.startswith(room)), file)


def in_order(tests: Sequence[Test], root: Path) -> list[Test]:
    """The tests, file by file, in the order in which files should begin.

    Args:
        tests: Tests of all files, those of a file side by side.
        root: The folder with the rooms (``unit``, ``e2e``, ...).
    """
    files = list(dict.fromkeys(test.path for test in tests))
    rooms: dict[str, list[Path]] = {}
    for file in files:
        rooms.setdefault(_room(file, root), []).append(file)
    begins = {
        file: ENDS.get(room, 1.0) * number / len(members)
        for room, members in rooms.items()
        for number, file in enumerate(members)
    }
    return sorted(tests, key=lambda test: begins[test.path])


def import_from(share: float, files: Iterable[Path], root: Path) -> None:
    """Imports test files, beginning at a share of them and going round, and keeps the bytecode.

    Args:
        share: Where to begin, from 0 to 1.
        files: Test files under ``root``.
        root: The folder from which their modules are named.
    """
    sys.dont_write_bytecode = False  # some environments set it; the others could not read then
    in_turn = sorted(files)
    first = int(share * len(in_turn))
    for file in in_turn[first:] + in_turn[:first]:
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        with warnings.catch_warnings(action="error"):
            try:
                importlib.import_module(name)
            except (Exception, pytest.skip.Exception):
                sys.modules.pop(name, None)  # the collection imports it again and reports it


def _room(file: Path, root: Path) -> str:
    return file.relative_to(root).parts[0] if file.is_relative_to(root) else ""
