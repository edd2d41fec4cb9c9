"""The page about a million runs: its tables, from the measurements."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lab.asks import LIST_MS

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "a-million-runs.md"
BEGIN = "<!-- python -m benchmarks.lab page: begin -->"
END = "<!-- python -m benchmarks.lab page: end -->"

Row = Mapping[str, Any]

GROUPS = (
    ("`POST /v1/runs` under 8 to 10 budgets", r"POST /v1/runs"),
    ("a quote, quote scores", r"POST /v1/quotes|quote scores"),
    ("runs by `created_at`", r"runs, .* by -?created_at"),
    ("runs by `finished_at`", r"runs, .* by -?finished_at"),
    ("runs by `name`", r"runs, .* by -?name"),
    ("runs by IT energy", r"runs, .* by -?it_energy_kwh"),
    ("runs by cost", r"runs, .* by -?cost"),
    ("200 runs, from a day on, with their number, in groups", r"runs|\d+ runs"),
    ("a run, its quote, its price tags", r"(a run|quote|price tag|versions of a price tag)\b"),
    ("verification of a run with 864,000 readings", r"verification \(traced\)"),
    ("verification of a run", r"verification"),
    ("power of a run", r"power of (an ordinary|24 h)"),
    ("events, metrics, log, artifacts of a run", r"events|metrics|log|newest|lines|an? ?artifact"),
    ("budgets, their alerts, outlook and burn-down", r".*budget(?!s now)"),
    ("the queue", r"the queue"),
    ("the lab now, its nodes and their power", r"the lab|nodes|power"),
    ("insights: frontier", r"frontier"),
    ("insights: compressions", r"compressions"),
    ("insights: expected validation", r"expected"),
    ("insights: cost of a result", r"cost of a result"),
    ("comparison of runs", r"comparison"),
    ("energy over time, by hour", r"energy, .* by hour and"),
    ("energy over time, by day", r"energy, .* by day and"),
    ("energy over time, by month", r"energy, .* by month and"),
    ("energy of a week", r"energy, a week"),
    ("energy of a month", r"energy, a month"),
    ("energy of a quarter", r"energy, a quarter"),
    ("energy of a year", r"energy, a year"),
    ("emissions", r"emissions"),
    ("audit log", r"audit log"),
    ("a report as PDF", r"a report as pdf"),
    ("reports in other formats", r"a report|reports"),
    ("a chart", r"a chart"),
)
"""Groups of requests: the name of each, and the titles that it has; the first one counts."""

OTHERS = "everything else"


def write(requests: Path, pages: Path | None, about: str, page: Path = PAGE) -> None:
    """Replaces the tables of the page.

    Args:
        requests: Figures of the requests, as `measure --json` writes them.
        pages: Figures of the pages, as `benchmarks.pages --json` writes them; None without any.
        about: What was measured, and where, in a sentence.
        page: The page.
    """
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"{page} has no place for tables, from {BEGIN} to {END}")
    parts = [*([f"{about}\n"] if about else []), f"**Requests**: {table(_read(requests))}"]
    if pages is not None:
        parts.append(f"**Pages**: {table(_read(pages), grouped=False)}")
    tables = "\n".join(parts)
    page.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")


def _read(path: Path) -> list[Row]:
    rows: list[Row] = json.loads(path.read_text())
    return rows


def table(rows: Sequence[Row], *, grouped: bool = True) -> str:
    """How many rows are within their goals, the slowest row of each group, and what is over."""
    measured = [row for row in rows if row["p95_ms"] is not None]
    over = [row for row in measured if row["p95_ms"] > row["goal_ms"]]
    slow = [row for row in measured if row["p50_ms"] > row["goal_ms"]]
    late = len(rows) - len(measured)
    lines = [
        f"{len(measured) - len(over)} of {len(measured)} rows are within their goal by p95,"
        f" {len(measured) - len(slow)} by p50{f'; {late} were not measured' if late else ''}.",
        "",
    ]
    if grouped:
        lines += [*_groups(measured), ""]
    if over:
        lines += ["Over the goal, p50 | p95 in ms:", ""]
        lines += [
            f"- {_name(row)}: {_ms(row['p50_ms'])} | {_ms(row['p95_ms'])}"
            + ("" if row["goal_ms"] == LIST_MS else f" (goal {row['goal_ms']:.0f})")
            for row in sorted(over, key=lambda row: -row["p95_ms"] / row["goal_ms"])
        ]
    return "\n".join(lines).rstrip() + "\n"


def _name(row: Row) -> str:
    return f"`{row['title']}`" if row["operation"] == "page" else str(row["title"])


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _groups(rows: Sequence[Row]) -> Iterator[str]:
    grouped: dict[tuple[str, float], list[Row]] = {}
    names = [name for name, _ in GROUPS]
    for row in rows:
        grouped.setdefault((group_of(row["title"]), row["goal_ms"]), []).append(row)
    yield "| request, ms | rows | goal | p50, middle row | p95, slowest row | over by p95 |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    places = {name: place for place, name in enumerate([*names, OTHERS])}
    for (name, goal), of_group in sorted(grouped.items(), key=lambda item: places[item[0][0]]):
        middle = median(row["p50_ms"] for row in of_group)
        slowest = max(row["p95_ms"] for row in of_group)
        over = sum(row["p95_ms"] > goal for row in of_group)
        cells = [name, len(of_group), f"{goal:,.0f}", _ms(middle), _ms(slowest), over or ""]
        yield f"| {' | '.join(map(str, cells))} |"


def group_of(title: str) -> str:
    """The group of a request."""
    return next((name for name, pattern in GROUPS if re.match(pattern, title)), OTHERS)
