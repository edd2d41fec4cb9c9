"""The head of a run's page: who may do what, progress, versions, quote, chain, window."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.schemas.lineage import LineageRead
from app.schemas.price_tags import PriceTagVersion
from app.schemas.quotes import StoredQuoteRead
from app.schemas.runs import RunRead
from app.services.principals import Principal
from app.web.views import run as views
from app.web.views.run_bill import MOST_ROWS, bill
from app.web.views.run_chain import chain
from pricetag.tag.view import TagView
from tests.support.price_tags import attempt, compressed_run, stage
from tests.support.price_tags import tag as tag_of

AUTHOR, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
NOW = datetime(2026, 3, 1, 13, tzinfo=UTC)


def quantity(value: float | None, unit: str, reason: str | None = None) -> dict[str, Any]:
    ends = (None, None) if value is None else (value * 0.9, value * 1.1)
    source = None if value is None else "modelled"
    return {
        **{"value": value, "low": ends[0], "high": ends[1]},
        **{"unit": unit, "source": source, "reason": reason},
    }


def quantities(energy: float | None) -> dict[str, Any]:
    return {
        "duration_s": quantity(60.0, "s"),
        "it_energy_kwh": quantity(energy, "kWh", None if energy else "no run of this kind"),
        "facility_energy_kwh": quantity(energy, "kWh", None if energy else "no run of this kind"),
        "co2e_kg": quantity(None, "kg", "no grid zone is configured"),
        "cost": quantity(2.5, "EUR"),
    }


def a_run(status: str = "succeeded", **changes: Any) -> RunRead:
    body = {
        **{"id": uuid.UUID(int=9), "project": "text", "experiment": "sst2", "name": "a run"},
        **{
            "user": "ada",
            "tags": [],
            "kind": "train",
            "origin": "queue",
            "measured_by": None,
            "priority": 0,
            "not_before": None,
        },
        **{"resources": {"gpus": 2, "pool": "lab"}, "status": status, "status_reason": None},
        **{"progress": None, "cancel_requested_at": None, "created_at": NOW},
        **{"started_at": NOW - timedelta(minutes=2), "finished_at": None, "price_tag": None},
        **{"recipe": {"stages": [{"kind": "train"}]}, "max_attempts": 3, "waiting": None},
        **{"created_by": AUTHOR, "projection": None, "lineage": None, "attempts": []},
    }
    return RunRead.model_validate(body | changes)


def by(role: str, user: uuid.UUID = AUTHOR) -> Principal:
    return Principal(user, None, "x", role)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "visitor", "offered"),
    [
        ("queued", by("member"), {"cancel"}),
        ("running", by("member"), {"cancel"}),
        ("running", by("member", OTHER), set()),
        ("running", by("admin", OTHER), {"cancel"}),
        ("running", by("viewer"), set()),
        ("failed", by("member"), {"resume", "reprice", "report"}),
        ("cancelled", by("member", OTHER), {"report"}),
        ("succeeded", by("member"), {"reprice", "report"}),
        ("succeeded", by("viewer"), set()),
    ],
)
def test_actions_are_offered_to_the_author_and_administrators(
    status: str, visitor: Principal, offered: set[str]
) -> None:
    has_tag = status not in views.OPEN
    made = views.actions(a_run(status), visitor, has_tag=has_tag)
    names = {name for name in ("cancel", "resume", "reprice", "report") if getattr(made, name)}
    assert names == offered


def test_a_run_that_was_asked_to_stop_is_not_asked_again() -> None:
    run = a_run("running", cancel_requested_at=NOW)
    assert not views.actions(run, by("member"), has_tag=False).cancel


def test_a_duration_is_so_far_or_says_why_it_is_unknown() -> None:
    def duration(run: RunRead) -> Any:
        return views.run_view(run, by("viewer"), has_tag=False, now=NOW).duration

    running = duration(a_run("running"))
    assert (running.text, running.unit, running.is_provisional) == ("2.00", "min", True)
    assert duration(a_run("queued", started_at=None)).reason == "the run has not started"
    assert duration(a_run("failed")).reason == "no price tag was issued"


def test_progress_is_so_far_and_shows_only_what_is_expected() -> None:
    projection = {"at": NOW, "progress_ratio": 0.25, "quantities": quantities(0.002)}
    reported = {"done": 1500, "total": 6000, "unit": "steps", "power_w": 310.0, "eta_s": 90.0}
    made = views.progress(a_run("running", progress=reported, projection=projection))
    assert made.ratio == 0.25
    assert made.text == "1,500 of 6,000 steps"
    assert (made.power.text, made.power.is_provisional) == ("310", True)
    assert made.energy.reason == "the job has not reported it yet"
    assert [label for label, _ in made.expected] == ["Time", "IT energy", "Facility energy", "Cost"]
    assert views.progress(a_run("running")).ratio is None


def a_quote(**changes: Any) -> StoredQuoteRead:
    body = {
        **{"method": "history", "text": "12 runs of the same recipe", "pool": "lab", "gpus": 1},
        **{"level": None, "runs": [], "run_count": 12, "work_ratio": 1.0, "steps": []},
        **{"factors": [], "notes": [], "run_id": uuid.UUID(int=9), "created_at": NOW},
        **{"quantities": quantities(0.002), "projection": None, "score": None},
    }
    return StoredQuoteRead.model_validate(body | changes)


def test_a_quote_is_shown_beside_the_actual_use() -> None:
    hit = {"quoted": 0.002, "actual": 0.003, "factor": 1.5, "log_error": 0.405, "inside": False}
    score = {"status": "succeeded", "price_tag_version": 1, "quantities": {"it_energy_kwh": hit}}
    made = views.quote_view(a_quote(score=score))
    rows = {row.label: row for row in made.rows}
    energy = rows["IT energy"]
    assert (energy.quoted.text, energy.quoted.interval) == ("2.00", "1.80 to 2.20")
    assert (energy.actual.text, energy.actual.unit) == ("3.00", "Wh")
    assert (energy.factor, energy.inside) == ("150.0%", "outside the interval")
    assert rows["CO2e"].quoted.reason == "no grid zone is configured"
    assert rows["Cost"].actual.value is None
    assert rows["Cost"].quoted.unit == "EUR"
    assert not views.quote_view(a_quote()).is_scored


def test_a_chain_is_in_one_unit_and_ends_with_its_sum() -> None:
    use = {name: quantities(2.0)[name] for name in ("it_energy_kwh", "facility_energy_kwh")}
    use |= {"co2e_kg": quantity(None, "kg", "hidden"), "cost": quantity(3.0, "EUR")}
    upstream = {"run_id": uuid.UUID(int=3), "name": "teacher", "project": "text"}
    upstream |= {"status": "succeeded", "shared_by": 4, "price_tag_version": 1, **use}
    model = {"run_id": uuid.UUID(int=3), "stage": "train", "kind": "train", "sha256": "ab" * 32}
    lineage = LineageRead.model_validate(
        {"models": [model], "upstream": [upstream], "upstream_hidden": 1, "cumulative": use}
    )
    made = chain(a_run(lineage=lineage.model_dump()))
    assert made is not None
    assert [(row.name, row.shared) for row in made.rows] == [("teacher", "4")]
    assert made.total.energy.unit == made.energy_unit == "kWh"
    assert made.total.co2e.reason == "hidden"
    assert made.models == [("train", "ab" * 6)]
    assert chain(a_run()) is None


def test_versions_state_their_cause_and_the_chosen_one() -> None:
    document = tag_of(compressed_run())
    shared = {
        **{name: document[name] for name in ("it_energy_kwh", "facility_energy_kwh", "co2e_kg")},
        **{"accounting_version": "1", "created_at": NOW, "content_sha256": "0" * 64},
    }
    stored = [
        PriceTagVersion.model_validate({**shared, **one})
        for one in (
            {"version": 2, "cause": "repriced", "as_of": NOW, "cost": None},
            {"version": 1, "cause": "attempt-ended", "as_of": None, "cost": quantity(1.0, "USD")},
        )
    ]
    newest = views.versions(stored, None)
    assert [row.is_chosen for row in newest.rows] == [True, False]
    assert newest.rows[0].cause == "re-priced, factors of 2026-03-01 13:00 UTC"
    assert newest.rows[0].cost.value is None
    assert newest.rows[0].cost.reason
    assert [row.is_chosen for row in views.versions(stored, 1).rows] == [False, True]


def test_of_very_many_stages_the_first_are_shown_and_the_rest_counted() -> None:
    stages = tuple(stage(n, "train", n / 10, n / 10 + 0.1) for n in range(400))
    inputs = replace(compressed_run(), attempts=(attempt(1, "succeeded", stages, 50.0),))
    made = bill(TagView.read(tag_of(inputs)))
    assert len(made.parts) == MOST_ROWS + 1
    assert made.more_parts == 101  # of 400 stages and what lies outside them
    assert made.parts[-1].is_total
