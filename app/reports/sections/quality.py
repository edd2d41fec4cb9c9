"""Quality: what the stages reported, by stage and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.reports.sections.variants import QUALITY, metric_unit
from app.reports.shape import Section, Table, column, row, table
from pricetag.figures import number, with_unit
from pricetag.tags import Tag, listed, stage_name


def section(tags: Sequence[Tag]) -> Section | None:
    """Scores as a table of metrics, anything else as a list; None where there is neither."""
    found = [shown for shown in (_scores(tags), _others(tags)) if shown is not None]
    if not found:
        return None
    return {"id": "quality", "heading": "Quality", "paragraphs": [], "tables": found}


def _scores(tags: Sequence[Tag]) -> Table | None:
    lines: dict[tuple[int, str, str], dict[str, Any]] = {}
    for index, tag in enumerate(tags):
        for item in listed(tag, "quality"):
            if item.get("metric") in QUALITY:
                key = (index, str(item.get("stage")), str(item.get("split") or ""))
                lines.setdefault(key, {})[str(item["metric"])] = item.get("value")
    if not lines:
        return None
    heads = [name for name in QUALITY if any(name in scores for scores in lines.values())]
    rows = [
        row(
            str(tags[index].get("name")),
            stage_name(tags[index], stage),
            split,
            *(_score(scores, name) for name in heads),
        )
        for (index, stage, split), scores in lines.items()
    ]
    columns = [
        column("Run", weight=2.0),
        column("Stage", weight=2.0),
        column("Split"),
        *(column(name, "right", 0.9) for name in heads),
    ]
    return table("quality-scores", "Scores as the stages reported them", columns, rows)


def _score(scores: Mapping[str, Any], name: str) -> str:
    if name not in scores:
        return ""
    return "n/a (not defined)" if scores[name] is None else f"{scores[name]:.4f}"


def _others(tags: Sequence[Tag]) -> Table | None:
    rows = [
        row(
            str(tag.get("name")),
            stage_name(tag, str(item.get("stage"))),
            str(item.get("split") or ""),
            str(item.get("metric")),
            _value(item),
        )
        for tag in tags
        for item in listed(tag, "quality")
        if item.get("metric") not in QUALITY
    ]
    if not rows:
        return None
    columns = [
        column("Run", weight=2.0),
        column("Stage", weight=1.6),
        column("Split", weight=0.8),
        column("Metric", weight=2.0),
        column("Value", "right", 1.2),
    ]
    return table("quality-others", "Other figures of the stages", columns, rows)


def _value(item: Mapping[str, Any]) -> str:
    value, unit = item.get("value"), metric_unit(item)
    if value is None:
        return "n/a (not a number)"
    return with_unit(value, unit) if unit not in ("", "1") else number(value)
