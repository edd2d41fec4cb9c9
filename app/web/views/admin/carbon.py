"""Series of hourly carbon intensities as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.carbon import CarbonSeriesRead


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series.

    Attributes:
        series: As the API states it.
        hours: Number of its hours.
        error: Relative error of an hour.
        citation: Its source, with basis and license.
    """

    series: CarbonSeriesRead
    hours: str
    error: str
    citation: str


def rows(series: Sequence[CarbonSeriesRead]) -> Sequence[SeriesRow]:
    """The rows of some series."""
    return [
        SeriesRow(
            series=item,
            hours=f"{item.hours:,}",
            error=f"{item.relative_std_ratio:.3g}",
            citation="; ".join((item.source, item.basis, item.licence)),
        )
        for item in series
    ]
