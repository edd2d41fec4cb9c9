"""A local price tag in a few lines, for the end of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricetag.tag.status import status_text
from pricetag.tag.summary import is_partly_metered, short_percent, summary
from pricetag.tag.view import TagView

SHORT = 8

EXPLANATION = (
    "power, energy and their intervals are those of the metered time alone: the meters open while "
    "a program starts"
)


def summary_text(document: Mapping[str, Any]) -> str:
    """The totals of a settled run, with how to show the whole price tag.

    Args:
        document: What ``pricetag.local.settling.settled`` returned.
    """
    tag = TagView.read(document["price_tag"])
    lines = summary(tag)
    width = max(len(line.label) for line in lines)
    short_id = str(document["run"]["id"])[:SHORT]
    return "\n".join(
        [
            f"pricetag: {tag.name} ({status_text(document['run']['status'])})",
            *(f"  {line.label:<{width}}  {line.text}" for line in lines),
            *(f"  {line}" for line in _unmetered_lines(tag, width)),
            f"  stages, components and sources: pricetag show {short_id}",
            "",
        ]
    )


def unmetered(tag: TagView) -> tuple[str, str] | None:
    """The metered share of the time and what it means for the figures; None if it is large."""
    ratio = tag.document.energy.coverage_ratio.value
    if ratio is None or not is_partly_metered(tag):
        return None
    return f"{short_percent(ratio)} of the time", EXPLANATION


def _unmetered_lines(tag: TagView, width: int) -> list[str]:
    note = unmetered(tag)
    return [] if note is None else [f"{'Metered':<{width}}  {note[0]}", note[1]]
