"""Reliability of the figures: coverage, flags, second opinions."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.cells import Notes, column_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.accounting.document.plain_texts import plain
from pricetag.tag.figures import percent
from pricetag.tag.flags import flag_text, noteworthy_flags
from pricetag.tag.measured import is_metered
from pricetag.tag.strubell import Profile
from pricetag.tag.trust import (
    Causes,
    compared_attempts,
    error_causes,
    opinions,
    second_tool,
)
from pricetag.tag.view import TagView


def section(tags: Sequence[TagView], profile: Profile) -> Section:
    """Coverage and flags of every run, and the second opinions."""
    notes = Notes()
    rows = [
        row(
            tag.document.name,
            notes.percent(tag.document.energy.coverage_ratio),
            "; ".join(map(flag_text, noteworthy_flags(tag))) or "none",
        )
        for tag in tags
    ]
    columns = [
        column("Run", weight=1.6),
        column("Run time metered", "right", 0.9),
        column("Flags", weight=3.0),
    ]
    tables = [table("coverage", "Coverage and flags of every run", columns, rows, notes.lines())]
    return {
        "id": "checks",
        "heading": "How far to trust the figures",
        "paragraphs": [
            "Coverage is the part of the components' run time that was metered"
            f"{'' if all(map(is_metered, tags)) else OF_OTHERS}. Other time is "
            "not extrapolated. The second opinion is the IT energy that another tool "
            "measured for the same attempts. Since it sees whole machines, its difference is "
            "shown relative to the charged energy and to the energy of the whole devices: (other "
            "tool - Pricetag) / Pricetag."
        ],
        "tables": [*tables, *_opinions(tags), *_errors(tags, profile)],
    }


SHOWN_CAUSES = 3
OF_OTHERS = ", or that the other tool's figures cover where Pricetag did not measure"
MEASURED = "IT energy"


def _errors(tags: Sequence[TagView], profile: Profile) -> list[Table]:
    """The largest causes of error of each total; no table if no price tag has any.

    A profile with its own, exact factors leaves only the meters' errors.
    """
    rows = [
        row(tag.document.name, causes.label, percent(causes.std_ratio), _causes(causes))
        for tag in tags
        for causes in error_causes(tag)
        if profile == "site" or causes.label == MEASURED
    ]
    if not rows:
        return []
    columns = [
        column("Run", weight=1.6),
        column("Figure"),
        column("Relative error (1 sigma)", "right"),
        column("Causes, by share of the variance", weight=3.4),
    ]
    caption = "Where the error of each total comes from"
    note = "To first order; multiplicative errors count by their logarithm."
    return [table("errors", caption, columns, rows, [note])]


def _causes(causes: Causes) -> str:
    return "; ".join(
        f"{share.term} {percent(share.share_of_variance)}" for share in causes.shares[:SHOWN_CAUSES]
    )


def _opinions(tags: Sequence[TagView]) -> list[Table]:
    lines = [(tag, kind, opinion) for tag in tags for kind, opinion in opinions(tag)]
    own = [tag.document for tag in tags if is_metered(tag)]
    alone = [document.name for document in own if document.second_opinion is None]
    silent = [f"No other tool ran alongside the meter of {'; '.join(alone)}."] if alone else []
    notes = Notes()
    energies = [
        energy
        for _, _, opinion in lines
        for energy in (opinion.ours_kwh, opinion.theirs_kwh, opinion.ours_gross_kwh)
    ]
    unit, size = column_unit(energies, "kWh")
    rows = [
        row(
            tag.document.name,
            second_tool(tag) or "",
            kind,
            notes.figure(opinion.ours_kwh, size),
            notes.figure(opinion.ours_gross_kwh, size),
            notes.figure(opinion.theirs_kwh, size),
            notes.difference(opinion.difference_ratio),
            notes.difference(opinion.gross_difference_ratio),
            total=kind == "all",
        )
        for tag, kind, opinion in lines
    ]
    columns = [
        column("Run", weight=2.0),
        column("Tool", weight=1.4),
        column("Component"),
        column(f"Charged ({unit})", "right"),
        column(f"Whole devices ({unit})", "right"),
        column(f"Other tool ({unit})", "right"),
        column("Other tool to charged", "right"),
        column("Other tool to whole", "right"),
    ]
    caption = "Second opinion on IT energy"
    remarks = [*notes.lines(), *silent, *_partly(tags), *_explained(tags)]
    return [table("second-opinion", caption, columns, rows, remarks)]


def _partly(tags: Sequence[TagView]) -> list[str]:
    """The runs with attempts that are not compared."""
    return [
        f"{tag.document.name}: of {part} alone; the other tool reported nothing for the rest."
        for tag in tags
        if (part := compared_attempts(tag)) is not None
    ]


def _explained(tags: Sequence[TagView]) -> list[str]:
    """The causes of the differences, a line for each run."""
    lines = []
    for tag in tags:
        opinion = tag.document.second_opinion
        causes = () if opinion is None else opinion.explanation
        if causes:
            parts = "; ".join(
                f"{cause.component or 'all'}: {plain(cause.text)}" for cause in causes
            )
            lines.append(f"{tag.document.name}: {parts}")
    return lines
