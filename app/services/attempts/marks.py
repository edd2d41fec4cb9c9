"""Marks in a run's progress: where its current step, and the step's counting, began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Progress = dict[str, Any]


def marked(before: Mapping[str, Any] | None, fresh: Progress) -> Progress:
    """The latest progress with two marks, copied from the earlier progress while they hold.

    ``step`` is the top-level stage with the time and energy at its start, as far as earlier
    progress shows it. ``counted`` is the first progress report of the innermost stage, since
    a resumed training does not begin at 0.

    Args:
        before: The earlier progress, with its marks; of any attempt.
        fresh: ``{attempt, stage, t_s, energy_kwh, done, total, unit, ...}``.
    """
    same = before is not None and before.get("attempt") == fresh["attempt"]
    earlier: Mapping[str, Any] = before if same and before is not None else {}
    return {**fresh, "step": _step(earlier, fresh), "counted": _counted(earlier, fresh)}


def step_number(key: str | None) -> int | None:
    """Number of the top-level stage that contains a stage: 2 for the key ``2.0``."""
    head = (key or "").partition(".")[0]
    return int(head) if head.isdecimal() else None


def _step(earlier: Mapping[str, Any], fresh: Progress) -> Progress | None:
    number = step_number(fresh["stage"])
    if number is None:
        return None
    step = earlier.get("step")
    if step is not None and step["number"] == number:
        return dict(step)
    # Without an earlier report, the step began with the attempt, or its start is unknown.
    return {
        "number": number,
        "t_s": earlier.get("t_s", 0.0),
        "energy_kwh": earlier.get("energy_kwh", 0.0),
    }


def _counted(earlier: Mapping[str, Any], fresh: Progress) -> Progress | None:
    done, total = fresh["done"], fresh["total"]
    if done is None or total is None:
        return None
    mark = earlier.get("counted")
    identity = {"key": fresh["stage"], "total": total, "unit": fresh["unit"]}
    if (
        mark is not None
        and all(mark[name] == value for name, value in identity.items())
        and done >= mark["done"]
    ):
        return {**mark, "done": done}
    return {
        **identity,
        "done": done,
        "first": done,
        "t_s": fresh["t_s"],
        "energy_kwh": fresh["energy_kwh"],
    }
