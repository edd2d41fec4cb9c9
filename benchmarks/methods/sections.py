"""Replacing some sections of ``docs/results.md`` by those of other runs; the rest stays."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.methods.catalog import Catalog

REMARKS, MISSING = "Remarks", "Not in the table"
LATER_RUNS = "later runs"
"""End of the title of a section of runs that came later, behind that of their data set."""
_LATER = "**Sections of later runs.** "
_LATER_ABOUT = (
    "Each states its own runs. The counts and dates above include the runs that they replaced."
)
_NOT_RUN = re.compile(r"- Not run yet on (?P<title>.+?): (?P<names>.+)\.$")
_FAILED = re.compile(r"- (?P<name>[\w-]+) \((?P<data>\w+), seed \d+\): failed")


def read(page: str) -> dict[str, str]:
    """The sections of a page by title, in their order; that before the first one has no title."""
    head, *rest = re.split(r"^## ", page, flags=re.MULTILINE)
    sections = {"": head.strip()}
    for part in rest:
        title, _, text = part.partition("\n")
        sections[title.strip()] = text.strip()
    return sections


def written(sections: Mapping[str, str]) -> str:
    """The page of these sections."""
    parts = [f"## {title}\n\n{text}" if title else text for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


@dataclass(frozen=True)
class Ran:
    """The runs of the new sections.

    Attributes:
        data: Name of each data set whose section is new, with its title.
        names: Runs that other sections may call missing.
        kept: Name of each data set whose section stays, with its title.
    """

    data: Mapping[str, str]
    names: Sequence[str]
    kept: Mapping[str, str]


def updated(catalog: Catalog, page: str, new: Mapping[str, str], ran: Ran) -> str:
    """A page with new sections, and with remarks and gaps that agree with them.

    Args:
        catalog: All runs.
        page: The page as it is.
        new: The new sections by title; remarks and gaps are those of the new runs alone.
        ran: The runs of the new sections.

    Raises:
        ValueError: The page has no section of a title.
    """
    sections = read(page)
    titles = [title for title in new if title not in (REMARKS, MISSING)]
    for title in titles:
        data, _, end = title.partition(", ")
        if title not in sections and data in sections and end == LATER_RUNS:
            sections = _inserted(sections, title, data)
        if title not in sections:
            raise ValueError(f"the page has no section '{title}'; write it whole, without --update")
        sections[title] = new[title]
    sections[""] = _with_later(sections[""], titles)
    notes = {f"- {e.title}: {e.note}" for e in catalog.runs.values() if e.note}
    kept = [line for line in _lines(sections.get(REMARKS, "")) if line in notes]
    remarks = dict.fromkeys([*kept, *_lines(new.get(REMARKS, ""))])
    if remarks or REMARKS in sections:
        sections[REMARKS] = "\n".join(remarks)
    former = _lines(sections.get(MISSING, ""))
    failed = {match["name"] for line in former if (match := _FAILED.match(line))}
    later = {
        title: [
            name
            for name in _without_row(catalog, data, _rows(sections, title))
            if name not in failed
        ]
        for data, title in ran.kept.items()
        if title in sections
    }
    gaps = [_gap(line, ran, later) for line in former]
    own = [line for line in _lines(new.get(MISSING, "")) if _is_of(line, ran)]
    sections[MISSING] = "\n".join([*(line for line in gaps if line), *own])
    return written(sections)


def with_rows(page: str, title: str, lines: Mapping[str, str]) -> str:
    """A page with other rows in a section's table.

    Args:
        page: The page.
        title: Title of the section.
        lines: The new rows, by their first cell.
    """
    sections = read(page)
    table = [
        lines.get(line.strip("| ").split(" | ")[0], line) for line in sections[title].splitlines()
    ]
    return written({**sections, title: "\n".join(table)})


def _inserted(sections: Mapping[str, str], title: str, former: str) -> dict[str, str]:
    """The sections with an empty one behind another."""
    parts: dict[str, str] = {}
    for name, text in sections.items():
        parts[name] = text
        if name == former:
            parts[title] = ""
    return parts


def _rows(sections: Mapping[str, str], title: str) -> str:
    """The rows of a data set: those of later runs, too."""
    return sections[title] + sections.get(f"{title}, {LATER_RUNS}", "")


def _with_later(head: str, titles: Iterable[str]) -> str:
    """The introduction, which lists the sections that were replaced."""
    whole, _, listed = head.partition(_LATER)
    former = listed.partition(".")[0].split(", ") if listed else []
    names = list(dict.fromkeys([*former, *titles]))
    return f"{whole.strip()}\n\n{_LATER}{', '.join(names)}. {_LATER_ABOUT}"


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("- ")]


def _is_of(line: str, ran: Ran) -> bool:
    """Whether a line is about a data set whose section is new."""
    if match := _NOT_RUN.match(line):
        return match["title"] in ran.data.values()
    match = _FAILED.match(line)
    return match is not None and match["data"] in ran.data


def _without_row(catalog: Catalog, data: str, section: str) -> list[str]:
    """Runs of the table that a section has no row of: the catalog may have got them since."""
    listed = [e for e in catalog.runs.values() if e.table and data in e.data]
    return [entry.name for entry in listed if f"| {entry.title} |" not in section]


def _gap(line: str, ran: Ran, later: Mapping[str, Sequence[str]]) -> str | None:
    """A line of the gaps without what has run; None if nothing is missing any more.

    Args:
        line: The line.
        ran: The runs of the new sections.
        later: Runs without a row in the sections that stay, by title.
    """
    if _is_of(line, ran):
        return None
    match = _NOT_RUN.match(line)
    if match is None:
        return line
    names = dict.fromkeys([*match["names"].split(", "), *later.get(match["title"], ())])
    left = [name for name in names if name not in ran.names]
    return f"- Not run yet on {match['title']}: {', '.join(left)}." if left else None
