"""The content of a report, computed once from price tags and stored with the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, cast

from app.reports.sections import (
    bill,
    breakdown,
    checks,
    footprint,
    lineage,
    lines,
    methods,
    provenance,
    quality,
    strubell,
    variants,
)
from app.reports.shape import Context, ModelCard, Profile
from app.reports.text import clean_all
from pricetag.accounting.units import G_PER_KG
from pricetag.catalog import WORLD
from pricetag.tag.factors import applied, single
from pricetag.tag.figure import Figure
from pricetag.tag.figures import counted
from pricetag.tag.strubell import StrubellRow, strubell_row
from pricetag.tag.totals import Totals, totals
from pricetag.tag.view import TagView

SCHEMA = "pricetag-report/1"
PROFILES: dict[Profile, str] = {
    "strubell2019": "Factors of Strubell et al. 2019",
    "site": "Factors of the site",
}


def build_context(
    title: str,
    profile: Profile,
    documents: Sequence[Mapping[str, Any]],
    *,
    generated_at: datetime,
    chains: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The content of all six formats.

    Args:
        title: Title of the report; any text.
        profile: Selects the factors for the measured energy.
        documents: Stored price tags, each with its `cause` if known, in order.
        generated_at: Time of creation, with time zone.
        chains: ``name`` and ``lineage`` of each run that starts from the model of another run.

    Raises:
        ValueError: If the profile is unknown, or the time has no time zone.
        InvalidDocument: If a document is not a price tag.
    """
    if profile not in PROFILES:
        raise ValueError(f"profile is {profile!r}: use one of {', '.join(PROFILES)}")
    if generated_at.tzinfo is None:
        raise ValueError("generated_at needs a time zone")
    tags = [TagView.read(document) for document in documents]
    sums = totals(tags, profile)
    rows = [strubell_row(tag, profile) for tag in tags]
    factors = applied(tags, profile)
    bare = lines.lines(tags, profile)
    context: Context = {
        "schema": SCHEMA,
        "title": title,
        "profile": profile,
        "profile_label": PROFILES[profile],
        "generated_at": generated_at.isoformat(timespec="seconds"),
        "generated_label": generated_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "lead": bill.lead(sums),
        "sections": [
            bill.section(sums, tags),
            strubell.section(rows, sums, profile),
            *filter(None, (variants.section(tags), quality.section(tags))),
            *filter(None, [lineage.section(chains, profile)]),
            breakdown.section(tags, profile),
            *filter(None, [footprint.section(tags, profile)]),
            methods.section(tags, sums, profile),
            checks.section(tags, profile),
            provenance.factors_section(factors, len(tags), profile),
            provenance.section(tags),
        ],
        "model_card": model_card(tags, sums, profile),
        "line_columns": lines.columns(bare),
        "lines": bare,
        "quality": quality.figures(tags),
        "runs": [run_figures(row, tag) for row, tag in zip(rows, tags, strict=True)],
        "totals": sums.as_dict(),
        "factors": provenance.factor_lines(factors),
    }
    return cast(dict[str, Any], clean_all(context))


def run_figures(row: StrubellRow, tag: TagView) -> dict[str, Any]:
    """The figures of a run, and the version of its price tag that they come from."""
    values = {item.name: getattr(row, item.name) for item in fields(row)}
    figures = {
        name: value.as_dict() if isinstance(value, Figure) else value
        for name, value in values.items()
    }
    return figures | {
        "version": tag.document.version,
        "newest_version": tag.newest,
        "as_of": tag.document.provenance.as_of,
    }


def _factors_of(profile: Profile) -> str:
    label = PROFILES[profile]
    return label[0].lower() + label[1:]


def model_card(tags: Sequence[TagView], sums: Totals, profile: Profile) -> ModelCard:
    """The emissions of all runs, for the metadata of a model card."""
    co2e = sums.co2e_kg
    intensities = (single(tag, "carbon_intensity") for tag in tags)
    zones = {factor.zone for factor in intensities if factor is not None and factor.zone}
    zones.discard(WORLD)  # the mean of the world says nothing about the place
    hardware = dict.fromkeys(name for tag in tags if (name := tag.hardware))
    return {
        "emissions_g": None if co2e.value is None else co2e.value * G_PER_KG,
        "reason": co2e.reason,
        "source": f"Pricetag; {_factors_of(profile)}; all attempts of {counted(len(tags), 'run')}",
        "training_type": None,
        "geographical_location": ", ".join(sorted(zones)) or None,
        "hardware_used": "; ".join(hardware) or None,
    }
