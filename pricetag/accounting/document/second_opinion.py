"""Another tool's figure beside ours, with the difference and its causes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pricetag.accounting.bill.bill import Biller, Span
from pricetag.accounting.bill.inputs import AttemptInput, SecondOpinion
from pricetag.accounting.bill.split import split
from pricetag.accounting.document.explanation import Looked, Part, explain
from pricetag.accounting.document.records import (
    ComponentOpinion,
    Opinion,
    OpinionDurations,
    SecondOpinionTag,
)
from pricetag.accounting.quantity.quantity import Quantity

TheirFigure = Callable[[SecondOpinion], float | None]
Heard = Sequence[tuple[SecondOpinion, Span]]

PARTS: tuple[tuple[str, TheirFigure], ...] = (
    ("gpu", lambda opinion: opinion.gpu_kwh),
    ("cpu", lambda opinion: opinion.cpu_kwh),
    ("ram", lambda opinion: opinion.ram_kwh),
)

SILENT = "the other tool gave no figure"
NO_FIGURE = Quantity.unknown("kWh", SILENT)


def compare(
    biller: Biller,
    attempts: Sequence[AttemptInput],
    spans: Sequence[Span],
    *,
    without_opinion: bool = True,
    words: Callable[[str], str] = str,
) -> SecondOpinionTag | None:
    """The second opinion on IT energy, by component kind and in total.

    Only attempts with a figure of the other tool are compared; ``attempts`` lists them.

    Args:
        biller: Biller of our figures.
        attempts: All attempts.
        spans: Charges of each attempt, in the same order.
        without_opinion: Whether our figure, for all attempts, is stated even if the other tool
            failed on all of them.
        words: Wording of the causes.

    Returns:
        Their figure and ours, the differences and their causes; None if no attempt has a second
        opinion.
    """
    pairs = [
        (attempt, attempt.second_opinion, span)
        for attempt, span in zip(attempts, spans, strict=True)
        if attempt.second_opinion is not None
    ]
    if not pairs:
        return None
    opinions = [opinion for _, opinion, _ in pairs]
    everyone = [(opinion, span) for _, opinion, span in pairs]
    heard = [(opinion, span) for opinion, span in everyone if opinion.energy_kwh is not None]
    compared = heard if heard or not without_opinion else everyone
    reasons = dict.fromkeys(opinion.reason for opinion in opinions if opinion.reason)
    reason = "; ".join(reasons) or None
    parts = [
        _part(biller, compared, figure, kind, reason, without_opinion) for kind, figure in PARTS
    ]
    total = _part(
        biller, compared, lambda opinion: opinion.energy_kwh, None, reason, without_opinion
    )
    theirs_s, ours_s = _durations(heard)
    explanation = explain(
        _all_parts(biller, heard, parts),
        total,
        Looked(theirs_s, ours_s),
        pue=biller.factors.pue.value,
        reason=reason,
    )
    return SecondOpinionTag(
        tool=opinions[-1].tool,
        version=opinions[-1].version,
        attempts=tuple(a.number for a, opinion, _ in pairs if opinion.energy_kwh is not None),
        duration=OpinionDurations(theirs_s, ours_s),
        components=tuple(ComponentOpinion(str(part.kind), _line(part)) for part in parts),
        total=_line(total),
        explanation=tuple(replace(cause, text=words(cause.text)) for cause in explanation),
        reason=reason,
    )


def _durations(heard: Heard) -> tuple[float | None, float | None]:
    """Their measured time and the duration of those attempts; None if unknown."""
    theirs = [opinion.duration_s for opinion, _ in heard if opinion.duration_s is not None]
    ours = [span.duration_s for _, span in heard if span.duration_s is not None]
    if not heard:
        return None, None
    return (
        sum(theirs) if len(theirs) == len(heard) else None,
        sum(ours) if len(ours) == len(heard) else None,
    )


def _part(
    biller: Biller,
    heard: Heard,
    figure: TheirFigure,
    kind: str | None,
    reason: str | None,
    without_opinion: bool,
) -> Part:
    figures = [value for opinion, _ in heard if (value := figure(opinion)) is not None]
    if figures:
        theirs = Quantity.exact(sum(figures), "kWh", "modelled")
    else:
        theirs = Quantity.unknown("kWh", reason or SILENT)
    answered = [(opinion, span) for opinion, span in heard if figure(opinion) is not None]
    if not answered and without_opinion:
        answered = list(heard)
    return _ours(biller, answered, kind, theirs)


def _all_parts(biller: Biller, heard: Heard, reported_parts: Sequence[Part]) -> list[Part]:
    """The compared parts, plus those without a figure of the other tool.

    Together they are our whole charge for the attempts with a second opinion.
    """
    all_parts = [part for part in reported_parts if part.theirs.value is not None]
    for kind, figure in PARTS:
        silent = [(opinion, span) for opinion, span in heard if figure(opinion) is None]
        if silent:
            all_parts.append(_ours(biller, silent, kind, NO_FIGURE))
    compared_kinds = {kind for kind, _ in PARTS}
    other_kinds = {c.component.kind for _, span in heard for c in span.charges} - compared_kinds
    return all_parts + [_ours(biller, heard, kind, NO_FIGURE) for kind in sorted(other_kinds)]


def _ours(biller: Biller, heard: Heard, kind: str | None, theirs: Quantity) -> Part:
    charges = [
        charge
        for _, span in heard
        for charge in span.charges
        if kind is None or charge.component.kind == kind
    ]
    ours = biller.it_kwh(charges)
    methods = frozenset(charge.component.method for charge in charges)
    return Part(kind, theirs, ours, split(charges, ours, biller.seed).gross_kwh, methods)


def _line(part: Part) -> Opinion:
    return Opinion(
        theirs_kwh=part.theirs,
        ours_kwh=part.ours,
        ours_gross_kwh=part.gross,
        difference_ratio=_difference(part.theirs, part.ours),
        gross_difference_ratio=_difference(part.theirs, part.gross),
    )


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
