"""The newest runs of a selection with the parts of their price tags that insights look at.

A price tag never changes, and insights need a sixth of its members: what each component used, the
causes of error and the factors are omitted. What was read is kept for the next request.
"""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.db import Session
from app.repositories.price_tags import parts
from app.repositories.price_tags.parts import ListedRun, StoredVersion
from app.services.billing.documents import PriceTagUnreadableError, tag_view
from app.services.principals import Principal
from app.services.runs import listing
from app.services.runs.listing import RunFilter
from pricetag.tag.view import TagView

OMITTED = frozenset({"attempts", "components", "second_opinion", "split", "uncertainty"})
"""Members of price tags and of their stages that are omitted."""

OF_PROVENANCE = frozenset({"factors", "outside_stages", "packages", "seeds", "variables"})
"""Members of their provenance that are omitted."""

METERED = "inferences"
"""The figure of a stage whose energy is that of inferences."""

MOST_KEPT = 500
"""Price tags whose parts are kept: some 30 MB."""

Key = tuple[uuid.UUID, str]

_kept: OrderedDict[Key, TagView | None] = OrderedDict()
"""Parts of price tags, the one that was asked for last at the end; None of unreadable ones."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """Ended runs with their latest price tags, newest first.

    Attributes:
        runs: The runs.
        unreadable: Number of runs whose price tag cannot be read.
        is_whole: Whether these are all selected runs.
    """

    runs: list[tuple[ListedRun, TagView]]
    unreadable: int
    is_whole: bool


async def newest_tags(session: Session, by: Principal, filters: RunFilter, limit: int) -> Tagged:
    """The selected runs that finished last, with the parts of their price tags.

    Args:
        session: Database session, only read.
        by: The caller.
        filters: Filters of the runs.
        limit: Maximum number of runs.

    Raises:
        NotFoundError: If the project or experiment does not exist, or is hidden from the caller.
    """
    ids, is_whole = await listing.first_ids(session, by, filters, sort="-finished_at", limit=limit)
    runs = await parts.newest_of(session, ids)
    stored = {run.id: run.newest for run in runs.values() if run.newest is not None}
    views = await _views(session, stored)
    tagged = []
    for run_id in ids:
        view = views.get(run_id)
        if view is not None:
            tagged.append((runs[run_id], view))
    unreadable = sum(view is None for view in views.values())
    return Tagged(tagged, unreadable, is_whole)


async def views_of(
    session: Session, versions: Mapping[uuid.UUID, int]
) -> dict[uuid.UUID, TagView | None]:
    """The parts of these versions of price tags, by run; None of one that cannot be read."""
    return await _views(session, await parts.versions_of(session, versions))


async def _views(
    session: Session, stored: Mapping[uuid.UUID, StoredVersion]
) -> dict[uuid.UUID, TagView | None]:
    """The parts of price tags by run; None of one that cannot be read."""
    keys = {run_id: (tag.tag_id, tag.written) for run_id, tag in stored.items()}
    views = {run_id: _kept[key] for run_id, key in keys.items() if key in _kept}
    missing = [tag for run_id, tag in stored.items() if run_id not in views]
    if missing:
        read = await parts.read_each(session, missing, _read)
        views |= {tag.run_id: read[tag.tag_id] for tag in missing if tag.tag_id in read}
    for run_id, view in views.items():
        _kept[keys[run_id]] = view
        _kept.move_to_end(keys[run_id])
    while len(_kept) > MOST_KEPT:
        _kept.popitem(last=False)
    return views


def _read(tag: StoredVersion, content: Mapping[str, Any]) -> TagView | None:
    try:
        return tag_view({**parts_of(content), "newest_version": tag.version}, tag.cause)
    except PriceTagUnreadableError:
        return None


def parts_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """A price tag without what insights do not look at; one of another form stays as it is."""
    try:
        stages, provenance = content["stages"], content["provenance"]
        # Where inferences were metered, the errors that windows share decide on the break-even.
        has_inferences = any(
            item["metric"] == METERED for stage in stages for item in stage["quality"]
        )
        omitted = OMITTED - {"components"} if has_inferences else OMITTED
        return {
            **_without(content, OMITTED),
            "stages": [_without(stage, omitted) for stage in stages],
            "provenance": _without(provenance, OF_PROVENANCE),
        }
    except (AttributeError, KeyError, TypeError):
        return content


def _without(members: Mapping[str, Any], omitted: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in omitted}
