"""Origin of all figures: factors with citations, software, seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.reports.cells import EVIDENCE
from app.reports.shape import Row, Section, Table, column, row, table
from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.quantity.record import NOT_RECORDED
from pricetag.tag.factors import AppliedFactor
from pricetag.tag.figures import not_available, with_unit
from pricetag.tag.measured import QUEUE, TRUST, origin_of, sender_text
from pricetag.tag.strubell import Profile
from pricetag.tag.view import TagView


def factor_lines(factors: Sequence[AppliedFactor]) -> list[dict[str, Any]]:
    """The factors for programs."""
    return [
        {"name": item.name, "label": item.label, **asdict(item.factor), "runs": item.runs}
        for item in factors
    ]


_OF_HOURS = (
    " Hourly factors are shown as the mean that was applied, weighted by the energy of each "
    "hour; the hourly values are in the price tag."
)


def factors_section(factors: Sequence[AppliedFactor], run_count: int, profile: Profile) -> Section:
    """The factors as a table."""
    rows = [
        row(
            item.label,
            with_unit(float(item.factor.value), item.factor.unit),
            EVIDENCE.get(item.factor.source, item.factor.source),
            _citation(item.factor),
            "all" if item.runs is None or len(item.runs) == run_count else str(len(item.runs)),
        )
        for item in factors
    ]
    columns = [
        column("Factor", weight=1.4),
        column("Value", "right", 1.1),
        column("Evidence", weight=0.9),
        column("Source", weight=3.2),
        column("Runs", "right", 0.5),
    ]
    caption = "Factors that were applied"
    return {
        "id": "factors",
        "heading": "Factors",
        "paragraphs": [
            (
                "Each factor was copied into the price tag when that was issued."
                if profile == "site"
                else "PUE and carbon intensity are the paper's; prices are those of each price tag."
            )
            + (_OF_HOURS if any(item.name.endswith("_hours") for item in factors) else "")
        ],
        "tables": [table("factors", caption, columns, rows)],
    }


def _citation(factor: Factor) -> str:
    parts: list[Any] = [factor.citation or NOT_RECORDED]
    parts += [factor.zone, factor.year, factor.basis, factor.source_url]
    if factor.licence:
        parts.append(f"license: {factor.licence}")
    return "; ".join(str(part) for part in parts if part)


def section(tags: Sequence[TagView]) -> Section:
    """The software environment of each run, and the version of the accounting."""
    rows = [_row(tag) for tag in tags]
    columns = [
        column("Run", weight=1.5),
        column("Price tag", weight=1.2),
        column("Node", weight=0.9),
        column("Git commit", weight=1.1),
        column("Seeds", weight=0.8),
        column("Software", weight=2.6),
    ]
    return {
        "id": "provenance",
        "heading": "Provenance",
        "paragraphs": [],
        "tables": [
            table("provenance-runs", "Identity and software of every run", columns, rows),
            *_elsewhere(tags),
            *_files(tags),
        ],
    }


def _elsewhere(tags: Sequence[TagView]) -> list[Table]:
    """The runs that no worker measured."""
    rows = [
        row(
            f"{tag.document.name} ({tag.document.run_id})",
            origin,
            sender_text(by) if (by := tag.document.provenance.measured_by) else not_available(None),
            TRUST.get(origin, origin),
        )
        for tag in tags
        if (origin := origin_of(tag)) != QUEUE
    ]
    columns = [
        column("Run", weight=1.5),
        column("Origin", weight=0.7),
        column("Measured by", weight=1.0),
        column("Trust", weight=3.2),
    ]
    caption = "Runs that were measured outside the queue"
    return [table("provenance-origins", caption, columns, rows)] if rows else []


def _files(tags: Sequence[TagView]) -> list[Table]:
    """The data and model files of the runs that recorded them."""
    rows = [
        row(
            f"{tag.document.name} ({tag.document.run_id})",
            file.role,
            file.path,
            not_available(None) if file.size_bytes is None else f"{file.size_bytes}",
            file.sha256 or not_available(file.reason),
        )
        for tag in tags
        for file in tag.document.provenance.inputs or ()
    ]
    columns = [
        column("Run", weight=1.5),
        column("Role", weight=0.9),
        column("File", weight=1.6),
        column("Bytes", "right", 0.9),
        column("SHA-256", weight=3.2),
    ]
    caption = "Data and model files that were read"
    return [table("provenance-files", caption, columns, rows)] if rows else []


def _row(tag: TagView) -> Row:
    document, about = tag.document, tag.document.provenance
    software = [f"Python {about.python}"] if about.python else []
    software += [f"{name} {version}" for name, version in sorted(about.packages.items())]
    if about.platform:
        software.append(about.platform)
    seeds = ", ".join(f"{name}: {seed}" for name, seed in about.seeds.items())
    return row(
        f"{document.name} ({document.run_id})",
        f"version {document.version}{_of(tag)}, accounting {about.accounting_version}"
        + (f"; {tag.repriced}" if tag.repriced else ""),
        ", ".join(about.nodes) or not_available(None),
        (about.git_commit or "")[:12] or not_available(None),
        seeds or not_available(None),
        ", ".join(software) or not_available(None),
    )


def _of(tag: TagView) -> str:
    """`` of 3`` where a newer version exists."""
    return f" of {tag.newest}" if tag.newest not in (None, tag.document.version) else ""
