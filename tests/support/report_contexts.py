"""Small report contexts that hold any text in every place that shows text."""

from __future__ import annotations

from typing import Any

from app.reports.shape import Context, column, row, table


def context_with(name: str, **more: Any) -> Context:
    """A context in which every text is ``name``."""
    shown = table(
        "t1",
        name,
        [column(name, weight=2.0), column(name, "right")],
        [row(name, "1.5"), row(name, name), row(name, name, total=True)],
        [name],
    )
    context: Context = {
        "schema": "pricetag-report/1",
        "title": name,
        "profile": "site",
        "profile_label": name,
        "generated_at": "2026-03-02T08:30:00+00:00",
        "generated_label": "2026-03-02 08:30 UTC",
        "lead": name,
        "sections": [{"id": "s1", "heading": name, "paragraphs": [name], "tables": [shown]}],
        "model_card": {
            "emissions_g": 1.5,
            "reason": None,
            "source": name,
            "training_type": None,
            "geographical_location": name,
            "hardware_used": name,
        },
        "line_columns": ["run", "it_energy_kwh"],
        "lines": [{"run": name, "it_energy_kwh": -1.5}, {"run": name, "it_energy_kwh": None}],
        "quality": [],
        "runs": [],
        "totals": {},
        "factors": [],
    }
    return {**context, **more}  # type: ignore[typeddict-item]
