"""The newest records of all runs on one data set, and the figures over their seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from benchmarks.methods.measurements import Measurements, Timing
from benchmarks.methods.state import Record, succeeded
from benchmarks.methods.statistics import (
    NORMAL_95,
    SEEDS_FOR_AN_INTERVAL,
    Sample,
    no_better_than_one_class,
    noise_log_sd,
    paired_ratio,
)
from pricetag.tag.figure import Figure

NOISY = frozenset({"inference_kwh"})
"""Figures that differ from run to run of the same model."""

TIME_RATIO = "time_ratio"
"""Time of an inference, of the teacher's beside it; by round instead of by seed."""

SHAPE = ("flops", "parameters", "bytes")
"""Models that are equal in these take the same time."""

ONE_CLASS = "one class"
CHANCE = "chance"


@dataclass(frozen=True)
class Labels:
    """The true classes of a validation split.

    Attributes:
        examples: Number of sentences.
        most_frequent: Share of the most frequent class.
    """

    examples: int
    most_frequent: float

    @classmethod
    def of(cls, labels: Sequence[str]) -> Labels:
        return cls(len(labels), max(Counter(labels).values()) / len(labels))


@dataclass(frozen=True)
class Results:
    """The newest records of all runs on one data set, by name of the run."""

    data: str
    labels: Labels | None
    records: Mapping[str, Sequence[Record]]
    measurements: Measurements | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        records: Iterable[Record],
        data: str,
        labels: Labels | None = None,
        measurements: Measurements | None = None,
    ) -> Results:
        by_name: dict[str, list[Record]] = {}
        for record in sorted(records, key=lambda record: record.trial):
            if record.trial.data == data:
                by_name.setdefault(record.trial.name, []).append(record)
        return cls(data, labels, by_name, measurements)

    def runs(self, name: str) -> list[Record]:
        """The runs of this name that succeeded, by seed."""
        return succeeded(self.records.get(name, []))

    def figures(self, name: str, figure: str) -> list[Figure]:
        """A figure of a run, one for each seed that succeeded and reported it."""
        return [r.figures[figure] for r in self.runs(name) if figure in r.figures]

    def sample(self, name: str, figure: str) -> Sample | None:
        """A figure of a run over its seeds; None if it is unknown."""
        if figure == TIME_RATIO:
            ratios = {number: timing.ratio for number, timing in enumerate(self.timings(name))}
            return Sample(ratios) if ratios else None
        runs = [r for r in self.runs(name) if figure in r.figures]
        values = {
            r.trial.seed: value for r in runs if (value := r.figures[figure].value) is not None
        }
        if not values:
            return None
        is_score = figure == "score"
        is_share = is_score and self.data == "sst2" and self.labels is not None
        return Sample(
            values,
            examples=self.labels.examples if is_share and self.labels else None,
            noise_log_sd=self.noise_log_sd(figure) if figure in NOISY else None,
            right=self._right(runs) if is_share else {},
            learned_nothing=self.learned_nothing(name) if figure in ("score", "gap") else None,
            inputs=_sentences(runs),
        )

    def _right(self, runs: Sequence[Record]) -> dict[int, Sequence[bool]]:
        """Whether each sentence got its class, by seed; only where it is the score of the run."""
        if self.measurements is None:
            return {}
        predictions = self.measurements.predictions()
        right: dict[int, Sequence[bool]] = {}
        for run in runs:
            prediction = predictions.get(str(run.run_id))
            score = run.figures["score"].value
            if prediction is None or score is None:
                continue
            if abs(prediction.share_right - score) * len(prediction.right) < 1:
                right[run.trial.seed] = prediction.right
        return right

    def learned_nothing(self, name: str) -> str | None:
        """How all seeds of a run fail to beat the most frequent class; None if one beats it."""
        reasons = [self._learned_nothing(run) for run in self.runs(name)]
        if not reasons or None in reasons:
            return None
        return ONE_CLASS if set(reasons) == {ONE_CLASS} else CHANCE

    def _learned_nothing(self, run: Record) -> str | None:
        mcc, score = run.figures.get("mcc"), run.figures.get("score")
        if mcc is not None and mcc.value is None and "one class" in str(mcc.reason):
            return ONE_CLASS
        if self.labels is None or score is None or score.value is None:
            return None
        examples, most = self.labels.examples, self.labels.most_frequent
        if self.data == "sst2":
            return CHANCE if no_better_than_one_class(score.value, most, examples) else None
        return CHANCE if score.value <= NORMAL_95 / examples**0.5 else None

    def timings(self, name: str) -> list[Timing]:
        """Undisturbed times of the model of the first seed, beside its teacher's."""
        first = next(iter(self.runs(name)), None)
        if first is None or self.measurements is None:
            return []
        return self.measurements.timings(str(first.run_id))

    def latency_s(self, name: str) -> float | None:
        """Median over the rounds; None if it was not measured undisturbed."""
        times = [timing.latency_s for timing in self.timings(name)]
        return median(times) if times else None

    def time_ratio(self, name: str) -> tuple[float, float, float] | None:
        """Time of an inference, of the teacher's, with its 95% interval; None with few rounds."""
        ratios = [timing.ratio for timing in self.timings(name)]
        return paired_ratio(ratios) if len(ratios) >= SEEDS_FOR_AN_INTERVAL else None

    def noise_log_sd(self, figure: str) -> float | None:
        """Noise of one measurement: how models of the same shape differ."""
        groups: dict[tuple[float | None, ...], list[float]] = {}
        for name in self.records:
            for record in self.runs(name):
                figures = record.figures
                if all(name in figures for name in (*SHAPE, figure)):
                    value = figures[figure].value
                    shape = tuple(figures[name].value for name in SHAPE)
                    if value and None not in shape:
                        groups.setdefault(shape, []).append(value)
        return noise_log_sd(groups.values())

    def mean(self, name: str, figure: str) -> Figure:
        """Mean over the seeds; the ends of the interval are means, too.

        The seeds share the meter, so that its error does not average out.
        """
        figures = [item for item in self.figures(name, figure) if item.value is not None]
        if not figures:
            reasons = [item.reason for item in self.figures(name, figure) if item.reason]
            return Figure.unknown(reasons[0] if reasons else "not measured")
        first = figures[0]
        return Figure(
            fmean(item.value for item in figures if item.value is not None),
            _mean_or_none([item.low for item in figures]),
            _mean_or_none([item.high for item in figures]),
            first.unit,
            first.source,
        )


def _sentences(runs: Sequence[Record]) -> str | None:
    """What the runs were scored on: one hash, or all of them where the seeds differ."""
    hashes = {run.conditions["sentences"] for run in runs if "sentences" in run.conditions}
    return ", ".join(sorted(hashes)) or None


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return fmean(numbers) if len(numbers) == len(values) else None
