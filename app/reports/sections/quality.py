"""Quality: reported metrics by stage and split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.reports.shape import Column, Section, Table, column, row, table
from pricetag.tag.quality import metric_text, other_figures, score_heads, score_rows, score_text
from pricetag.tag.view import TagView


def section(tags: Sequence[TagView]) -> Section | None:
    """Scores as a table of metrics, other metrics as a list; None if there are none."""
    tables = [shown for shown in (_scores(tags), _others(tags)) if shown is not None]
    if not tables:
        return None
    return {"id": "quality", "heading": "Quality", "paragraphs": [], "tables": tables}


def figures(tags: Sequence[TagView]) -> list[dict[str, Any]]:
    """All metrics of all stages and attempts, unrounded, for programs."""
    return [
        {
            "run_id": tag.document.run_id,
            "run": tag.name,
            "attempt": stage.attempt,
            "stage": stage.key,
            "stage_name": stage.name,
            **{name: getattr(item, name) for name in ("split", "metric", "value", "unit")},
            **{name: value for name in ("of_class", "reason") if (value := getattr(item, name))},
        }
        for tag in tags
        for stage in tag.document.stages
        for item in stage.quality
    ]


def _scores(tags: Sequence[TagView]) -> Table | None:
    lines = [(tag, line) for tag in tags for line in score_rows(tag)]
    if not lines:
        return None
    heads = score_heads([line for _, line in lines])
    rows = [
        row(
            *_run(tags, tag),
            line.stage,
            line.split,
            *(score_text(line.scores.get(name)) for name in heads),
        )
        for tag, line in lines
    ]
    columns = [
        *_run_column(tags),
        column("Stage", weight=2.0),
        column("Split"),
        *(column(name, "right", 0.9) for name in heads),
    ]
    return table("quality-scores", "Scores as the stages reported them", columns, rows)


def _others(tags: Sequence[TagView]) -> Table | None:
    items = [(tag, item) for tag in tags for item in other_figures(tag)]
    if not items:
        return None
    split = any(item.split for _, item in items)
    rows = [
        row(
            *_run(tags, tag),
            tag.stage_name(item.stage),
            *([item.split or ""] if split else []),
            item.metric,
            metric_text(item),
        )
        for tag, item in items
    ]
    columns = [
        *_run_column(tags),
        column("Stage", weight=1.6),
        *([column("Split", weight=0.8)] if split else []),
        column("Metric", weight=2.0),
        column("Value", "right", 1.2),
    ]
    return table("quality-others", "Other figures of the stages", columns, rows)


def _run(tags: Sequence[TagView], tag: TagView) -> list[str]:
    return [tag.document.name] if len(tags) > 1 else []


def _run_column(tags: Sequence[TagView]) -> list[Column]:
    return [column("Run", weight=2.0)] if len(tags) > 1 else []
