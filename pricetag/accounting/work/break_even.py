"""Break-even: number of inferences after which a compression has saved its own energy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pricetag.accounting.quantity.checks import require_number
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import Interval, Term, central_95, samples

UNIT = "inferences"
NEVER = "an inference has not become cheaper"
"""Reason if the figures show that there is no break-even."""


def break_even_inferences(
    compression_kwh: float, inference_before_kwh: float, inference_after_kwh: float
) -> float | None:
    """E_compression / (E_before - E_after): the number of inferences to save the energy.

    Args:
        compression_kwh: Energy of the compression, including its teacher's.
        inference_before_kwh: Energy of one inference before the compression.
        inference_after_kwh: Energy of one inference after the compression.

    Returns:
        The number of inferences; None if an inference has not become cheaper, so that there is
        no break-even.

    Raises:
        InvalidFactor: If a figure is negative or not finite.
    """
    cost = require_number("compression_kwh", compression_kwh)
    before = require_number("inference_before_kwh", inference_before_kwh)
    saved = before - require_number("inference_after_kwh", inference_after_kwh)
    return cost / saved if saved > 0 else None


def break_even(compression: Quantity, before: Quantity, after: Quantity) -> Quantity:
    """Break-even of quantities in kWh, with an interval from their worst to their best ends.

    The interval is wide, because it treats the two inferences as independent; it is open, and
    the figure unknown, if nothing is saved at the worst end. If the same meters measured
    all three, use ``break_even_metered_alike``.
    """
    for name, energy in (("compression", compression), ("before", before), ("after", after)):
        if energy.value is None:
            return Quantity.unknown(UNIT, f"the energy of {name} is unknown: {energy.reason}")
    value = _ratio(compression.value, before.value, after.value)
    if value is None:
        return Quantity.unknown(UNIT, NEVER)
    high = _ratio(compression.high, before.low, after.high)
    if high is None:
        return Quantity.unknown(UNIT, _within_error(value))
    low = _ratio(compression.low, before.high, after.low)
    sources = [q.source for q in (compression, before, after) if q.source is not None]
    return Quantity(value, low, high, UNIT, weakest(*sources))


def break_even_metered_alike(
    compression: Sequence[Term],
    before: Sequence[Term],
    after: Sequence[Term],
    source: Source,
    *,
    seed: int = 0,
) -> Quantity:
    """Break-even of three energies measured by the same meters.

    A gain error shared by all three cancels in the ratio. The remaining errors are those of each
    window (counter edges), and the part of the gain errors that does not cancel because the
    windows have different mixes of components. Each term is one component over one window.

    Args:
        compression: Energy of the compression, in kWh.
        before: Energy of one inference before, in kWh.
        after: Energy of one inference after, in kWh.
        source: The weakest evidence among them.
        seed: Seed of the Monte Carlo simulation.

    Returns:
        The number of inferences with its 95% interval; unknown if no energy is saved, or if the
        saving is within its error.

    Raises:
        InvalidFactor: If a sum is negative or not finite.
    """
    value = break_even_inferences(
        *(sum(t.value for t in ts) for ts in (compression, before, after))
    )
    cost, first, last = (
        samples(terms, seed=seed, own=name)
        for name, terms in (("compression", compression), ("before", before), ("after", after))
    )
    drawn = [
        max(c, 0.0) / (b - a) if b > a else math.inf
        for c, b, a in zip(cost, first, last, strict=True)
    ]
    ends = central_95(drawn)
    if value is None:
        certain = math.isinf(ends.low)
        return Quantity.unknown(UNIT, NEVER if certain else f"{NEVER}, within the error")
    if math.isinf(ends.high):
        return Quantity.unknown(UNIT, _within_error(value))
    around = _around(value, ends)
    return Quantity(value, around.low, around.high, UNIT, source)


def _around(value: float, ends: Interval) -> Interval:
    if math.isclose(ends.low, ends.high, rel_tol=1e-9):
        return Interval(value, value)  # only one meter's gain error, which cancels
    return Interval(min(ends.low, value), max(ends.high, value))


def _within_error(value: float) -> str:
    return f"about {value:.3g}, but the saving is within its error"


def _ratio(cost: float | None, before: float | None, after: float | None) -> float | None:
    if cost is None or before is None or after is None:
        return None
    return break_even_inferences(cost, before, after)
