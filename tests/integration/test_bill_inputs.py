"""The inputs of the price tag arrive unchanged from the journal."""

from __future__ import annotations

from copy import deepcopy
from typing import Any
from unittest.mock import patch

import pytest

from app.db import Session
from app.services.attempts import execution
from app.services.billing import issuing
from app.settings import get_settings
from models import Measurement
from tests.support import executions
from tests.support.executions import COMPONENTS, GPU, JournalMaker, claimed, make_run


async def issued(session: Session, components: list[dict[str, Any]], **start: Any) -> Any:
    """The price tag of a run with these components, and its attempt's id."""
    run = await make_run(session)
    claimed_run = await claimed(session, run.id)
    journal = JournalMaker(claimed_run.attempt_id)
    with patch.object(executions, "COMPONENTS", components):
        journal.whole()
    journal.records[0].update(start)
    for record in journal.records:
        if record["type"] == "reading" and record["component"] == GPU:
            _only_integrated_with_a_stall(record)
    await execution.ingest(session, claimed_run.attempt_id, journal.records)
    return await issuing.get_price_tag(session, run.id), claimed_run.attempt_id


def _only_integrated_with_a_stall(record: dict[str, Any]) -> None:
    """100 W without a counter; the meter says that it had stalled before the 4th second."""
    record["counter_j"] = None
    record["flags"] = ["gap"] if record["t_s"] == 4.0 else []


async def test_a_stall_of_the_meter_is_not_covered_on_the_price_tag(session: Session) -> None:
    tag, attempt_id = await issued(session, COMPONENTS)
    whole = await session.get_one(Measurement, (attempt_id, "", GPU))
    assert whole.energy_by_source_j == {"integrated": pytest.approx(1600.0)}
    assert (whole.covered_s, whole.flags) == (15.0, ["gap", "partly_covered"])
    train, evaluate = tag.content["stages"]
    assert train["components"][0]["coverage_ratio"]["value"] == pytest.approx(0.9)
    assert evaluate["components"][0]["coverage_ratio"]["value"] == 1.0
    assert "gap" not in evaluate["flags"]
    assert {"gap", "incomplete_coverage"} <= set(tag.content["flags"])
    assert tag.content["coverage_ratio"]["value"] == pytest.approx(31 / 32)


async def test_notes_of_a_component_are_on_the_price_tag(session: Session) -> None:
    tag, _ = await issued(session, COMPONENTS)
    notes = {part["id"]: part["notes"] for part in tag.content["components"]}
    assert notes == {GPU: None, "cpu": "no RAPL"}


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("Tesla V100-SXM2-16GB", 0.74, 2.48), ("NVIDIA H200", None, None)],
)
async def test_the_example_price_applies_only_to_the_hardware_that_was_used(
    session: Session, name: str, low: float | None, high: float | None
) -> None:
    components = deepcopy(COMPONENTS)
    components[0]["name"] = name
    tag, _ = await issued(session, components, devices=[{"uuid": "GPU-1", "name": name}])
    cloud = tag.content["cost"]["cloud"]
    hours = 16 / 3600
    expected = [None if price is None else pytest.approx(price * hours) for price in (low, high)]
    assert [cloud["low"], cloud["high"]] == expected
    price = tag.content["provenance"]["factors"]["cloud_price_low"]
    if low is None:
        assert price is None
        assert "no price of a device-hour" in cloud["reason"]
    else:
        assert "Strubell et al. 2019" in price["citation"]
        assert (cloud["source"], tag.content["cost"]["currency"]) == ("assumed", "USD")


async def test_pue_and_grid_of_the_catalog(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRICETAG_GRID_ZONE", "fr")
    get_settings.cache_clear()
    tag, _ = await issued(session, COMPONENTS)
    factors = tag.content["provenance"]["factors"]
    assert (factors["pue"]["value"], factors["pue"]["source"]) == (1.54, "assumed")
    assert (factors["carbon_intensity"]["zone"], factors["carbon_intensity"]["source"]) == (
        "FRA",
        "estimated",
    )
    it_kwh = tag.content["it_energy_kwh"]["value"]
    assert tag.content["facility_energy_kwh"]["value"] == pytest.approx(1.54 * it_kwh)
    grams = 1.54 * it_kwh * factors["carbon_intensity"]["value"]
    assert tag.content["co2e_kg"]["value"] == pytest.approx(grams / 1000)
