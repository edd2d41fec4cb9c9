"""Another tool's figure beside ours, and how far apart they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pricetag.accounting.bill import Biller, Span
from pricetag.accounting.inputs import AttemptInput, SecondOpinion
from pricetag.accounting.quantity import Quantity

TheirFigure = Callable[[SecondOpinion], float | None]

PARTS: tuple[tuple[str, TheirFigure], ...] = (
    ("gpu", lambda opinion: opinion.gpu_kwh),
    ("cpu", lambda opinion: opinion.cpu_kwh),
    ("ram", lambda opinion: opinion.ram_kwh),
)


def compare(
    biller: Biller, attempts: Sequence[AttemptInput], spans: Sequence[Span]
) -> dict[str, Any] | None:
    """The second opinion on IT energy, by component kind and in total.

    Only attempts on which the other tool spoke are compared; ``attempts`` names them.

    Args:
        biller: Of our figures.
        attempts: All attempts.
        spans: What is charged for each of them, in the same order.

    Returns:
        ``{tool, version, attempts, components: [{kind, theirs_kwh, ours_kwh,
        difference_ratio}], total: {theirs_kwh, ours_kwh, difference_ratio}, reason}``, the
        difference being (theirs - ours) / ours; None when no attempt has one.
    """
    pairs = [
        (attempt, attempt.second_opinion, span)
        for attempt, span in zip(attempts, spans, strict=True)
        if attempt.second_opinion is not None
    ]
    if not pairs:
        return None
    opinions = [opinion for _, opinion, _ in pairs]
    heard = [(opinion, span) for _, opinion, span in pairs if opinion.energy_kwh is not None]
    reasons = dict.fromkeys(opinion.reason for opinion in opinions if opinion.reason)
    reason = "; ".join(reasons) or None
    components = [
        {"kind": kind, **_line(biller, heard, figure, kind, reason)} for kind, figure in PARTS
    ]
    return {
        "tool": opinions[-1].tool,
        "version": opinions[-1].version,
        "attempts": [a.number for a, opinion, _ in pairs if opinion.energy_kwh is not None],
        "components": components,
        "total": _line(biller, heard, lambda opinion: opinion.energy_kwh, None, reason),
        "reason": reason,
    }


def _line(
    biller: Biller,
    heard: Sequence[tuple[SecondOpinion, Span]],
    figure: TheirFigure,
    kind: str | None,
    reason: str | None,
) -> dict[str, Any]:
    said = [value for opinion, _ in heard if (value := figure(opinion)) is not None]
    if said:
        theirs = Quantity.exact(sum(said), "kWh", "modelled")
    else:
        theirs = Quantity.unknown("kWh", reason or "the other tool gave no figure")
    charges = [
        charge
        for opinion, span in heard
        if figure(opinion) is not None
        for charge in span.charges
        if kind is None or charge.component.kind == kind
    ]
    ours = biller.it_kwh(charges)
    return {
        "theirs_kwh": theirs.as_dict(),
        "ours_kwh": ours.as_dict(),
        "difference_ratio": _difference(theirs, ours).as_dict(),
    }


def _difference(theirs: Quantity, ours: Quantity) -> Quantity:
    if theirs.value is None or ours.value is None:
        missing = theirs if theirs.value is None else ours
        return Quantity.unknown("1", missing.reason or "only one of the two is known")
    if ours.value == 0 or ours.low is None or ours.high is None:
        return Quantity.unknown("1", "our figure is zero")
    value = theirs.value / ours.value - 1
    low = theirs.value / ours.high - 1
    if ours.low == 0:
        return Quantity(value, value, value, "1", "modelled", "without interval")
    return Quantity(value, low, theirs.value / ours.low - 1, "1", "modelled")
