"""Figures reported by the stages: scores by stage and split, and all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pricetag.accounting.document.records import QualityTag
from pricetag.tag.figures import number, with_unit
from pricetag.tag.scores import SCORES
from pricetag.tag.variants import metric_unit, variants
from pricetag.tag.view import TagView


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The scores of one stage on one split, by name."""

    stage: str
    split: str
    scores: dict[str, QualityTag]


def score_rows(tag: TagView) -> list[ScoreRow]:
    """The scores as the last attempt reported them, a row for each stage and split."""
    rows: dict[tuple[str, str], ScoreRow] = {}
    for item in tag.document.quality:
        if item.metric in SCORES:
            split = item.split or ""
            empty = ScoreRow(tag.stage_name(item.stage), split, {})
            rows.setdefault((item.stage, split), empty).scores[item.metric] = item
    return list(rows.values())


def score_heads(rows: list[ScoreRow]) -> list[str]:
    """The scores that any row has, in their usual order."""
    return [name for name in SCORES if any(name in row.scores for row in rows)]


def score_text(item: QualityTag | None) -> str:
    """A score with its class: ``0.8571 (class equivalent)``; the reason where it has no value.

    Args:
        item: None where none was reported.
    """
    if item is None:
        return ""
    if item.value is None:
        return f"n/a ({item.reason or 'not defined'})"
    return f"{item.value:.4f}" + (f" (class {item.of_class})" if item.of_class else "")


def other_figures(tag: TagView) -> Iterator[QualityTag]:
    """Figures that are neither scores nor in the tables of the variants."""
    shown = {(v.stage, v.attempt, name) for v in variants(tag.document) for name in v.shown()}
    for item in tag.document.quality:
        key = (item.stage, item.attempt, item.metric)
        if key not in shown and item.metric not in SCORES:
            yield item


def metric_text(item: QualityTag) -> str:
    """A reported figure with its unit."""
    unit = metric_unit(item)
    if item.value is None:
        return f"n/a ({item.reason or 'not a number'})"
    return with_unit(item.value, unit) if unit not in ("", "1") else number(item.value)


def other_rows(tag: TagView) -> list[tuple[str, str, str]]:
    """The other figures, a row for each stage and split: stage, split, and the named figures."""
    rows: dict[tuple[str, str], list[str]] = {}
    for item in other_figures(tag):
        text = f"{item.metric} {metric_text(item)}"
        rows.setdefault((item.stage, item.split or ""), []).append(text)
    return [(tag.stage_name(key), split, ", ".join(texts)) for (key, split), texts in rows.items()]
