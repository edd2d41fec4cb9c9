"""The word list finds the habits it names, and nothing in code, names or idiomatic English."""

from __future__ import annotations

import pytest

from tests.architecture.wording import (
    Text,
    findings,
    names_in,
    names_of_tests,
    page_text,
    python_texts,
)

HABITS = [
    "The device tells its power.",
    "Figures are told by each attempt.",
    "Every row bears a source.",
    "3 is no finite number",
    "How it was had.",
    "At most so many rows.",
    "The split lacks a column.",
    "One row was left out.",
    "The server refused the file.",
    "Quotes rest on like runs.",
    "Nothing else would do.",
    "Decisions stand in docs.",
    "It ended for want of memory.",
    "The job runs in vain.",
    "The new table in the place of the old one.",
    "Users, one a row.",
    "The check mends the balances.",
    "The error says what is wrong.",
    "The counter stands still.",
    "Runs that are posted meanwhile.",
    "Splits that no step reads change none but the hash.",
    "Of this site alone.",
    "As of that day, or then.",
    "List runs, the newest first.",
    "By priority, the highest first.",
    "Nodes use energy outside of runs.",
    "The server waits for ever.",
    "The library is initialised again.",
    "A neighbouring worker",
    "The run was cancelled by its owner.",
    "Cancelling a run keeps its energy.",
    "Stop after so long.",
    "A pass that took as much.",
    "The price tag states the device and the power of it.",
    "There is no run ",
    "The renderer reckons with these widths.",
    "A model with a layer less.",
    "The teacher makes one pass a batch.",
    "Run more, or ask for fewer.",
]
IDIOMATIC = [
    "No figure is no longer shown twice.",
    "The server refused a connection.",
    "A PUE of 1.2 stands for the whole site.",
    "so many that they fill the disk",
    "Show `told` and --refuse and left_out.",
    "There is no queue.",
    "Put a proxy in front of it.",
    "The list is sorted newest first.",
    "DistilBERT is a distilled model of distillation.",
    "The status is `cancelled` after the cancellation of a canceled run.",
    "status in ('queued', 'cancelled')",
    "The run continues as long as attempts remain; all of it stays on the bill.",
    "Two analyses of the same figures.",
]


def words(text: str) -> list[str]:
    return [finding.words for finding in findings(iter([Text("a", 1, text, "string")]))]


@pytest.mark.parametrize("sentence", HABITS)
def test_a_habit_is_detected(sentence: str) -> None:
    assert len(words(sentence)) == 1


@pytest.mark.parametrize("sentence", IDIOMATIC)
def test_idiomatic_english_passes(sentence: str) -> None:
    assert words(sentence) == []


def test_kinds_of_text_are_distinguished() -> None:
    source = '"""A docstring."""\n\nNAME = "a string here"  # a comment\n"""About NAME."""\n'
    kinds = [(text.kind, text.line) for text in python_texts("a.py", source)]
    assert sorted(kinds) == [("comment", 3), ("docstring", 1), ("docstring", 4), ("string", 3)]


def test_a_finding_on_a_page_has_its_line_and_code_blocks_have_none() -> None:
    page = page_text("a.md", "# Title\n\n```bash\necho told\n```\n\nIt is told.\n")
    assert [str(finding) for finding in findings(iter([page]))] == [
        "a.md:7: 'told': write report, show, state, announce, send"
    ]


def test_empty_names_of_locals_and_arguments_are_detected() -> None:
    source = (
        "def f(told, rows):\n    found = [row for row in rows]\n    return g(found, got=told)\n"
    )
    assert [(each.line, each.words) for each in names_in("a.py", source)] == [
        (1, "told"),
        (2, "found"),
    ]


def test_names_of_tests_are_read_as_sentences() -> None:
    source = "async def test_the_log_is_told() -> None: ...\ndef told() -> None: ...\n"
    assert [str(each) for each in findings(names_of_tests("test_a.py", source))] == [
        "test_a.py:1: 'told': write report, show, state, announce, send"
    ]
