"""The claims of the sources, and the rules that decide them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.methods.results import CHANCE, ONE_CLASS, TIME_RATIO
from benchmarks.methods.statistics import (
    SEEDS_FOR_AN_INTERVAL,
    DifferentDataError,
    Sample,
    difference,
    paired_ratio,
    pairs,
    ratio_interval,
)

FILE = Path(__file__).with_name("claims.yaml")

Verdict = Literal["held", "not held", "not decided", "not testable here"]
Lookup = Callable[[str, str], Sample | None]
"""The sample of a run's figure, by name of the run and of the figure; None if unknown."""

PAIRS = ("above", "within", "within_sd", "ratio", "time")
Reason = Literal["seeds", "budget", "time", "missing", "data"]
"""What would decide a rule that is not decided: more seeds, more training, a measured time, a run
that is missing, or the same data."""


@dataclass(frozen=True)
class Outcome:
    """How a rule was decided, and the figures in words; what it needs if it was not."""

    verdict: Verdict
    text: str
    needs: Reason | None = None


@dataclass(frozen=True)
class Claim:
    """A claim with its rule, or with the reason why it cannot be tested here."""

    id: str
    claim: str
    source: str
    rule: Mapping[str, Any] | None = None
    not_testable: str | None = None
    data: str = "sst2"

    def runs(self) -> list[str]:
        """Names of all runs that may decide it."""
        return [] if self.rule is None else list(dict.fromkeys(_runs(self.rule)))

    def deciding(self, lookup: Lookup) -> list[str]:
        """Names of the runs that decide it, of those that are there."""
        if self.rule is None:
            return []
        return list(dict.fromkeys(_runs(_first_with_runs(self.rule, lookup))))

    def larger(self) -> list[str]:
        """Names of the runs with a larger budget, where the claim has them."""
        rules = [] if self.rule is None else self.rule.get("first", [])
        return list(dict.fromkeys(_runs(rules[0]))) if rules else []

    def decide(self, lookup: Lookup) -> Outcome:
        """Decide by the figures of the runs."""
        if self.rule is None:
            return Outcome("not testable here", self.not_testable or "")
        return decide(self.rule, lookup)


@cache
def read(file: Path = FILE) -> list[Claim]:
    """All claims, in the order of the file."""
    return [Claim(**fields) for fields in yaml.safe_load(file.read_text(encoding="utf-8"))]


def decide(rule: Mapping[str, Any], lookup: Lookup) -> Outcome:
    """Decide a rule.

    Raises:
        ValueError: The rule is unknown.
    """
    rule = _first_with_runs(rule, lookup)
    if "all" in rule:
        return _all([decide(part, lookup) for part in rule["all"]])
    kind = next((name for name in PAIRS if name in rule), None)
    if kind is None:
        raise ValueError(f"unknown rule: {sorted(rule)}")
    of = TIME_RATIO if kind == "time" else str(rule.get("of", "score"))
    names: list[str] = rule[kind]
    if kind == "time":
        return _time(rule, lookup(names[0], of))
    figures = (of, str(rule.get("to", of)))
    samples = [lookup(name, figure) for name, figure in zip(names, figures, strict=True)]
    unknown = [name for name, sample in zip(names, samples, strict=True) if sample is None]
    if unknown:
        reason = f"{of} of {' and '.join(unknown)} is not known"
        return Outcome("not decided", reason, "missing")
    first, second = (sample for sample in samples if sample is not None)
    try:
        outcome = _DECIDERS[kind](rule, first, second)
    except DifferentDataError:
        text = f"{names[0]} and {names[1]} read different data and are not compared"
        return Outcome("not decided", text, "data")
    return _unless_nothing_learned(outcome, dict(zip(names, (first, second), strict=True)))


def _first_with_runs(rule: Mapping[str, Any], lookup: Lookup) -> Mapping[str, Any]:
    """The first of several rules whose runs are all there, or the last; else the rule itself."""
    rules: Sequence[Mapping[str, Any]] = rule.get("first", [rule])
    for each in rules:
        if all(lookup(name, "score") is not None for name in _runs(each)):
            return each
    return rules[-1]


def _unless_nothing_learned(outcome: Outcome, samples: Mapping[str, Sample]) -> Outcome:
    """No verdict on the score of a model that the budget was too small for."""
    reasons = {
        ONE_CLASS: "predicts one class for every sentence",
        CHANCE: "does not beat one class",
    }
    texts = [
        f"{name} {reasons[sample.learned_nothing]}"
        for name, sample in samples.items()
        if sample.learned_nothing is not None
    ]
    if not texts:
        return outcome
    return Outcome("not decided", f"{outcome.text}: {' and '.join(texts)}", "budget")


