"""The summary of the scores of quotes, from their documents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from app.schemas.quotes import ScoreGroup, ScoreRead
from pricetag.accounting.forecast.score import NAMES, summary


def score_summary(newest: Sequence[Mapping[str, Any]]) -> ScoreRead:
    """The summary of the newest scores: each document read, and each error compared."""
    groups: dict[tuple[str, str | None, str, str], list[tuple[float, bool]]] = defaultdict(list)
    used = [score for score in newest if score["status"] == "succeeded"]
    for score in used:
        for name in NAMES:
            quantity = score["quantities"].get(name)
            if quantity is not None:
                key = (score["method"], score["level"], score["pool"], name)
                groups[key].append((quantity["log_error"], quantity["inside"]))
    rows = []
    for (method, level, pool, name), hits in sorted(groups.items(), key=_order):
        group = summary(hits)
        assert group is not None
        rows.append(
            ScoreGroup(
                method=method,
                level=level,
                pool=pool,
                quantity=name,
                count=group.count,
                median_factor=group.median_factor,
                bias_factor=group.bias_factor,
                inside_ratio=group.inside_ratio,
            )
        )
    unquoted = sum(score["method"] == "unknown" for score in used)
    return ScoreRead(runs=len(used), unquoted=unquoted, groups=rows)


def _order(item: tuple[tuple[str, str | None, str, str], object]) -> tuple[str, str, str, int]:
    method, level, pool, name = item[0]
    return method, level or "", pool, NAMES.index(name)
