"""Charts on pages: kept for the requests of their pictures, and shown."""

from __future__ import annotations

from app.charts.chart import Chart
from app.db import Session
from app.services.saved import charts
from app.web.views.charts import ChartView, chart_view


async def drawn(session: Session, chart: Chart | None, id: str | None = None) -> ChartView | None:
    """The view of a chart on the page; None without one.

    Args:
        session: Database session; what other pages store may wait for it, so call it last.
        chart: The chart.
        id: Its id on the page; by default its kind.
    """
    if chart is None:
        return None
    await charts.keep(session, [chart])
    return chart_view(chart, id)
