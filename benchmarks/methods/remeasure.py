"""``--remeasure``: predictions of the published models, and their speed side by side.

In each round every model is timed at batch 1 with one thread between two timings of the teacher.
A call counts only if it ran undisturbed: its time on the clock is that of its processor. So a
machine that is busy takes longer to measure, and its figures do not change the ratios.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.methods.catalog import TEACHER
from benchmarks.methods.measurements import Measurements, Prediction, Timing
from benchmarks.methods.published import Opened, Published
from benchmarks.methods.state import Record

WARM_UP_CALLS = 3
MOST_CALLS = 40
LONGEST_S = 2.0
LEAST_CALLS = 5
UNDISTURBED = 0.95
"""Least share of a call's time in which its thread had a processor."""


@dataclass(frozen=True)
class Calls:
    """Timed calls.

    Attributes:
        latency_s: Median of the undisturbed calls, s; None if there are too few of them.
        undisturbed: Number of the undisturbed calls.
        calls: Number of all calls.
        processor_share: Processor time of all calls, of their time on the clock.
    """

    latency_s: float | None
    undisturbed: int
    calls: int
    processor_share: float


def timed(
    call: Callable[[], object],
    wall: Callable[[], float] = time.perf_counter,
    processor: Callable[[], float] = time.thread_time,
) -> Calls:
    """Time calls of one thread until enough of them were undisturbed, or for two seconds."""
    for _ in range(WARM_UP_CALLS):
        call()
    good: list[float] = []
    count, walls, processors = 0, 0.0, 0.0
    while count < MOST_CALLS and (walls < LONGEST_S or count < LEAST_CALLS):
        wall_s, processor_s = wall(), processor()
        call()
        processor_s, wall_s = processor() - processor_s, wall() - wall_s
        count, walls, processors = count + 1, walls + wall_s, processors + processor_s
        if processor_s >= UNDISTURBED * wall_s:
            good.append(wall_s)
    latency_s = median(good) if len(good) >= LEAST_CALLS else None
    return Calls(latency_s, len(good), count, processors / walls if walls else 0.0)


def remeasure(
    published: Published,
    records: Iterable[Record],
    measurements: Measurements,
    rounds: int,
    conditions: Mapping[str, str],
) -> None:
    """Keep what is missing: predictions of each model, and ``rounds`` timings of each first seed.

    Args:
        published: The models.
        records: Runs that succeeded, of models that classify.
        measurements: Where the figures are kept.
        rounds: Number of timings of each model beside its teacher.
        conditions: Machine and software of this process.
    """
    import torch

    records = list(records)
    torch.set_num_threads(published.budget.threads)
    for record in records:
        if str(record.run_id) not in measurements.predictions():
            _keep_predictions(published, record, measurements)
    torch.set_num_threads(1)
    first = [record for record in records if record.trial.seed == 0]
    for data in dict.fromkeys(record.trial.data for record in first):
        of_data = [record for record in first if record.trial.data == data]
        for number in range(rounds):
            _round(published, of_data, measurements, number, conditions)


def _keep_predictions(published: Published, record: Record, measurements: Measurements) -> None:
    folder = published.folder(record)
    if folder is None:
        print(f"{record.trial}: its model was deleted", flush=True)
        return
    predicted, labels = published.opened(record, folder).predicted()
    right = [p == label for p, label in zip(predicted, labels, strict=True)]
    measurements.keep_prediction(Prediction(str(record.run_id), predicted, right))
    print(f"{record.trial}: {100 * sum(right) / len(right):.1f} by its predictions", flush=True)


def _round(
    published: Published,
    records: Sequence[Record],
    measurements: Measurements,
    number: int,
    conditions: Mapping[str, str],
) -> None:
    """Time every model that has fewer than ``number`` + 1 timings, in its own order."""
    teacher = _opened(published, next((r for r in records if r.trial.name == TEACHER), None))
    if teacher is None:
        return
    due = [r for r in records if len(measurements.timings(str(r.run_id))) <= number]
    random.Random(number).shuffle(due)
    reference = teacher.inference()
    for record in due:
        opened = _opened(published, record)
        if opened is None:
            continue
        call = opened.inference()
        before, own, after = timed(reference), timed(call), timed(reference)
        timing = _timing(str(record.run_id), own, (before, after), conditions)
        if timing is None:
            share = min(each.processor_share for each in (before, own, after))
            print(f"{record.trial}: disturbed ({share:.0%} of a processor)", flush=True)
            continue
        measurements.keep_timing(timing)


def _opened(published: Published, record: Record | None) -> Opened | None:
    folder = None if record is None else published.folder(record)
    return None if record is None or folder is None else published.opened(record, folder)


def _timing(
    run_id: str, own: Calls, teachers: Sequence[Calls], conditions: Mapping[str, str]
) -> Timing | None:
    """A model's time beside its teacher's; None if one of them was disturbed too often."""
    times = [calls.latency_s for calls in teachers]
    measured_s = [seconds for seconds in times if seconds is not None]
    if own.latency_s is None or len(measured_s) < len(times):
        return None
    everything = (own, *teachers)
    return Timing(
        run_id=run_id,
        latency_s=own.latency_s,
        teacher_s=sum(measured_s) / len(measured_s),
        undisturbed=sum(each.undisturbed for each in everything),
        calls=sum(each.calls for each in everything),
        processor_share=min(each.processor_share for each in everything),
        conditions=dict(conditions),
    )
