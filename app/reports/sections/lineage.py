"""Chains of runs: usage of a run together with its upstream runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.reports.shape import Section, column, row, table
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import counted, figure_text, quantity_text
from pricetag.tag.strubell import Profile, by_paper

HEADS = ("IT energy", "CO2e", "Cost")


def section(chains: Sequence[Mapping[str, Any]], profile: Profile) -> Section | None:
    """The chains of the reported runs; None if no run starts from the model of another.

    Args:
        chains: ``name`` and ``lineage`` of each such run, in the form of the API.
        profile: Factors of the emissions.
    """
    if not chains:
        return None
    rows = []
    for chain in chains:
        lineage = chain["lineage"]
        for run in lineage["upstream"]:
            shared = f"model used by {counted(run['shared_by'], 'run')}"
            rows.append(row(str(run["name"]), shared, *_figures(run, profile)))
        rows.append(
            row(
                f"{chain['name']} with upstream runs",
                _models(lineage),
                *_figures(lineage["cumulative"], profile),
                total=True,
            )
        )
    columns = [
        column("Run", weight=2.0),
        column("Model", weight=2.0),
        *(column(head, "right", 1.4) for head in HEADS),
    ]
    return {
        "id": "lineage",
        "heading": "Including upstream runs",
        "paragraphs": [
            "Some runs start from a model that an earlier run published. The sums count each run "
            "of a chain once, with all its attempts and stages; the totals elsewhere in this "
            "report include only the reported runs."
        ],
        "tables": [
            table("lineage-sums", "Runs with the upstream runs they build on", columns, rows)
        ],
    }


def _figures(usage: Mapping[str, Any], profile: Profile) -> list[str]:
    co2e_kg = figure_of(usage["co2e_kg"])
    if profile == "strubell2019":
        co2e_kg = by_paper(figure_of(usage["it_energy_kwh"]))[1]
    return [
        quantity_text(usage["it_energy_kwh"]),
        figure_text(co2e_kg),
        quantity_text(usage["cost"]),
    ]


def _models(lineage: Mapping[str, Any]) -> str:
    return "; ".join(
        f"of stage '{model['stage']}', SHA-256 {model['sha256'][:12]}"
        for model in lineage["models"]
    )
