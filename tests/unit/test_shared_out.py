"""How the test processes of a session share the files."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.shared_out import Scheduling, import_from, in_order

ROOT = Path("/tests")


@dataclass(frozen=True)
class Case:
    path: Path
    name: str


def written(**files: int) -> list[Case]:
    """Rooms with these numbers of files of two tests each, side by side."""
    return [
        Case(ROOT / room / f"test_{number:03}.py", name)
        for room, count in sorted(files.items())
        for number in range(count)
        for name in ("b", "a")
    ]


def test_every_test_is_there_once_and_files_stay_whole() -> None:
    tests = written(contract=2, e2e=5, integration=10, unit=30, workers=12)
    ordered = in_order(tests, ROOT)
    assert sorted(ordered, key=tests.index) == tests
    groups = [(path, [test.name for test in group]) for path, group in groupby(ordered, _path)]
    assert len({path for path, _ in groups}) == len(groups)
    assert all(names == ["b", "a"] for _, names in groups)


def test_the_longest_files_begin_first_and_short_ones_fill_up_the_end() -> None:
    tests = written(contract=2, e2e=5, integration=10, unit=30, workers=12)
    rooms = [test.path.parent.name for test in in_order(tests, ROOT)]
    assert rooms[:4] == ["contract"] * 4
    begins = {room: rooms.index(room) for room in ("e2e", "integration", "unit", "workers")}
    assert max(begins.values()) < 12
    last = {room: len(rooms) - 1 - rooms[::-1].index(room) for room in begins}
    assert last["e2e"] < last["integration"] < last["unit"]
    assert last["workers"] < last["unit"] == len(rooms) - 1


@dataclass(eq=False)
class Process:
    """A test process, which notes the tests that it is asked to run."""

    collection: list[str]
    sent: list[str] = field(default_factory=list)
    shutting_down: bool = False
    gateway: Any = field(default_factory=lambda: SimpleNamespace(id="process"))

    def send_runtest_some(self, indices: list[int]) -> None:
        self.sent += [self.collection[index] for index in indices]

    def shutdown(self) -> None:
        self.shutting_down = True


def test_files_with_a_browser_are_run_by_one_process_and_the_order_stays() -> None:
    files = ("contract/test_a", "browser/test_a", "browser/test_b", "unit/test_a", "unit/test_b")
    tests = [f"tests/{file}.py::test_{number}" for file in files for number in range(4)]
    tests += [f"tests/unit/test_large.py::test_{number}" for number in range(9)]
    option = SimpleNamespace(loadscopereorder=True)
    config: Any = SimpleNamespace(option=option, getvalue=lambda name: ["popen", "popen"])
    processes: list[Any] = [Process(tests), Process(tests)]
    scheduling = Scheduling(config)
    for process in processes:
        scheduling.add_node(process)
    for process in processes:
        scheduling.add_node_collection(process, tests)
    scheduling.schedule()
    first, second = processes
    assert (first.sent, second.sent) == (tests[:4], tests[4:12])
    for index in (*range(4), *range(12, 20)):
        scheduling.mark_test_complete(first, index)
    assert first.sent == tests[:4] + tests[12:]
    assert second.sent == tests[4:12]


def test_all_modules_are_imported_whatever_the_place_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    names = [f"test_shared_{letter}" for letter in "abc"]
    for name in names:
        text = f"import sys\nsys.imported_in_turn.append({name[-1]!r})\n"
        fails = "raise ValueError\n" if name.endswith("b") else ""
        (tmp_path / f"{name}.py").write_text(text + fails)
    turns: list[str] = []
    monkeypatch.setattr(sys, "imported_in_turn", turns, raising=False)
    import_from(0.5, tmp_path.glob("test_*.py"), tmp_path)
    assert turns == ["b", "c", "a"]
    assert [sys.modules.pop(name, None) is not None for name in names] == [True, False, True]


def _path(test: Case) -> Path:
    return test.path
