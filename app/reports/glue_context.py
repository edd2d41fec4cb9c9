"""The content of a report on GLUE: the table of scores, and what its figures are based on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.reports.blind import Pseudonyms, blind_glue_rows, blind_price_tag
from app.reports.context import build_context
from app.reports.sections import glue
from app.reports.shape import Profile
from app.reports.text import clean_all
from pricetag.tag.glue.rows import glue_rows
from pricetag.tag.glue.runs import GlueRun
from pricetag.tag.view import TagView

KEPT = ("bill", "lineage", "methods", "checks", "factors", "provenance")
"""Sections of every report that a report on GLUE has as well, after its table."""

Document = Mapping[str, Any]


class NoScoresError(ValueError):
    """None of the runs has a score on a task of GLUE."""


def glue_context(
    title: str,
    profile: Profile,
    documents: Sequence[Document],
    recipes: Mapping[str, Document],
    *,
    generated_at: datetime,
    earlier: Sequence[Document] = (),
    chains: Sequence[Document] = (),
    names: Pseudonyms | None = None,
) -> dict[str, Any]:
    """The content of all six formats.

    Args:
        title: Title of the report; any text.
        profile: Selects the factors for the measured energy.
        documents: Stored price tags of the runs, in order.
        recipes: Stored recipes of all runs, by run ID.
        generated_at: Time of creation, with time zone.
        earlier: Stored price tags of runs whose models the others start from.
        chains: As for ``build_context``.
        names: Pseudonyms for the variant for blind review; None for the report itself.

    Raises:
        NoScoresError: If there is no row.
        ValueError: As for ``build_context``.
    """
    runs = _runs(documents, recipes)
    rows = glue_rows(runs, _runs(earlier, recipes), profile)
    if not rows:
        raise NoScoresError(
            "no run has a score on a task of GLUE: use runs with `data: {glue: TASK}` that "
            "evaluated their model"
        )
    if names is not None:
        rows = blind_glue_rows(rows, names)
        documents = [blind_price_tag(document, names) for document in documents]
    full_context = build_context(
        title, profile, documents, generated_at=generated_at, chains=chains
    )
    skipped = len(runs) - len({run_id for row in rows for run_id in row.run_ids})
    lines = glue.lines(rows)
    table: dict[str, Any] = clean_all(
        {
            "table": "glue",
            "sections": [glue.section(rows, skipped, profile)],
            "line_columns": list(lines[0]),
            "lines": lines,
        }
    )
    sections = [section for section in full_context["sections"] if section["id"] in KEPT]
    return {**full_context, **table, "sections": [*table["sections"], *sections]}


def _runs(documents: Sequence[Document], recipes: Mapping[str, Document]) -> list[GlueRun]:
    tags = map(TagView.read, documents)
    return [GlueRun(tag, recipes.get(tag.document.run_id) or {}) for tag in tags]
