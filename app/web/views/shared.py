"""What a share link shows, as a view model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.services.sharing.links import Shared
from app.web.views.figures import FigureView, figure, money
from app.web.views.papers import FORMATS, Reported, reported
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import counted

TOTALS = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "duration_s": "Machine time",
}


@dataclass(frozen=True, slots=True)
class SharedView:
    """The page of a share link.

    Attributes:
        title: Title of the report.
        lead: What the runs cost, in a sentence.
        at: When the report was created, in words.
        runs: How many runs it covers.
        sha256: Hash of its data.
        selection_sha256: Hash of the runs of a frozen paper; None for anything else.
        expires_at: Time after which the link no longer works.
        is_anonymous: Whether it is the variant for blind review.
        totals: Names and sums of a report that is not on a paper.
        paper: What the report on a paper states; None for any other.
        formats: The formats with their labels.
        has_archive: Whether there is an archive.
    """

    title: str
    lead: str
    at: str
    runs: str
    sha256: str
    selection_sha256: str | None
    expires_at: datetime
    is_anonymous: bool
    totals: Sequence[tuple[str, FigureView]]
    paper: Reported | None
    formats: Mapping[str, str]
    has_archive: bool


def shared_view(shared: Shared) -> SharedView:
    """The view of what a link shows."""
    context = shared.report.context
    paper = context.get("paper")
    return SharedView(
        title=context["title"],
        lead=context["lead"],
        at=context["generated_label"],
        runs=counted(len(context["runs"]), "run"),
        sha256=shared.report.content_sha256,
        selection_sha256=None if paper is None else paper["selection_sha256"],
        expires_at=shared.expires_at,
        is_anonymous=shared.is_anonymous,
        totals=_totals(context["totals"]) if paper is None else (),
        paper=None if paper is None else reported(context),
        formats=FORMATS | {"json": "JSON"},
        has_archive=shared.has_archive,
    )


def _totals(sums: Mapping[str, Any]) -> list[tuple[str, FigureView]]:
    shown = [(label, figure(sums[name])) for name, label in TOTALS.items() if name in sums]
    cost = sums.get("cost") or sums.get("cloud_cost")
    return [*shown, ("Cost", money(figure_of(cost)))] if cost else shown
