"""Where a run's present step, and its counting, began: kept beside its progress."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Progress = dict[str, Any]


def marked(before: Mapping[str, Any] | None, fresh: Progress) -> Progress:
    """The newest progress with two marks, taken over from the progress before while they hold.

    ``step`` is the top-level stage with the time and energy at which it began, as far as the
    earlier progress shows. ``counted`` is the innermost stage's first progress report:
    a resumed training does not begin at 0.

    Args:
        before: The progress before, with its marks; of whatever attempt.
        fresh: ``{attempt, stage, t_s, energy_kwh, done, total, unit, ...}``.
    """
    same = before is not None and before.get("attempt") == fresh["attempt"]
    earlier: Mapping[str, Any] = before if same and before is not None else {}
    return {**fresh, "step": _step(earlier, fresh), "counted": _counted(earlier, fresh)}


def step_number(key: str | None) -> int | None:
    """The number of the top-level stage that a stage's key lies in: 2 for ``2.0``."""
    head = (key or "").partition(".")[0]
    return int(head) if head.isdecimal() else None


def _step(earlier: Mapping[str, Any], fresh: Progress) -> Progress | None:
    number = step_number(fresh["stage"])
    if number is None:
        return None
    step = earlier.get("step")
    if step is not None and step["number"] == number:
        return dict(step)
    # Without an earlier report, the step began with the attempt or its start is unknown.
    return {
        "number": number,
        "t_s": earlier.get("t_s", 0.0),
        "energy_kwh": earlier.get("energy_kwh", 0.0),
    }


def _counted(earlier: Mapping[str, Any], fresh: Progress) -> Progress | None:
    done, total = fresh["done"], fresh["total"]
    if done is None or total is None:
        return None
    known = earlier.get("counted")
    what = {"key": fresh["stage"], "total": total, "unit": fresh["unit"]}
    if (
        known is not None
        and all(known[name] == value for name, value in what.items())
        and done >= known["done"]
    ):
        return {**known, "done": done}
    return {
        **what,
        "done": done,
        "first": done,
        "t_s": fresh["t_s"],
        "energy_kwh": fresh["energy_kwh"],
    }
