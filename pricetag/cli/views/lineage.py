"""Where a run's model comes from, and what the whole chain of runs has used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import new_table
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import counted, interval_text, quantity_text

if TYPE_CHECKING:
    from rich.console import RenderableType

FIGURES = (("Energy", "it_energy_kwh"), ("CO2e", "co2e_kg"), ("Cost", "cost"))


def lineage_view(lineage: Mapping[str, Any]) -> RenderableType:
    """The models that a run takes, the runs upstream, and the sums over all of them."""
    from rich.console import Group
    from rich.text import Text

    table = new_table("Runs upstream", "Model used by", *(f">{head}" for head, _ in FIGURES))
    for run in lineage["upstream"]:
        figures = [quantity_text(run[name]) for _, name in FIGURES]
        name = f"{run['name']} ({run['run_id'][:8]})"
        table.add_row(*map(Text, (name, counted(run["shared_by"], "run"), *figures)))
    total = lineage["cumulative"]
    table.add_row(
        Text("This run with the runs upstream"),
        Text(""),
        *(Text(quantity_text(total[name])) for _, name in FIGURES),
    )
    models = (
        f"Model of stage '{model['stage']}' of run {model['run_id'][:8]}, "
        f"SHA-256 {model['sha256'][:12]}"
        for model in lineage["models"]
    )
    lines = [Text(line) for line in models]
    if (hidden := lineage["upstream_hidden"]) > 0:
        lines.append(Text(f"{counted(hidden, 'run')} upstream in private projects of others"))
    energy = total["it_energy_kwh"]
    if energy["value"] is not None:
        lines.append(Text(f"95% interval of the energy in all: {interval_text(figure_of(energy))}"))
    return Group(*lines[: len(lineage["models"])], table, *lines[len(lineage["models"]) :])
