"""The table of runs as a view: columns, units, intervals, provisional and unknown figures."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from app.schemas.runs import RunSummary
from app.web import run_query
from app.web.views import run_columns, run_filters, runs
from app.web.views.run_columns import COLUMNS, DEFAULT_COLUMNS, chosen
from pricetag.tag.headline import headline_of
from tests.support.price_tags import compressed_run, tag

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(*, scale: float = 1.0, is_priced: bool = True, **values: Any) -> RunSummary:
    """A run of a list, with the figures of a price tag times a factor."""
    content = tag(compressed_run())
    headline = headline_of(content)
    energy = headline["figures"]["it_energy_kwh"]
    for part in ("value", "low", "high"):
        energy[part] *= scale
    totals = {name: content[name]["value"] for name in ("facility_energy_kwh", "co2e_kg")}
    fields: dict[str, Any] = {
        "id": uuid.uuid4(),
        "project": "text",
        "experiment": "sst2",
        "name": "a run",
        "user": "ada",
        "tags": ["seed:1", "paper"],
        "kind": "train",
        "origin": "queue",
        "measured_by": None,
        "resources": {"gpus": 1, "pool": "default"},
        "priority": 0,
        "not_before": None,
        "status": "succeeded",
        "status_reason": None,
        "progress": None,
        "cancel_requested_at": None,
        "created_at": NOW,
        "started_at": NOW,
        "finished_at": NOW,
        "price_tag": {
            **headline,
            **totals,
            "version": 1,
            "it_energy_kwh": energy["value"],
            "duration_s": 140.0,
        }
        if is_priced
        else None,
    }
    return RunSummary.model_validate(fields | values)


def test_a_column_has_one_unit_and_every_figure_its_interval_and_source() -> None:
    made = runs.table([run(), run(scale=1000.0)], ("name", "it_energy_kwh"))
    assert [head.unit for head in made.heads] == ["", "kWh"]
    small, large = (row.cells[1].figure for row in made.rows)
    assert small is not None
    assert large is not None
    assert (small.unit, large.unit) == ("kWh", "kWh")
    assert small.text == "0.0144"
    assert large.text == "14.4"
    assert large.interval == "12.8 to 17.4"
    assert {small.source, large.source} == {"modelled"}


def test_unknown_figures_say_why_and_those_of_open_runs_are_provisional() -> None:
    made = runs.table([run(is_priced=False), run(status="running", finished_at=None)])
    queued, running = (
        {head.name: cell for head, cell in zip(made.heads, row.cells, strict=True)}
        for row in made.rows
    )
    assert queued["it_energy_kwh"].figure is not None
    assert queued["it_energy_kwh"].figure.text == "n/a"
    assert queued["it_energy_kwh"].figure.reason == runs.NO_TAG
    assert running["it_energy_kwh"].figure is not None
    assert running["it_energy_kwh"].figure.is_provisional
    assert not queued["it_energy_kwh"].figure.is_provisional


def test_every_column_shows_a_run() -> None:
    made = runs.table([run(), run(is_priced=False)], tuple(COLUMNS))
    first = {head.name: cell for head, cell in zip(made.heads, made.rows[0].cells, strict=True)}
    assert first["tags"].text == "seed:1, paper"
    assert first["hardware"].text == "NVIDIA H100 80GB HBM3"
    assert first["score"].figure is not None
    assert (first["score"].figure.text, first["score"].figure.unit) == ("0.858", "accuracy")
    assert first["second_opinion"].figure is not None
    assert first["second_opinion"].figure.text.endswith("%")
    assert first["cost"].figure is not None
    assert first["cost"].figure.unit == "USD"
    assert first["created_at"].moment == NOW


def test_columns_in_which_all_rows_are_alike_can_be_omitted() -> None:
    both = [run(name="a", user="ada"), run(name="b", user="bob")]
    columns = ("status", "name", "user", "pool")
    made = runs.table(both, columns, only_differing=True)
    assert [head.name for head in made.heads] == ["name", "user"]
    assert [(title, cell.text) for title, cell in made.same] == [
        ("Status", "succeeded"),
        ("Pool", "default"),
    ]
    alone = runs.table(both[:1], columns, only_differing=True)
    assert [head.name for head in alone.heads] == list(columns)


@pytest.mark.parametrize(
    ("ticked", "move", "expected"),
    [
        (["status", "cost"], None, ["name", "status", "cost"]),
        (["name", "cost", "status"], "status:up", ["name", "status", "cost"]),
        (["name", "cost", "status"], "name:up", ["name", "cost", "status"]),
        (["name", "cost", "status"], "name:down", ["cost", "name", "status"]),
        (["name", "cost", "cost", "nothing"], "nothing:up", ["name", "cost"]),
    ],
)
def test_columns_are_chosen_and_moved(
    ticked: list[str], move: str | None, expected: list[str]
) -> None:
    assert list(chosen(ticked, move)) == expected


def test_the_form_lists_shown_columns_in_order_and_then_the_others() -> None:
    listed = run_columns.choices(("cost", "name"))
    assert [choice.name for choice in listed[:2]] == ["cost", "name"]
    assert {choice.name for choice in listed} == set(COLUMNS)
    assert [choice.is_shown for choice in listed[:3]] == [True, True, False]


def test_a_wrong_value_is_named_and_the_others_stay() -> None:
    asked = run_query.read(
        [("q", "bert"), ("created_after", "yesterday"), ("status", "failed"), ("status", "lost")]
    )
    assert asked.query.q == "bert"
    assert asked.problems.keys() == {"created_after", "status"}
    assert "ISO 8601" in asked.problems["created_after"]
    assert dict(asked.values)["created_after"] == "yesterday"


def test_a_day_begins_at_midnight_in_utc() -> None:
    query = run_query.read([("created_after", "2026-03-01"), ("q", "")]).query
    assert query.created_after == datetime(2026, 3, 1, tzinfo=UTC)
    assert query.q is None


def test_columns_that_do_not_exist_are_omitted() -> None:
    assert run_query.read([("columns", "cost,nothing,name,cost")]).query.shown_columns == (
        "cost",
        "name",
    )
    assert run_query.read([("columns", "nothing")]).query.shown_columns == DEFAULT_COLUMNS


def test_a_long_address_is_to_be_stored_and_a_stored_one_stays_short() -> None:
    long = [("tag", f"a tag of many letters {number}") for number in range(80)]
    assert run_filters.filters(long).is_long
    stored = run_filters.filters(long, view="7")
    assert not stored.is_long
    assert stored.query(sort="name") == {"view": ["7"], "sort": ["name"]}
    assert len(stored.all("tag")) == 80
