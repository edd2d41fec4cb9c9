"""Stages that run side by side share the energy of their time: brute force and properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricetag.accounting.readings import overlaps
from pricetag.accounting.readings.ledger import EnergyLedger
from pricetag.accounting.readings.overlaps import (
    OVERLAPPING,
    StageSpan,
    TooManyOverlapsError,
    overlapping,
    share_overlaps,
    stretches,
)
from pricetag.accounting.readings.reading import Reading

POWER_W = 10.0
LAST_S = 20


def ledger(power_w: float = POWER_W) -> EnergyLedger:
    readings = [Reading(float(t), power_w * t, None, power_w) for t in range(LAST_S + 1)]
    return EnergyLedger(readings, "counter", baseline_w=2.0)


def energies_j(spans: list[StageSpan]) -> dict[str, float]:
    whole = ledger()
    shared = overlapping(spans)
    result = {s.key: whole.window(s.start_s, s.end_s).energy_j or 0.0 for s in spans}
    for key, energy in share_overlaps(whole, stretches(spans), shared).items():
        assert OVERLAPPING in energy.window.flags
        assert energy.window.energy_j == pytest.approx(sum(j for _, j in energy.parts))
        result[key] = energy.window.energy_j or 0.0
    return result


def test_overlapping_stages_of_two_threads_share_their_common_time() -> None:
    spans = [StageSpan("0.0", "0", 0, 4), StageSpan("0.1", "0", 2, 8), StageSpan("0", None, 0, 9)]
    assert overlapping(spans) == {"0.0", "0.1"}
    assert energies_j(spans) == {
        "0": pytest.approx(90),
        "0.0": pytest.approx(20 + 10),
        "0.1": pytest.approx(10 + 40),
    }


def test_stages_inside_a_sharing_stage_get_a_part_of_its_share() -> None:
    spans = [
        StageSpan("0", None, 0, 4),
        StageSpan("1", None, 0, 4),
        StageSpan("0.0", "0", 1, 3),
        StageSpan("0.1", "0", 2, 4),
    ]
    energy_j = energies_j(spans)
    assert energy_j["0"] == energy_j["1"] == pytest.approx(20)
    assert energy_j["0.0"] == energy_j["0.1"] == pytest.approx(5 + 2.5)


def test_a_stage_that_outlives_its_parent_overlaps_its_successors() -> None:
    spans = [
        StageSpan("0", None, 0, 10),
        StageSpan("0.0", "0", 0, 4),
        StageSpan("0.0.0", "0.0", 2, 6),
        StageSpan("0.1", "0", 5, 7),
    ]
    assert overlapping(spans) == {"0.0.0", "0.1"}
    energy_j = energies_j(spans)
    assert energy_j["0.0"] == pytest.approx(40)
    assert energy_j["0.0.0"] == pytest.approx(20 + 10 + 5)
    assert energy_j["0.1"] == pytest.approx(5 + 10)


def test_stages_that_nest_or_follow_do_not_share() -> None:
    spans = [
        StageSpan("0", None, 0, 9),
        StageSpan("0.0", "0", 1, 4),
        StageSpan("0.0.0", "0.0", 1, 4),
        StageSpan("0.1", "0", 4, 9),
        StageSpan("0.2", "0", 5, 5),
        StageSpan("1", None, 9, 9),
        StageSpan("2", "absent", 9, 12),
    ]
    assert overlapping(spans) == frozenset()


def test_too_many_overlapping_stages_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "MAX_PARTS", 100)
    spans = [StageSpan(str(n), None, n, 100 + n) for n in range(50)]
    with pytest.raises(TooManyOverlapsError, match="more than 100 parts"):
        overlapping(spans)


def test_the_idle_part_is_shared_in_the_same_way() -> None:
    spans = [StageSpan("0", None, 0, 4), StageSpan("1", None, 0, 4)]
    energy = share_overlaps(ledger(), stretches(spans), overlapping(spans))["0"]
    assert energy.window.baseline_j == pytest.approx(4)
    assert energy.window.covered_s == pytest.approx(4)


def test_without_readings_it_stays_unknown() -> None:
    spans = [StageSpan("0", None, 0, 4), StageSpan("1", None, 0, 4)]
    energy = share_overlaps(EnergyLedger([]), stretches(spans), overlapping(spans))["0"]
    assert (energy.window.energy_j, energy.window.reason) == (None, "the component was never read")


@st.composite
def families(draw: st.DrawFn) -> list[StageSpan]:
    """Stages inside their parents or not, with edges at whole seconds."""
    spans: list[StageSpan] = []
    for place in range(draw(st.integers(1, 8))):
        parent = draw(st.sampled_from([None, *(span.key for span in spans)]))
        start_s = draw(st.integers(0, LAST_S))
        spans.append(StageSpan(f"s{place}", parent, start_s, draw(st.integers(start_s, LAST_S))))
    return spans


def brute_force_j(spans: list[StageSpan]) -> dict[str, float]:
    by_key = {span.key: span for span in spans}
    result = dict.fromkeys(by_key, 0.0)
    for second in range(LAST_S):
        is_open = {s.key for s in spans if s.start_s <= second and s.end_s > second}

        def around(key: str, is_open: set[str] = is_open) -> str | None:
            parent = by_key[key].parent_key
            while parent is not None and parent not in is_open:
                parent = by_key[parent].parent_key
            return parent

        def part(key: str, is_open: set[str] = is_open) -> float:
            beside = sum(around(other) == around(key) for other in is_open)
            parent = around(key)
            return (1.0 if parent is None else part(parent)) / beside

        for key in is_open:
            result[key] += POWER_W * part(key)
    return result


@settings(max_examples=200, deadline=None)
@given(spans=families())
def test_every_stage_has_the_energy_of_a_second_by_second_count(spans: list[StageSpan]) -> None:
    assert energies_j(spans) == pytest.approx(brute_force_j(spans))


@settings(max_examples=200, deadline=None)
@given(spans=families())
def test_top_level_stages_have_no_more_than_the_attempt(spans: list[StageSpan]) -> None:
    energy_j = energies_j(spans)
    roots = sum(energy_j[span.key] for span in spans if span.parent_key is None)
    assert roots <= POWER_W * LAST_S * (1 + 1e-9)
    for span in spans:
        inside = [
            energy_j[s.key]
            for s in spans
            if s.parent_key == span.key and s.start_s >= span.start_s and s.end_s <= span.end_s
        ]
        assert sum(inside) <= energy_j[span.key] * (1 + 1e-9) + 1e-9
