"""Quality: what the stages reported, by stage and split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.reports.shape import Column, Section, Table, column, row, table
from pricetag.tag.figures import number, with_unit
from pricetag.tag.tags import Tag, listed, stage_name
from pricetag.tag.variants import SCORES, metric_unit, score_text, variants


def section(tags: Sequence[Tag]) -> Section | None:
    """Scores as a table of metrics, anything else as a list; None where there is neither."""
    found = [shown for shown in (_scores(tags), _others(tags)) if shown is not None]
    if not found:
        return None
    return {"id": "quality", "heading": "Quality", "paragraphs": [], "tables": found}


def figures(tags: Sequence[Tag]) -> list[dict[str, Any]]:
    """Every figure that every stage of every attempt reported, unrounded, for programs."""
    return [
        {
            "run_id": str(tag.get("run_id") or ""),
            "run": str(tag.get("name") or "unnamed"),
            "attempt": stage.get("attempt"),
            "stage": stage.get("key"),
            "stage_name": stage.get("name"),
            **{name: item.get(name) for name in ("split", "metric", "value", "unit")},
            **{name: item[name] for name in ("of_class", "reason") if item.get(name)},
        }
        for tag in tags
        for stage in listed(tag, "stages")
        for item in listed(stage, "quality")
    ]


def _scores(tags: Sequence[Tag]) -> Table | None:
    lines: dict[tuple[int, str, str], dict[str, Mapping[str, Any]]] = {}
    for index, tag in enumerate(tags):
        for item in listed(tag, "quality"):
            if item.get("metric") in SCORES:
                key = (index, str(item.get("stage")), str(item.get("split") or ""))
                lines.setdefault(key, {})[str(item["metric"])] = item
    if not lines:
        return None
    heads = [name for name in SCORES if any(name in scores for scores in lines.values())]
    rows = [
        row(
            *_run(tags, tags[index]),
            stage_name(tags[index], stage),
            split,
            *(score_text(scores.get(name)) for name in heads),
        )
        for (index, stage, split), scores in lines.items()
    ]
    columns = [
        *_run_column(tags),
        column("Stage", weight=2.0),
        column("Split"),
        *(column(name, "right", 0.9) for name in heads),
    ]
    return table("quality-scores", "Scores as the stages reported them", columns, rows)


def _others(tags: Sequence[Tag]) -> Table | None:
    found = [(tag, item) for tag in tags for item in _not_shown(tag)]
    if not found:
        return None
    split = any(item.get("split") for _, item in found)
    rows = [
        row(
            *_run(tags, tag),
            stage_name(tag, str(item.get("stage"))),
            *([str(item.get("split") or "")] if split else []),
            str(item.get("metric")),
            _value(item),
        )
        for tag, item in found
    ]
    columns = [
        *_run_column(tags),
        column("Stage", weight=1.6),
        *([column("Split", weight=0.8)] if split else []),
        column("Metric", weight=2.0),
        column("Value", "right", 1.2),
    ]
    return table("quality-others", "Other figures of the stages", columns, rows)


def _not_shown(tag: Tag) -> Iterable[Mapping[str, Any]]:
    """Figures that are neither scores nor in the tables of the variants."""
    shown = {(v.stage, v.attempt, name) for v in variants(tag) for name in v.shown()}
    for item in listed(tag, "quality"):
        known = (str(item.get("stage")), int(item.get("attempt") or 0), str(item.get("metric")))
        if known not in shown and item.get("metric") not in SCORES:
            yield item


def _run(tags: Sequence[Tag], tag: Tag) -> list[str]:
    return [str(tag.get("name"))] if len(tags) > 1 else []


def _run_column(tags: Sequence[Tag]) -> list[Column]:
    return [column("Run", weight=2.0)] if len(tags) > 1 else []


def _value(item: Mapping[str, Any]) -> str:
    value, unit = item.get("value"), metric_unit(item)
    if value is None:
        return f"n/a ({item.get('reason') or 'not a number'})"
    return with_unit(value, unit) if unit not in ("", "1") else number(value)
