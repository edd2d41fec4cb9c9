"""Charts that change all the time, each drawn again only every few minutes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

from app.charts.chart import Chart

EVERY = timedelta(minutes=5)
MOST = 500
_BEGIN = datetime(2000, 1, 1, tzinfo=UTC)


class SteadyCharts:
    """Keeps a chart of each subject for up to five minutes, in this process.

    A chart that reaches the present has different content, and thus a different hash, each time it
    is made. If every one were stored, a monitor that polls would evict all other charts.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[int, Hashable, Chart]] = OrderedDict()

    def of(self, subject: Hashable, state: Hashable, chart: Chart, now: datetime) -> Chart:
        """The chart of a subject to show.

        Args:
            subject: What it is about.
            state: State that changes only with events; a new state gives a new chart.
            chart: The chart as of now.
            now: Present time.

        Returns:
            The first chart made with this state in the current five minutes.
        """
        piece = (now - _BEGIN) // EVERY
        stored = self._kept.get(subject)
        if stored is not None and stored[:2] == (piece, state):
            return stored[2]
        self._kept[subject] = (piece, state, chart)
        self._kept.move_to_end(subject)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return chart
