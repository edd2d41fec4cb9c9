"""The origin of a run's model, and the usage of the whole chain of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import Figures, FittedTable
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import Unit, column_unit, counted, interval_text, with_unit

if TYPE_CHECKING:
    from rich.console import RenderableType

FIGURES = (("IT energy", "it_energy_kwh"), ("CO2e", "co2e_kg"), ("Cost", "cost"))


def lineage_view(lineage: Mapping[str, Any]) -> RenderableType:
    """The models that a run starts from, its upstream runs, and the sums over all of them."""
    from rich.console import Group
    from rich.text import Text

    upstream, total = lineage["upstream"], lineage["cumulative"]
    names = [f"{run['name']} ({run['run_id'][:8]})" for run in upstream]
    shared = [counted(run["shared_by"], "run") for run in upstream]
    columns = [Figures("Model used by", [*shared, ""])]
    for head, name in FIGURES:
        quantities = [run[name] for run in [*upstream, total]]
        stored = quantities[-1]["unit"]
        shown = column_unit((quantity["value"] for quantity in quantities), stored)
        columns.append(Figures(head, [_text(quantity, shown) for quantity in quantities]))
    table = FittedTable("Runs upstream", [*names, "with this run"], columns)
    models = (
        f"Model of stage '{model['stage']}' of run {model['run_id'][:8]}, "
        f"SHA-256 {model['sha256'][:12]}"
        for model in lineage["models"]
    )
    return Group(*map(Text, models), table, *map(Text, _remarks(lineage)))


def _text(quantity: Mapping[str, Any], shown: Unit) -> str:
    if quantity["value"] is None:
        return "n/a"
    return with_unit(quantity["value"], quantity["unit"], shown)


def _remarks(lineage: Mapping[str, Any]) -> Iterator[str]:
    total = lineage["cumulative"]
    if (hidden := lineage["upstream_hidden"]) > 0:
        yield f"{counted(hidden, 'run')} upstream in other users' private projects"
    if spread := interval_text(figure_of(total["it_energy_kwh"])):
        yield f"95% interval of the energy with this run: {spread}"
    reasons = (total[name].get("reason") for _, name in FIGURES if total[name]["value"] is None)
    for reason in dict.fromkeys(reasons):
        yield f"n/a: {reason}"
