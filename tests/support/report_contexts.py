"""Small report contexts with any text in every place that shows text."""

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


def wide_context() -> Context:
    """Tables of up to fourteen columns, with heads and cells longer than a column is wide."""
    heads = (
        "Effective FLOPs",
        "accuracy (validation)",
        "matched_validation_split_of_another_language",
        "spearman",
        "Throughput",
        "WWWWWWWWWWWW",
    )
    figures = ("22,713,216 (100.0%)", "0.9980", "n/a (not measured)", "12,345,678,901,234", "1.5")
    names = ("Intel(R)/Xeon(R)-Platinum-8480CL", "after int8", "incomprehensibilities")
    tables = []
    for count in (2, 5, 8, 11, 14):
        columns = [
            column(heads[i % len(heads)], "left" if i % 4 == 0 else "right", 2.0 - i % 3 * 0.5)
            for i in range(count)
        ]
        rows = [
            row(
                *(
                    (names if i % 4 == 0 else figures)[(i + n) % (3 if i % 4 == 0 else 5)]
                    for i in range(count)
                ),
                total=n == 5,
            )
            for n in range(6)
        ]
        tables.append(table(f"wide-{count}", f"{count} columns", columns, rows))
    context = context_with("wide")
    context["sections"] = [{"id": "s", "heading": "Wide", "paragraphs": [], "tables": tables}]
    return context
