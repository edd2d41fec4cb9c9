"""The chain of a run on the terminal."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from pricetag.cli.views.lineage import lineage_view

RUN = "be42ed1a-ae34-4786-8763-0a4de62d9652"


def quantity(value: float | None, unit: str, reason: str | None = None) -> dict[str, Any]:
    ends = (None, None) if value is None else (value * 0.9, value * 1.1)
    return {"value": value, "low": ends[0], "high": ends[1], "unit": unit, "reason": reason}


def figures(kwh: float | None, reason: str | None = None) -> dict[str, Any]:
    return {
        "it_energy_kwh": quantity(kwh, "kWh", reason),
        "co2e_kg": quantity(0.0003, "kg"),
        "cost": quantity(0.25, "EUR"),
    }


def shown(lineage: dict[str, Any], width: int = 80) -> str:
    console = Console(width=width, record=True)
    console.print(lineage_view(lineage))
    return console.export_text()


def lineage(total: dict[str, Any], hidden: int = 0) -> dict[str, Any]:
    return {
        "models": [{"run_id": RUN, "stage": "teacher", "kind": "train", "sha256": "ab" * 32}],
        "upstream": [{"run_id": RUN, "name": "first", "shared_by": 2, **figures(0.0012)}],
        "upstream_hidden": hidden,
        "cumulative": total,
    }


@pytest.mark.parametrize("width", [60, 80, 120])
def test_every_figure_is_whole_at_any_width(width: int) -> None:
    text = shown(lineage(figures(0.0034)), width)
    for part in ("first (be42ed1a)", "2 runs", "1.20 Wh", "3.40 Wh", "300 mg", "0.250 EUR"):
        assert part in text, part
    assert "Model of stage 'teacher' of run be42ed1a" in text
    assert "95% interval of the energy with this run: 3.06 to 3.74 Wh" in text


def test_an_unknown_sum_says_why() -> None:
    text = shown(lineage(figures(None, "run x: there is no price tag yet"), hidden=1), 120)
    assert "n/a: run x: there is no price tag yet" in text
    assert "1 run upstream in other users' private projects" in text
    assert "95% interval" not in text