def _all(outcomes: Iterable[Outcome]) -> Outcome:
    outcomes = list(outcomes)
    text = "; ".join(outcome.text for outcome in outcomes)
    worst: Sequence[Verdict] = ("not held", "not decided")
    for verdict in worst:
        for outcome in outcomes:
            if outcome.verdict == verdict:
                return Outcome(verdict, text, outcome.needs)
    return Outcome("held", text)


def _above(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    return _by_interval(first, second, 0.0)


def _within(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    return _by_interval(first, second, -float(rule["points"]) / 100)


def _by_interval(first: Sample, second: Sample, least: float) -> Outcome:
    """Held if the whole interval of the difference is above ``least``; not held if below."""
    gap = difference(first, second)
    text = f"{_paired(first, second)}: {100 * gap.value:+.1f} points"
    if gap.low is None or gap.high is None:
        return Outcome("not decided", f"{text} ({gap.basis})", "seeds")
    text += f" (95%: {100 * gap.low:+.1f} to {100 * gap.high:+.1f}, {gap.basis})"
    if gap.low > least:
        return Outcome("held", text)
    if gap.high < least:
        return Outcome("not held", text)
    return Outcome("not decided", text, "seeds")


def _within_sd(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    seeds = pairs(first, second)
    text = _paired(first, second)
    if len(seeds) < SEEDS_FOR_AN_INTERVAL:
        reason = f"{text}; {SEEDS_FOR_AN_INTERVAL} seeds are needed for a standard deviation"
        return Outcome("not decided", reason, "seeds")
    ticket, full = first.of_seeds(seeds), second.of_seeds(seeds)
    gap = ticket.mean - full.mean
    assert full.sd is not None
    return Outcome("held" if gap >= -full.sd else "not held", f"{text}: {100 * gap:+.1f} points")


def _paired(first: Sample, second: Sample) -> str:
    """``86.1 ± 0.4 against 85.0 ± 0.3``, of the seeds that both have."""
    seeds = pairs(first, second)
    sides = (one.of_seeds(seeds) if seeds else one for one in (first, second))
    return " against ".join(map(shown, sides))


def _time(rule: Mapping[str, Any], ratios: Sample | None) -> Outcome:
    """Decide by times of an inference beside the teacher's."""
    rounds = 0 if ratios is None else len(ratios.values)
    if ratios is None or rounds < SEEDS_FOR_AN_INTERVAL:
        text = f"time measured undisturbed in {rounds} of {SEEDS_FOR_AN_INTERVAL} rounds"
        return Outcome("not decided", text, "time")
    ratio, low, high = paired_ratio(list(ratios.values.values()))
    text = f"time x {ratio:.2f} (95%: {low:.2f} to {high:.2f}, {rounds} rounds side by side)"
    return _by_limits(rule, (low, high), text, "time")


def _ratio(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    pairs(first, second)
    of = str(rule.get("of", "score")).removeprefix("metric.").removesuffix("_kwh")
    if second.mean == 0:
        return Outcome("not decided", f"{of} of the second is 0")
    ratio, low, high = ratio_interval(first, second)
    text = f"{of} x {ratio:.3f}"
    if low < high:
        text += f" (95%: {low:.2f} to {high:.2f}, noise of measurements)"
    return _by_limits(rule, (low, high), text, "seeds")


def _by_limits(
    rule: Mapping[str, Any], interval: tuple[float, float], text: str, needs: Reason
) -> Outcome:
    """Held if the whole interval is within the limits; not held if all of it is beyond one."""
    low, high = interval
    if high <= rule.get("at_most", high) and low >= rule.get("at_least", low):
        return Outcome("held", text)
    if low > rule.get("at_most", low) or high < rule.get("at_least", high):
        return Outcome("not held", text)
    return Outcome("not decided", text, needs)


_DECIDERS: Mapping[str, Callable[[Mapping[str, Any], Sample, Sample], Outcome]] = {
    "above": _above,
    "within": _within,
    "within_sd": _within_sd,
    "ratio": _ratio,
}


def shown(sample: Sample) -> str:
    """A score in percent, ``86.1 ± 0.4`` with its standard deviation over seeds."""
    spread = "" if sample.sd is None else f" ± {100 * sample.sd:.1f}"
    return f"{100 * sample.mean:.1f}{spread}"


def _runs(rule: Mapping[str, Any]) -> Iterable[str]:
    for part in (*rule.get("all", []), *rule.get("first", [])):
        yield from _runs(part)
    for kind in PAIRS:
        yield from rule.get(kind, [])
