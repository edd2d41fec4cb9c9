"""Explains why another tool's figure differs from ours, component by component."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pricetag.accounting.document.records import Explanation
from pricetag.accounting.quantity.quantity import Quantity

ALIKE_RATIO = 0.01
"""Relative difference below which two figures need no explanation."""

ROUNDING_RATIO = 1e-9
"""Rounding error of a sum of causes."""


@dataclass(frozen=True, slots=True)
class Part:
    """Both figures of one kind of component.

    Attributes:
        kind: gpu, cpu or ram; None for all together.
        theirs: Figure of the other tool.
        ours: Energy charged for the same attempts.
        gross: Energy of the whole devices, including other jobs and idling.
        methods: Pricetag's measurement methods.
    """

    kind: str | None
    theirs: Quantity
    ours: Quantity
    gross: Quantity
    methods: frozenset[str]


@dataclass(frozen=True, slots=True)
class Looked:
    """Measured time of either side, in s; None if unknown."""

    theirs_s: float | None
    ours_s: float | None

    @property
    def ratio(self) -> float:
        """Their time over ours; 1 if similar or unknown."""
        if self.theirs_s is None or not self.ours_s or _alike(self.ours_s, self.theirs_s):
            return 1.0
        return self.theirs_s / self.ours_s


def explain(
    parts: Sequence[Part], total: Part, looked: Looked, *, pue: float, reason: str | None
) -> list[Explanation]:
    """The known causes of the difference; their contributions add up to all of it.

    The other tool measures whole machines. Therefore our charge is first extended to the gross
    energy of the devices, then to the measured time of the other tool, then multiplied by the
    PUE that it seems to have applied; each component is compared with the result.

    Args:
        parts: Both figures by kind of component, including all of ours; attempts without a figure
            of the other tool for a kind are a separate part.
        total: Sum of the parts.
        looked: Measured times.
        pue: PUE of the price tag; the comparison is of IT energy, without it.
        reason: Reason why the other tool has no figure for some components.

    Returns:
        The causes, each with its contribution in kWh (theirs minus ours).
    """
    is_whole = total.gross.value is not None
    both = [
        (part, device_kwh) for part in parts if (device_kwh := _both(part, is_whole)) is not None
    ]
    whole_kwh = sum(device_kwh for _, device_kwh in both)
    theirs_kwh = sum(part.theirs.value or 0.0 for part, _ in both)
    causes = [*_sharing(total), *_duration(looked, total, whole_kwh if both else None)]
    seen_kwh = whole_kwh * looked.ratio
    times = looked.ratio
    if seen_kwh > 0 and not _alike(1.0, pue) and _alike(theirs_kwh / seen_kwh, pue):
        text = f"theirs is ours times the PUE of {pue:g}: it may have multiplied with one"
        causes.append(_item(total, seen_kwh * (pue - 1), "pue-applied", text))
        times *= pue
    for part in parts:
        causes += _of_part(part, times, is_whole, reason)
    return [*causes, *_remainder(total, causes)]


def _whole(part: Part, is_whole: bool) -> float | None:
    """Our figure to compare with theirs: of the whole devices, if known."""
    return part.gross.value if is_whole else part.ours.value


def _both(part: Part, is_whole: bool) -> float | None:
    return None if part.theirs.value is None else _whole(part, is_whole)


def _of_part(part: Part, times: float, is_whole: bool, reason: str | None) -> Iterator[Explanation]:
    ours, theirs = _whole(part, is_whole), part.theirs.value
    if theirs is None:
        if ours:
            why = f" ({reason})" if reason else ""
            text = f"the other tool has no figure for it{why}"
            yield _item(part, -ours, "missing-there", text)
        return
    if ours is None:
        if theirs > 0:
            text = f"we have no figure for it: {part.ours.reason}"
            yield _item(part, theirs, "missing-here", text)
        return
    if _alike(ours * times, theirs):
        return
    cause, text = _model(part)
    if ours > 0 and not _alike(ours, part.ours.value or 0.0):
        text += f" ({theirs / ours - 1:+z.1%} against what the whole machine used)"
    yield _item(part, theirs - ours * times, cause, text)


def _remainder(total: Part, causes: Sequence[Explanation]) -> Iterator[Explanation]:
    """The unexplained rest of the difference, so that the causes add up; nothing if negligible."""
    ours, theirs = total.ours.value, total.theirs.value
    if ours is None or theirs is None or (not causes and _alike(ours, theirs)):
        return
    remainder_kwh = theirs - ours - sum(item.difference_kwh or 0.0 for item in causes)
    if abs(remainder_kwh) > ROUNDING_RATIO * max(abs(ours), abs(theirs)):
        text = "what is left: differences of less than 1% each"
        yield _item(total, remainder_kwh, "remainder", text)


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


def _sharing(total: Part) -> Iterator[Explanation]:
    ours, gross, theirs = total.ours.value, total.gross.value, total.theirs.value
    if ours is None or gross is None or theirs is None or _alike(ours, gross):
        return
    text = (
        f"ours is this run's share, {ours / gross:.1%} of what the devices used; theirs sees "
        f"the whole machine, and is {theirs / gross - 1:+z.1%} against that"
    )
    yield _item(total, gross - ours, "share-of-the-machine", text)


def _duration(looked: Looked, total: Part, whole_kwh: float | None) -> Iterator[Explanation]:
    if looked.ratio == 1.0:
        return
    energy = None if whole_kwh is None else whole_kwh * (looked.ratio - 1)
    text = f"it looked for {looked.theirs_s:.1f} s, the attempts took {looked.ours_s:.1f} s"
    yield _item(total, energy, "duration", text)


def _item(part: Part, difference_kwh: float | None, cause: str, text: str) -> Explanation:
    return Explanation(part.kind, difference_kwh, cause, text)


def _alike(first: float, second: float) -> bool:
    return abs(first - second) <= ALIKE_RATIO * max(abs(first), abs(second))
