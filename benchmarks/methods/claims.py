"""The claims of the sources, and the rules that decide them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.methods.statistics import Sample, difference, ratio_interval

FILE = Path(__file__).with_name("claims.yaml")

Verdict = Literal["held", "not held", "not decided", "not testable here"]
Lookup = Callable[[str, str], Sample | None]
"""The sample of a run's figure, by name of the run and of the figure; None if unknown."""

PAIRS = ("above", "within", "within_sd", "ratio")


@dataclass(frozen=True)
class Outcome:
    """How a rule was decided, and the figures in words."""

    verdict: Verdict
    text: str


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
        """Names of the runs that decide it."""
        return [] if self.rule is None else list(dict.fromkeys(_runs(self.rule)))

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
    if "all" in rule:
        return _all([decide(part, lookup) for part in rule["all"]])
    kind = next((name for name in PAIRS if name in rule), None)
    if kind is None:
        raise ValueError(f"unknown rule: {sorted(rule)}")
    of = str(rule.get("of", "score"))
    names: list[str] = rule[kind]
    figures = (of, str(rule.get("to", of)))
    samples = [lookup(name, figure) for name, figure in zip(names, figures, strict=True)]
    unknown = [name for name, sample in zip(names, samples, strict=True) if sample is None]
    if unknown:
        return Outcome("not decided", f"{of} of {' and '.join(unknown)} is not known")
    first, second = (sample for sample in samples if sample is not None)
    return _DECIDERS[kind](rule, first, second)


def _all(outcomes: Iterable[Outcome]) -> Outcome:
    outcomes = list(outcomes)
    verdicts = [outcome.verdict for outcome in outcomes]
    text = "; ".join(outcome.text for outcome in outcomes)
    worst: Sequence[Verdict] = ("not held", "not decided")
    return Outcome(next((one for one in worst if one in verdicts), "held"), text)


def _above(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    return _by_interval(first, second, 0.0)


def _within(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    return _by_interval(first, second, -float(rule["points"]) / 100)


def _by_interval(first: Sample, second: Sample, least: float) -> Outcome:
    """Held if the whole interval of the difference is above ``least``; not held if below."""
    gap = difference(first, second)
    text = f"{shown(first)} against {shown(second)}: {100 * gap.value:+.1f} points"
    if gap.low is None or gap.high is None:
        return Outcome("not decided", f"{text} ({gap.basis})")
    text += f" (95%: {100 * gap.low:+.1f} to {100 * gap.high:+.1f}, {gap.basis})"
    if gap.low > least:
        return Outcome("held", text)
    return Outcome("not held" if gap.high < least else "not decided", text)


def _within_sd(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    gap = first.mean - second.mean
    text = f"{shown(first)} against {shown(second)}: {100 * gap:+.1f} points"
    if first.sd is None or second.sd is None:
        return Outcome("not decided", f"{text}; one seed has no standard deviation")
    return Outcome("held" if gap >= -second.sd else "not held", text)


def _ratio(rule: Mapping[str, Any], first: Sample, second: Sample) -> Outcome:
    of = (
        str(rule.get("of", "score")).removeprefix("metric.").removesuffix("_s").removesuffix("_kwh")
    )
    if second.mean == 0:
        return Outcome("not decided", f"{of} of the second is 0")
    ratio, low, high = ratio_interval(first, second)
    text = f"{of} x {ratio:.3f}"
    if low < high:
        text += f" (95%: {low:.2f} to {high:.2f}, noise of measurements)"
    if high <= rule.get("at_most", high) and low >= rule.get("at_least", low):
        return Outcome("held", text)
    misses = low > rule.get("at_most", low) or high < rule.get("at_least", high)
    return Outcome("not held" if misses else "not decided", text)


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
    for part in rule.get("all", []):
        yield from _runs(part)
    for kind in PAIRS:
        yield from rule.get(kind, [])
