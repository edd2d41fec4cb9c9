"""Charts: what their documents mean, that they have no colors of their own, and their parts."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.charts import break_even, curves, frontier, power, ratios, theme, thinning, waterfall
from app.charts.chart import (
    LAB,
    MAX_ROWS,
    SIZES,
    WIDTHS,
    Chart,
    ChartError,
    Column,
    as_csv,
    caption,
    drawable,
)
from app.charts.labels import LINE_PX, apart
from app.charts.svg import described
from app.web.views.charts import SHOWN_ROWS, chart_view
from tests.support.charts import ALL, NAME, marks

STYLESHEET = Path(__file__).parents[3] / "app/web/static/pricetag.css"


def document(chart: Chart) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(chart.content)
    return made


def encodings(chart: Chart, mark: str) -> list[dict[str, Any]]:
    """The encodings of all layers with a mark."""
    return [
        layer["encoding"] for layer in document(chart)["layer"] if layer["mark"]["type"] == mark
    ]


@pytest.mark.parametrize("kind", ALL)
def test_every_chart_draws_its_own_rows_and_names_no_color(kind: str) -> None:
    chart = ALL[kind]()
    made = document(chart)
    assert made["datasets"]["drawn"] == [dict(row) for row in chart.rows]
    named = {layer["data"]["name"] for layer in made["layer"] if "data" in layer}
    named |= {made["data"]["name"]} if "data" in made else set()
    assert "drawn" in named
    assert named <= made["datasets"].keys()
    form = {name: part for name, part in made.items() if name not in ("datasets", "usermeta")}
    assert not re.findall(r'"#[0-9a-f]{3,6}"|"(?:black|white|red|blue|green)"', json.dumps(form))
    assert made["description"] == chart.summary
    for column in chart.columns:
        assert all(column.name in row for row in chart.rows), column


@pytest.mark.parametrize("kind", ALL)
def test_the_same_figures_give_the_same_hash_in_every_process(kind: str) -> None:
    first = ALL[kind]()
    for form in (frontier, waterfall, curves, break_even, power, ratios):
        form._form.cache_clear()
    assert ALL[kind]().sha256 == first.sha256


def test_two_charts_differ_by_rows_and_by_projects() -> None:
    one = ALL["waterfall"]()
    parts = {name: getattr(one, name) for name in one.__dataclass_fields__}
    assert Chart(**parts).sha256 == one.sha256
    assert Chart(**{**parts, "projects": LAB}).sha256 != one.sha256
    assert Chart(**{**parts, "rows": one.rows[1:]}).sha256 != one.sha256


def test_colors_are_those_of_the_stylesheet() -> None:
    text = STYLESHEET.read_text(encoding="utf-8")
    tokens = {
        name: colors
        for name, *colors in re.findall(
            r"--([a-z0-9-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", text
        )
    }
    for index, shown_in in enumerate(("light", "dark")):
        for name, color in theme.TOKENS[shown_in].items():  # type: ignore[index]
            assert tokens[name][index] == color, (shown_in, name)
        for number, color in enumerate(theme.SERIES[shown_in], start=1):  # type: ignore[index]
            assert tokens[f"series-{number}"][index] == color, (shown_in, number)
    assert len(set(theme.DASHES)) == len(theme.DASHES) == len(theme.MARKERS)


def test_every_style_that_a_chart_names_is_in_every_theme() -> None:
    named = {
        layer["mark"]["style"]
        for make in ALL.values()
        for layer in document(make())["layer"]
        if "style" in layer["mark"]
    }
    for shown_in in theme.THEMES:
        assert named <= theme.config(shown_in)["style"].keys()


def test_a_waterfall_adds_up_and_its_totals_start_at_zero() -> None:
    chart = ALL["waterfall"]()
    gpu, cpu, total, losses, facility = chart.rows
    assert (gpu["start"], gpu["end"]) == (0.0, 1.2)
    assert [cpu["start"], cpu["end"]] == pytest.approx([1.2, 1.5])
    assert (total["start"], total["end"], total["is_total"]) == (0.0, 1.5, True)
    assert (losses["start"], losses["end"]) == (1.5, 2.0)
    assert (losses["from"], losses["until"]) == (1.8, 2.2)
    assert facility["label"] == "GPU (2)"  # each bar has its own line
    links = document(chart)["datasets"]["links"]
    assert [link["at"] for link in links] == pytest.approx([1.2, 1.5, 1.5, 2.0])
    (bars, totals) = encodings(chart, "bar")
    dashes = dict(
        zip(
            bars["strokeDash"]["scale"]["domain"],
            bars["strokeDash"]["scale"]["range"],
            strict=True,
        )
    )
    assert (dashes["counter"], dashes["modelled"], dashes["assumed"]) == ([1, 0], [6, 3], [1, 3])
    assert bars["x2"]["field"] == totals["x2"]["field"] == "end"
    assert bars["x"]["axis"]["title"] == "Energy (kWh)"


def test_a_frontier_marks_groups_twice_and_draws_failed_runs_apart() -> None:
    chart = ALL["frontier"]()
    points, failed = encodings(chart, "point")
    assert points["color"]["scale"]["domain"] == points["shape"]["scale"]["domain"]
    assert points["x"]["scale"]["type"] == "log"
    assert points["x"]["axis"]["title"] == "IT energy (kWh)"
    assert "field" not in failed["y"]
    line = document(chart)["datasets"]["line"]
    assert [point["cost"] for point in line] == sorted(point["cost"] for point in line)
    without = frontier.frontier(
        marks(),
        frontier.Axes("Cost", "EUR", "f1", whiskers=False),
        title="t",
        summary="s",
        projects=LAB,
    )
    assert len(encodings(without, "rule")) == 0
    assert len(encodings(chart, "rule")) == 1


def test_groups_beyond_what_the_eye_can_distinguish_are_one() -> None:
    many = [
        frontier.Mark(f"{n}", f"group {n % 12}", 1.0 + n, None, None, 0.5, "succeeded", False)
        for n in range(40)
    ]
    groups = frontier.groups_of(many)
    assert len(groups) == theme.MAX_SERIES
    assert groups[-1] == frontier.OTHER
    chart = frontier.frontier(
        many, frontier.Axes("a", "b", "c"), title="t", summary="s", projects=LAB
    )
    assert {row["group"] for row in chart.rows} == set(groups)


def test_curves_have_their_band_crossings_and_budget() -> None:
    made = document(ALL["expected-validation"]())
    assert made["datasets"]["crossings"] == [{"at": 1.9, "text": "a and b"}]
    assert made["datasets"]["budget"] == [{"at": 3.0, "text": "budget"}]
    band, line = (
        next(layer for layer in made["layer"] if layer["mark"]["type"] == mark)
        for mark in ("area", "line")
    )
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert line["encoding"]["strokeDash"]["field"] == line["encoding"]["color"]["field"]


def test_energy_so_far_crosses_at_the_break_even() -> None:
    chart = ALL["break-even"]()
    (crossing,) = document(chart)["datasets"]["crossings"]
    assert (crossing["at"], crossing["variant"]) == (200_000.0, "pruned")
    assert crossing["energy"] == pytest.approx(2.0)
    assert crossing["high"] == 250_000.0
    at_the_end = [row["energy"] for row in chart.rows if row["inferences"] == 400_000]
    assert at_the_end == pytest.approx([4.0, 3.0])


def test_power_keeps_gaps_extremes_and_evidence() -> None:
    chart = ALL["power"]()
    values = [row["power"] for row in chart.rows if row["component"] == "gpu 0"]
    assert None in values
    assert max(value for value in values if isinstance(value, float)) == 400.0
    assert len(chart.rows) <= MAX_ROWS
    (line,) = encodings(chart, "line")
    assert line["strokeDash"]["scale"]["range"] == [[1, 0], [6, 3]]
    assert line["x"]["axis"]["title"] == "Time (h)"


@pytest.mark.parametrize("most", [4, 30, 100])
def test_thinning_keeps_the_extremes(most: int) -> None:
    points = [(float(n), float((n * 37) % 101)) for n in range(1000)]
    points[500] = (500.0, 900.0)
    kept = thinning.thinned(points, most)
    assert len(kept) <= most
    assert (500.0, 900.0) in kept
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)
    assert thinning.thinned(points[:4], most) == points[:4]


@pytest.mark.parametrize("log", [False, True])
def test_labels_keep_their_order_and_distance(log: bool) -> None:
    places = apart([1.0, 1.001, 1.002, 9.0, 9.9999], (1.0, 10.0), height_px=280, log=log)
    assert places == sorted(places)
    if not log:
        gaps = [b - a for a, b in itertools.pairwise(places)]
        assert min(gaps) * 280 / 9.0 >= LINE_PX - 1e-6
    assert apart([], (0.0, 1.0), height_px=100) == []


def test_a_chart_with_too_many_rows_is_rejected() -> None:
    rows = [{"x": 1.0}] * (MAX_ROWS + 1)
    with pytest.raises(ChartError, match="reduce them"):
        Chart("power", "t", "s", [Column("x", "X")], rows, {}, LAB)


def test_the_csv_has_units_and_no_formulas() -> None:
    chart = Chart(
        "power",
        "t",
        "s",
        [Column("name", "Run"), Column("x", "Energy", "kWh")],
        [
            {"name": '=HYPERLINK("x")', "x": -0.1234567890123, "hidden": 1},
            {"name": NAME, "x": None},
        ],
        {},
        LAB,
    )
    rows = list(csv.reader(io.StringIO(as_csv(document(chart)).decode())))
    assert rows == [
        ["Run", "Energy [kWh]"],
        ['\'=HYPERLINK("x")', "-0.1234567890123"],
        [NAME, ""],
    ]


def test_a_drawable_document_has_the_theme_and_the_size() -> None:
    made = document(ALL["waterfall"]())
    dark = drawable(made, "dark", "narrow")
    assert (dark["width"], dark["config"]["background"]) == (320, "#181d1b")
    assert "config" not in made
    # A document that was stored with fewer sizes is still drawn in all of them.
    older = {**made, "usermeta": {**made["usermeta"], "sizes": {"wide": [760, 194]}}}
    assert [drawable(older, "light", size)["width"] for size in SIZES] == list(WIDTHS.values())
    assert drawable(older, "light", "full")["height"] == 194
    assert caption(made, "f" * 64).endswith(f"Runs: x v1. Chart {'f' * 64}.")


def test_an_svg_says_what_it_shows() -> None:
    made = described(
        '<?xml version="1.0"?><svg class="marks" role="graphics" aria-label="x"><g/></svg>',
        title="<A & B>",
        description=NAME,
        key="1a",
    )
    assert 'role="img" aria-label="&lt;A &amp; B&gt;" aria-describedby="d1a"' in made
    assert "<title>&lt;A &amp; B&gt;</title>" in made
    assert "<script" not in made
    assert made.count("role=") == 1
    with pytest.raises(ValueError, match="not an SVG"):
        described("<p>", title="", description="", key="")


def test_the_view_of_a_chart_has_a_picture_for_each_theme_and_width() -> None:
    view = chart_view(ALL["power"](), "trace")
    assert view.id == "trace"
    looks = [(picture.theme, picture.size) for picture in view.pictures]
    assert looks == [(theme, size) for size in SIZES for theme in ("dark", "light")]
    dark, light = view.pictures[0], view.pictures[1]
    assert dark.media("system") == "screen and (prefers-color-scheme: dark) and (width < 30rem)"
    assert dark.media("dark") == "screen and (width < 30rem)"
    assert dark.media("light") == "not all"
    # The light one comes after the dark one, and is also that for paper.
    assert {light.media(page) for page in ("system", "light", "dark")} == {"(width < 30rem)"}
    last = view.pictures[-1]
    assert (last.theme, last.size, last.media("system")) == ("light", "full", "all")
    assert len(view.rows) == SHOWN_ROWS
    assert view.more.endswith("more rows in the CSV.")
    assert view.headings[1] == "Time [h]"


def test_names_on_the_frontier_do_not_overlap() -> None:
    axes = frontier.Axes(cost="Energy", unit="Wh", quality="accuracy")
    marks = [
        frontier.Mark(
            f"trial {n}", "a", 1.0 + n / 100, None, None, 0.5 + n / 1000, "succeeded", True
        )
        for n in range(100)
    ]
    chart = frontier.frontier(marks, axes, title="t", summary="s", projects=LAB)
    labels = [label["label"] for label in chart.extra["labels"]]
    assert {"trial 0", "trial 99"} <= set(labels)
    assert 5 < len(labels) < 25
    few = frontier.frontier(marks[::20], axes, title="t", summary="s", projects=LAB)
    assert len(few.extra["labels"]) == 5
