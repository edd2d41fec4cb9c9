"""Charts of the pages: a store by the hash of their content, and their files.

A page stores the charts that it shows, and links to them by hash: what a hash stands for never
changes. Each stored chart names the projects whose runs it shows, and only who may see all of them
gets it.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from app.charts import svg
from app.charts.chart import Chart, Size, as_csv, caption, drawable
from app.charts.drawing import PICTURES, BusyError, Drawing, DrawingError, Picture
from app.charts.theme import Theme
from app.db import Session
from app.repositories.charts import charts
from app.repositories.people import visibility
from app.services.errors import NotFoundError, PricetagError
from app.services.principals import Principal

ChartFormat = Literal["svg", "png", "pdf", "json", "csv"]
FORMATS: tuple[ChartFormat, ...] = get_args(ChartFormat)

KEPT = timedelta(days=90)
"""Time without use after which a chart is deleted."""

KEPT_ONCE = timedelta(days=7)
"""The same for a chart that nobody used after the day on which it was made: of what changes all
the time, such as what is left of a budget, each visit makes another chart."""

MOST = 20_000
"""Maximum number of stored charts; of more, those unused for longest are deleted."""

USED_AGAIN = timedelta(days=1)


class ChartNotFoundError(NotFoundError):
    """No chart has this hash, or the caller may not see it."""

    code = "chart-not-found"


class ChartNotDrawnError(PricetagError):
    """The picture of a chart could not be made."""

    code = "chart-not-drawn"


class ChartsBusyError(PricetagError):
    """Too many pictures are waiting to be drawn."""

    code = "charts-busy"
    status = 503


@dataclass(frozen=True, slots=True)
class Stored:
    """A chart from the store."""

    sha256: str
    document: dict[str, Any]


async def keep(session: Session, shown: Sequence[Chart]) -> None:
    """Stores the charts of a page, which links to them by `Chart.sha256`.

    Charts that are stored and were used lately are only read. Others are locked until the commit:
    a page calls this after all of its other work.

    Args:
        session: Committed by the caller.
        shown: The charts; each names the projects of its runs.

    Raises:
        ValueError: If a chart names a project that does not exist.
    """
    if not shown:
        return
    now = datetime.now(UTC)
    used = await charts.used(session, {chart.sha256 for chart in shown})
    due = {chart.sha256: chart for chart in shown if _is_due(used.get(chart.sha256), now)}
    if not due:
        return
    names = {name for chart in due.values() for name in chart.projects}
    ids = await charts.project_ids(session, names)
    if names - ids.keys():
        raise ValueError(f"charts name unknown projects: {sorted(names - ids.keys())}")
    # In one order, so that two pages with the same charts do not wait for each other.
    rows = [
        {
            "sha256": sha256,
            "content": zlib.compress(chart.content),
            "projects": sorted(ids[name] for name in chart.projects),
        }
        for sha256, chart in sorted(due.items())
    ]
    await charts.put(session, rows, now=now, again=USED_AGAIN)


def _is_due(used_at: datetime | None, now: datetime) -> bool:
    return used_at is None or used_at < now - USED_AGAIN


async def read(session: Session, by: Principal, sha256: str) -> Stored:
    """A stored chart.

    Args:
        session: Committed by the caller; the use of the chart is noted once a day.
        by: The caller, who must see all projects of the chart.
        sha256: Hash of the chart.

    Raises:
        ChartNotFoundError: If there is no such chart, or one of its projects is hidden.
    """
    row = await charts.get(session, sha256)
    if row is None or not await visibility.sees_all_projects(session, by.viewer, row.projects):
        raise ChartNotFoundError(
            f"Chart {sha256} not found: it does not exist, was not used for {KEPT.days} days (or"
            f" {KEPT_ONCE.days} days after the day on which it was made), or shows"
            " runs that are hidden from you. Open its page again.",
            field="sha256",
        )
    now = datetime.now(UTC)
    if _is_due(row.used_at, now):
        await charts.mark_used(session, sha256, now=now, again=USED_AGAIN)
    document = await asyncio.to_thread(_document, row.content)
    return Stored(sha256, document)


def _document(content: bytes) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(zlib.decompress(content))
    return document


async def file(
    stored: Stored, drawing: Drawing, form: ChartFormat, *, theme: Theme, size: Size
) -> bytes:
    """A chart as a file.

    Args:
        stored: The chart.
        drawing: Where pictures are drawn.
        form: Format of the file.
        theme: Colors of a picture, and of the document.
        size: Size of both.

    Raises:
        ChartsBusyError: If too many pictures are waiting.
        ChartNotDrawnError: If the picture could not be made.
    """
    if form == "csv":
        return as_csv(stored.document)
    document = drawable(stored.document, theme, size)
    if form not in PICTURES:
        return json.dumps(document, ensure_ascii=False).encode()
    return await _picture(stored, drawing, document, form, f"{theme} {size}")


async def _picture(
    stored: Stored, drawing: Drawing, document: dict[str, Any], form: Picture, look: str
) -> bytes:
    try:
        picture = await drawing.picture(f"{stored.sha256} {form} {look}", document, form)
    except BusyError as error:
        raise ChartsBusyError(f"{error}; try again.") from error
    except DrawingError as error:
        raise ChartNotDrawnError(f"{error}; its data are in the CSV.") from error
    if form != "svg":
        return picture
    return svg.described(
        picture.decode(),
        title=document["usermeta"]["title"],
        description=caption(document, stored.sha256),
        key=stored.sha256[:12],
    ).encode()


async def forget_unused(session: Session) -> int:
    """Deletes charts that nobody uses any more; returns their number."""
    now = datetime.now(UTC)
    return await charts.forget(
        session,
        unused_since=now - KEPT,
        once_since=now - KEPT_ONCE,
        once=2 * USED_AGAIN,
        most=MOST,
    )
