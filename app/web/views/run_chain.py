"""A run that starts from earlier ones: each with its energy, and all of it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.lineage import Cumulative, UpstreamRun
from app.schemas.runs import RunRead
from app.web.views.figures import FigureView, in_column, money
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import column_unit


@dataclass(frozen=True, slots=True)
class ChainRow:
    """A run of a chain with its totals; the last row is the sum."""

    run_id: str | None
    name: str
    shared: str
    energy: FigureView
    co2e: FigureView
    cost: FigureView


@dataclass(frozen=True, slots=True)
class ChainView:
    """The runs that a run builds on."""

    rows: Sequence[ChainRow]
    total: ChainRow
    hidden: int
    models: Sequence[tuple[str, str]]
    energy_unit: str
    co2e_unit: str


def chain(run: RunRead) -> ChainView | None:
    """The chain of a run's model with the cumulative totals; None without one."""
    lineage = run.lineage
    if lineage is None:
        return None
    uses: list[UpstreamRun | Cumulative] = [*lineage.upstream, lineage.cumulative]
    energy_unit = column_unit((use.it_energy_kwh.value for use in uses), "kWh")
    co2e_unit = column_unit((use.co2e_kg.value for use in uses), "kg")

    def row(run_id: str | None, name: str, shared: str, use: UpstreamRun | Cumulative) -> ChainRow:
        return ChainRow(
            run_id,
            name,
            shared,
            in_column(use.it_energy_kwh, energy_unit),
            in_column(use.co2e_kg, co2e_unit),
            money(figure_of(use.cost.model_dump())),
        )

    rows = [row(str(up.run_id), up.name, f"{up.shared_by:,}", up) for up in lineage.upstream]
    models = [(model.stage, model.sha256[:12]) for model in lineage.models]
    total = row(None, "This run with all of them", "", lineage.cumulative)
    return ChainView(rows, total, lineage.upstream_hidden, models, energy_unit[0], co2e_unit[0])
