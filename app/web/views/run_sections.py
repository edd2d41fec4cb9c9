"""The parts of a run's page that reports have too: the same tables, of one price tag."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.sections import provenance, quality, variants
from app.reports.shape import Section
from pricetag.tag.factors import applied
from pricetag.tag.view import TagView


def measured_models(tag: TagView) -> Section | None:
    """Size, speed, energy and break-even of every variant; None if none was measured."""
    return variants.section([tag])


def scores(tag: TagView) -> Section | None:
    """Figures reported by the stages; None if there are none."""
    return quality.section([tag])


def origin(tag: TagView) -> Sequence[Section]:
    """Factors with their citations, then software, seeds and files."""
    factors = provenance.factors_section(applied([tag], "site"), 1, "site")
    return [factors, provenance.section([tag])]
