"""What the pages of insights share: costs, filters, and names of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.schemas.insights import ScoreKind
from app.web.views.figures import FigureView, figure, money
from pricetag.tag.axes import SPENDING, Axis, Spending
from pricetag.tag.figure import Shown
from pricetag.tag.figures import Unit, column_unit, counted
from pricetag.tag.ratios import METRICS, Metric

COSTS: dict[Metric, str] = {
    "it_energy_kwh": "IT energy",
    "facility_energy_kwh": "Facility energy",
    "co2e_kg": "CO2e",
    "cost": "Cost",
    "duration_s": "Time",
}
"""Names of the costs, as axes and columns have them."""

SPENT: dict[Spending, str] = {
    **{metric: COSTS[metric] for metric in METRICS},
    "flops_dense": "Operations",
}
"""Names of the costs that runs spend, the horizontal axes of curves."""

AXES: dict[Axis, str] = {
    **{spending: SPENT[spending] for spending in SPENDING},
    "latency_p50_s": "Latency",
    "model_bytes": "Model size",
}
"""Names of the frontier's axes against quality."""

MOST_SOURCES = 12


def without_unreadable(runs: int) -> str:
    """The remark about runs whose price tag cannot be read."""
    return f"Without {counted(runs, 'run')} whose price tag cannot be read."


@dataclass(frozen=True, slots=True)
class Query:
    """Parameters of a page's address, for its form and for links to its other states."""

    values: Sequence[tuple[str, str]]

    def get(self, name: str) -> str:
        """The last value of a parameter; empty without one."""
        return next((value for key, value in reversed(self.values) if key == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a parameter."""
        return [value for key, value in self.values if key == name]

    def but(self, **changes: str | Sequence[str] | None) -> dict[str, list[str]]:
        """The parameters of the page in another state; None removes one."""
        parameters: dict[str, list[str]] = {}
        for name, value in self.values:
            parameters.setdefault(name, []).append(value)
        for name, change in changes.items():
            parameters.pop(name, None)
            if change is not None:
                parameters[name] = [change] if isinstance(change, str) else list(change)
        return parameters


def query(pairs: Iterable[tuple[str, str]]) -> Query:
    """The parameters of an address, without fields that nobody filled in."""
    return Query([(name, value) for name, value in pairs if value])


def score_name(kind: ScoreKind | None) -> str:
    """A score for an axis: metric, and split where there is one."""
    if kind is None:
        return "Score"
    return f"{kind.metric} ({kind.split})" if kind.split else kind.metric


@dataclass(frozen=True, slots=True)
class ScoreChoice:
    """A kind of score, with the parameters that choose it."""

    label: str
    query: dict[str, list[str]]
    is_chosen: bool


def scores(
    kinds: Sequence[ScoreKind], selected_kind: ScoreKind | None, state: Query
) -> list[ScoreChoice]:
    """All kinds of scores of the selected runs."""
    return [
        ScoreChoice(
            " · ".join(
                part
                for part in (
                    score_name(kind),
                    kind.task or "",
                    f"data {kind.data[:8]}" if kind.data else "",
                    counted(kind.runs, "run"),
                )
                if part
            ),
            state.but(quality=kind.metric, split=kind.split, task=kind.task, data=kind.data),
            kind == selected_kind,
        )
        for kind in kinds
    ]


def axis_unit(values: Iterable[float | None], unit: str) -> Unit:
    """The one unit of an axis, and the number of stored units in it."""
    name, size = column_unit(values, unit)
    return ("" if name == "1" else name), size


def cost_figure(quantity: Shown, shown: Unit) -> FigureView:
    """A cost in the unit of its column; an amount of money as such."""
    return (
        money(quantity)
        if shown[1] == 1.0 and _is_money(shown[0])
        else figure(quantity, shown=shown)
    )


def _is_money(unit: str) -> bool:
    return len(unit) == 3 and unit.isalpha() and unit.isupper()


def without_unit(view: FigureView) -> FigureView:
    """A figure for a column whose head has the unit."""
    return replace(view, unit="")


def sources_text(runs: Sequence[tuple[str, int]]) -> str:
    """Runs with the versions of their price tags, for a caption."""
    parts = [f"{run_id[:8]} v{version}" for run_id, version in runs[:MOST_SOURCES]]
    more = len(runs) - len(parts)
    tail = f" and {counted(more, 'more run')}" if more > 0 else ""
    return f"Runs with versions of their price tags: {', '.join(parts)}{tail}." if parts else ""
