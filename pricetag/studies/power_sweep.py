"""Sweeps of the power limit: energy and time of one training against the limit.

A lower limit slows a training down, and usually less than it lowers the power, so that its energy
has a minimum between the ends of the range.

Source: You, Chung and Chowdhury 2023, Zeus: Understanding and Optimizing GPU Energy Consumption of
DNN Training, NSDI 23, section 3.2, equation 2: C = eta * ETA + (1 - eta) * MAXPOWER * TTA.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pricetag.accounting.quantity.quantity import Quantity
from pricetag.accounting.units import kwh_to_joules

LIMIT = "resources.power_limit_w"
"""Path of the field that varies."""

NEEDED = 2
"""Number of limits with a cost, below which there is no optimum."""


@dataclass(frozen=True, slots=True)
class LimitedRun:
    """The run of one limit.

    Attributes:
        limit_w: Power limit of each accelerator, in W.
        energy_kwh: IT energy of the run.
        duration_s: Duration of the run.
        score: Its score; None without one.
        is_done: Whether it succeeded.
    """

    limit_w: float
    energy_kwh: Quantity
    duration_s: Quantity
    score: float | None
    is_done: bool


@dataclass(frozen=True, slots=True)
class LimitPoint:
    """One limit with its cost.

    Attributes:
        run: The run.
        cost_j: Zeus' cost in J; None with a reason.
        reason: Why it has no cost, and cannot be the best.
    """

    run: LimitedRun
    cost_j: float | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PowerCurve:
    """The limits of a sweep in order, and the best ones.

    Attributes:
        points: The limits, lowest first.
        least_energy_w: Limit with the least energy; None without an optimum.
        least_cost_w: Limit with the least cost; None without an optimum.
        reason: Why there is no optimum, or in what the runs differ.
    """

    points: tuple[LimitPoint, ...]
    least_energy_w: float | None
    least_cost_w: float | None
    reason: str | None


def power_curve(
    runs: Iterable[LimitedRun],
    *,
    eta: float,
    max_power_w: float,
    target: float | None,
    is_maximized: bool,
) -> PowerCurve:
    """Energy, time and cost against the limit.

    Args:
        runs: One run for each limit.
        eta: Weight of energy, from 0 (time alone) to 1 (energy alone).
        max_power_w: Largest limit times the number of accelerators, which turns time into energy.
        target: Score that a run has to reach to be a candidate; None for any run that succeeded.
        is_maximized: Whether a larger score is better.
    """
    points = tuple(
        _point(run, eta, max_power_w, target, is_maximized=is_maximized)
        for run in sorted(runs, key=lambda each: each.limit_w)
    )
    candidates = [(point, point.cost_j) for point in points if point.cost_j is not None]
    if len(candidates) < NEEDED:
        reason = f"an optimum needs {NEEDED} limits with a known energy ({len(candidates)} so far)"
        return PowerCurve(points, None, None, reason)
    least = min(candidates, key=lambda each: each[0].run.energy_kwh.value or 0.0)[0].run
    cheapest = min(candidates, key=lambda each: each[1])[0].run
    return PowerCurve(points, least.limit_w, cheapest.limit_w, _remark(candidates))


def _point(
    run: LimitedRun,
    eta: float,
    max_power_w: float,
    target: float | None,
    *,
    is_maximized: bool,
) -> LimitPoint:
    energy_kwh, duration_s = run.energy_kwh.value, run.duration_s.value
    if not run.is_done:
        return LimitPoint(run, None, "its run has not succeeded")
    if energy_kwh is None or duration_s is None:
        unknown = run.energy_kwh if energy_kwh is None else run.duration_s
        return LimitPoint(run, None, unknown.reason or "its energy or time is unknown")
    if target is not None:
        sign = 1.0 if is_maximized else -1.0
        if run.score is None or sign * run.score < sign * target:
            return LimitPoint(run, None, f"its score is not the target, {target:g}")
    cost_j = eta * kwh_to_joules(energy_kwh) + (1 - eta) * max_power_w * duration_s
    return LimitPoint(run, cost_j)


def _remark(candidates: Sequence[tuple[LimitPoint, float]]) -> str | None:
    """Whether the limits were compared at the same quality."""
    scores = [point.run.score for point, _ in candidates if point.run.score is not None]
    if not scores or min(scores) == max(scores):
        return None
    return (
        f"the scores differ, from {min(scores):.4g} to {max(scores):.4g}: set target to compare at "
        "the same quality"
    )


def power_note(sweep: Mapping[str, Any]) -> str:
    """The optimum in words.

    Args:
        sweep: A sweep as the API returns it.
    """
    remark = sweep["reason"]
    if sweep["least_energy_w"] is None:
        return f"No optimum: {remark}."
    eta = sweep["eta"]
    text = f"Least energy at {sweep['least_energy_w']:g} W"
    highest = next(
        (point for point in reversed(sweep["points"]) if point["cost_j"] is not None), None
    )
    least = next(p for p in sweep["points"] if p["limit_w"] == sweep["least_energy_w"])
    if highest is not None and highest["limit_w"] != sweep["least_energy_w"]:
        energy, time = (
            least[name]["value"] / highest[name]["value"] - 1
            for name in ("it_energy_kwh", "duration_s")
        )
        text += (
            f": {energy:+.1%} energy and {time:+.1%} time against {highest['limit_w']:g} W, the "
            "highest limit"
        )
    text += f". Least cost at {sweep['least_cost_w']:g} W (eta {eta:g}: "
    text += f"{eta:.0%} energy, {1 - eta:.0%} time at the highest power)."
    return f"{text} {remark[0].upper()}{remark[1:]}." if remark else text
