"""A local price tag in a few lines, for the end of a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pricetag.tag.summary import summary
from pricetag.tag.view import TagView

SHORT = 8


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
            f"pricetag: {tag.name} ({document['run']['status']})",
            *(f"  {line.label:<{width}}  {line.text}" for line in lines),
            f"  stages, components and sources: pricetag show {short_id}",
            "",
        ]
    )
