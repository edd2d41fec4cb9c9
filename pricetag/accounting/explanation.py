"""Why another tool's figure differs from ours, component by component."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pricetag.accounting.quantity import Quantity

ALIKE_RATIO = 0.01
"""Closer than this, two figures are not worth an explanation."""


@dataclass(frozen=True, slots=True)
class Part:
    """Both figures of one kind of component.

    Attributes:
        kind: gpu, cpu or ram; None for all together.
        theirs: What the other tool said.
        ours: What was charged for the same attempts.
        gross: What the whole devices used, other jobs and idling included.
        methods: How ours was had.
    """

    kind: str | None
    theirs: Quantity
    ours: Quantity
    gross: Quantity
    methods: frozenset[str]


def explain(
    parts: Sequence[Part],
    total: Part,
    *,
    theirs_s: float | None,
    ours_s: float | None,
    pue: float,
    reason: str | None,
) -> list[dict[str, Any]]:
    """What the differences come from, as far as that is known.

    Args:
        parts: By kind of component.
        total: All of them together.
        theirs_s: For how long the other tool looked.
        ours_s: How long those attempts were.
        pue: Of the price tag; the comparison is of IT energy, without it.
        reason: What the other tool said of figures that it lacks.

    Returns:
        ``[{component, difference_kwh, cause, text}]``, the difference being theirs - ours;
        ``component`` is None for what concerns all of them.
    """
    found = [*_sharing(total), *_duration(theirs_s, ours_s, total), *_pue(total, pue)]
    return found + [item for part in parts for item in _of_part(part, reason)]


def _of_part(part: Part, reason: str | None) -> Iterator[dict[str, Any]]:
    ours, theirs = part.ours.value, part.theirs.value
    if ours is not None and theirs is None:
        if ours > 0:
            why = f" ({reason})" if reason else ""
            text = f"the other tool has no figure for it{why}"
            yield _item(part, -ours, "missing-there", text)
        return
    if theirs is not None and ours is None:
        if theirs > 0:
            text = f"we have no figure for it: {part.ours.reason}"
            yield _item(part, theirs, "missing-here", text)
        return
    if ours is None or theirs is None or _alike(ours, theirs):
        return
    yield _item(part, theirs - ours, *_model(part))


def _model(part: Part) -> tuple[str, str]:
    if "modelled" not in part.methods:
        if part.kind == "ram":
            return (
                "model-against-meter",
                "ours is a hardware counter, theirs a constant by memory size",
            )
        return (
            "meter-against-theirs",
            "ours is metered; theirs is read more seldom, or modelled",
        )
    if part.kind == "ram":
        return (
            "ram-model",
            "both are a constant by memory modules, times or divided by two",
        )
    return (
        "same-model",
        "both are one model of load, seen over other stretches of time",
    )


def _sharing(total: Part) -> Iterator[dict[str, Any]]:
    ours, gross, theirs = total.ours.value, total.gross.value, total.theirs.value
    if ours is None or gross is None or theirs is None or _alike(ours, gross):
        return
    text = (
        f"ours is this run's share, {ours / gross:.1%} of what the devices used; theirs sees "
        f"the whole machine, and is {theirs / gross - 1:+z.1%} against that"
    )
    yield _item(total, gross - ours, "share-of-the-machine", text)


def _duration(
    theirs_s: float | None, ours_s: float | None, total: Part
) -> Iterator[dict[str, Any]]:
    if theirs_s is None or not ours_s or _alike(ours_s, theirs_s):
        return
    gross = total.gross if total.gross.value is not None else total.ours
    energy = None if gross.value is None else gross.value * (theirs_s / ours_s - 1)
    text = f"it looked for {theirs_s:.1f} s, the attempts took {ours_s:.1f} s"
    yield _item(total, energy, "duration", text)


def _pue(total: Part, pue: float) -> Iterator[dict[str, Any]]:
    gross = total.gross if total.gross.value is not None else total.ours
    if not gross.value or total.theirs.value is None or _alike(1.0, pue):
        return
    if _alike(total.theirs.value / gross.value, pue):
        text = f"theirs is ours times the PUE of {pue:g}: it may have multiplied with one"
        yield _item(total, gross.value * (pue - 1), "pue-applied", text)


def _item(part: Part, difference_kwh: float | None, cause: str, text: str) -> dict[str, Any]:
    return {
        "component": part.kind,
        "difference_kwh": difference_kwh,
        "cause": cause,
        "text": text,
    }


def _alike(one: float, other: float) -> bool:
    return abs(one - other) <= ALIKE_RATIO * max(abs(one), abs(other))
