"""Timing published models beside their teacher, and predictions that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.methods import catalog as catalogs
from benchmarks.methods import claims as claiming
from benchmarks.methods.claims import Claim
from benchmarks.methods.measurements import Measurements, Prediction, Timing
from benchmarks.methods.plan import Trial
from benchmarks.methods.remeasure import LEAST_CALLS, timed
from benchmarks.methods.results import CHANCE, ONE_CLASS, Labels, Results
from benchmarks.methods.state import Record
from benchmarks.methods.undecided import open_claims, open_trials
from pricetag.tag.figure import Figure

CATALOG = catalogs.read()
TEACHER = Record(Trial(0, "sst2", "teacher"), "", "succeeded", "teacher's", 40.0)


def score(value: float) -> dict[str, Figure]:
    return {"score": Figure(value, None, None, "", "counted")}


def clock(steps: Iterator[float]) -> Callable[[], float]:
    return lambda: next(steps)


def rising(step: float) -> Iterator[float]:
    """Readings before and after each call: every call takes ``step``."""
    now = 0.0
    while True:
        yield now
        now += step
        yield now


def test_only_undisturbed_calls_are_timed() -> None:
    calls = timed(lambda: None, clock(rising(0.010)), clock(rising(0.0099)))
    assert calls.latency_s is not None
    assert abs(calls.latency_s - 0.010) < 1e-9
    assert calls.undisturbed == calls.calls
    busy = timed(lambda: None, clock(rising(0.020)), clock(rising(0.010)))
    assert (busy.latency_s, busy.undisturbed) == (None, 0)
    assert abs(busy.processor_share - 0.5) < 1e-9


def test_slow_calls_are_repeated_often_enough() -> None:
    calls = timed(lambda: None, clock(rising(30.0)), clock(rising(30.0)))
    assert (calls.calls, calls.latency_s) == (LEAST_CALLS, 30.0)


def test_measurements_are_read_as_they_were_kept(tmp_path: Path) -> None:
    kept = Measurements(tmp_path)
    prediction = Prediction("a", [0, 1, 1], [True, False, True])
    timing = Timing("a", 0.01, 0.02, 60, 60, 0.99, {"processor": "a processor"})
    kept.keep_prediction(prediction)
    kept.keep_timing(timing)
    with (tmp_path / "timings.jsonl").open("a") as file:
        file.write('{"run_id": "cut')
    read = Measurements(tmp_path)
    assert read.predictions() == {"a": prediction}
    assert read.timings("a") == [timing]
    assert read.timings("b") == []
    assert timing.ratio == 0.5


def results(tmp_path: Path, *records: Record) -> Results:
    labels = Labels.of(["1"] * 444 + ["0"] * 428)
    return Results.of(records, "sst2", labels, Measurements(tmp_path))


def test_a_model_that_learned_nothing_is_marked(tmp_path: Path) -> None:
    constant = Figure.unknown("all predictions are of one class")
    runs = {
        "teacher": score(0.8),
        "distill-pkd": score(0.509) | {"mcc": constant},
        "distill-theseus": score(0.53),
    }
    records = [replace(TEACHER, trial=Trial(0, "sst2", n), figures=f) for n, f in runs.items()]
    of = results(tmp_path, *records)
    assert [of.learned_nothing(name) for name in runs] == [None, ONE_CLASS, CHANCE]


def test_predictions_count_only_if_they_give_the_score_of_the_run(tmp_path: Path) -> None:
    record = replace(TEACHER, figures=score(0.75))
    of = results(tmp_path, record)
    assert of.measurements is not None
    of.measurements.keep_prediction(Prediction("teacher's", [1] * 4, [True] * 3 + [False]))
    sample = of.sample("teacher", "score")
    assert sample is not None
    assert list(sample.right[0]) == [True, True, True, False]
    other = results(tmp_path, replace(record, figures=score(0.25))).sample("teacher", "score")
    assert other is not None
    assert not other.right


def test_times_are_those_of_the_first_seed(tmp_path: Path) -> None:
    of = results(tmp_path, replace(TEACHER, figures=score(0.8)))
    assert of.latency_s("teacher") is None
    assert of.measurements is not None
    for ratio in (0.5, 0.6):
        of.measurements.keep_timing(Timing("teacher's", ratio, 1.0, 60, 60, 1.0))
    assert of.time_ratio("teacher") is None  # two rounds have no interval
    of.measurements.keep_timing(Timing("teacher's", 0.55, 1.0, 60, 60, 1.0))
    assert of.latency_s("teacher") == 0.55
    interval = of.time_ratio("teacher")
    assert interval is not None
    assert interval[1] < 0.55 < interval[2]


def claim(identifier: str, **rule: object) -> Claim:
    return Claim(identifier, "text", "source", rule)


def test_open_claims_are_those_that_runs_may_decide_the_cheapest_first(tmp_path: Path) -> None:
    values = {
        "teacher": (0.800, 40.0),
        "prune-heads-50": (0.795, 20.0),
        "quantize-int8": (0.801, 5.0),
        "scratch-bert": (0.509, 5.0),
    }
    records = [
        Record(Trial(0, "sst2", name), "", "succeeded", name, seconds, score(value))
        for name, (value, seconds) in values.items()
    ]
    claims = [
        claim("heads", within=["prune-heads-50", "teacher"], points=1),
        claim("int8", within=["quantize-int8", "teacher"], points=1),
        claim("held", above=["teacher", "scratch-bert"]),
        claim("time", time=["prune-heads-50", "teacher"], at_most=1),
        claim(
            "larger",
            first=[
                {"above": ["distill-theseus-4", "truncated-4"]},
                {"above": ["scratch-bert", "teacher"]},
            ],
        ),
    ]
    listed = open_claims(CATALOG, claims, {"sst2": results(tmp_path, *records)}, 3)
    assert [each.claim.id for each in listed] == ["int8", "heads", "larger"]
    assert listed[0].trials == tuple(
        Trial(seed, "sst2", name) for seed in (1, 2) for name in ("teacher", "quantize-int8")
    )
    assert listed[2].trials == tuple(
        Trial(0, "sst2", name) for name in ("distill-theseus-4", "truncated-4")
    )
    trials = open_trials(listed)
    assert len(trials) == len(set(trials)) == 8


def test_times_are_compared_with_the_teacher_alone() -> None:
    """``time`` reads ratios to the teacher: another second run would not be what is compared."""
    for each in claiming.read():
        for rule in _rules(each.rule or {}):
            if "time" in rule:
                assert rule["time"][1] == "teacher", each.id


def _rules(rule: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield rule
    for part in (*rule.get("all", []), *rule.get("first", [])):
        yield from _rules(part)
