"""After how many inferences a compression has paid back the energy it took."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pricetag.accounting.quantity.checks import require_number
from pricetag.accounting.quantity.quantity import Quantity, Source, weakest
from pricetag.accounting.quantity.uncertainty import Interval, Term, central_95, samples

UNIT = "inferences"
NEVER = "an inference has not become cheaper"
"""Why there is no break-even where the figures say that there is none."""


def break_even_inferences(
    compression_kwh: float, inference_before_kwh: float, inference_after_kwh: float
) -> float | None:
    """E_compression / (E_before - E_after), the inferences from which the energy is saved.

    Args:
        compression_kwh: Energy of the compression, its teacher's included.
        inference_before_kwh: Energy of one inference before.
        inference_after_kwh: Energy of one inference after.

    Returns:
        The number of inferences; None when an inference has not become cheaper: it never
        pays back.

    Raises:
        InvalidFactor: If a figure is negative or not finite.
    """
    cost = require_number("compression_kwh", compression_kwh)
    before = require_number("inference_before_kwh", inference_before_kwh)
    saved = before - require_number("inference_after_kwh", inference_after_kwh)
    return cost / saved if saved > 0 else None


def break_even(compression: Quantity, before: Quantity, after: Quantity) -> Quantity:
    """The same of quantities in kWh, with the interval of the least and the most favorable ends.

    The interval takes the two inferences as independent, so it is wide; it is open (and the
    figure unknown) when at the unfavorable end nothing is saved. Where all three were metered
    alike, ``break_even_metered_alike`` knows better.
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
    """The break-even of three energies that the same meters took.

    A gain that all three share cancels in the ratio; what is left is the errors that each has
    of its own (counter edges), and the part of the gains that a different mix of components
    lets through. Each term is one component over one window.

    Args:
        compression: Energy of the compression, in kWh.
        before: Energy of one inference before, in kWh.
        after: Energy of one inference after, in kWh.
        source: The weakest evidence among them.
        seed: Of the Monte Carlo.

    Returns:
        The number of inferences with its 95% interval; unknown when none is saved, or when
        the saving is within its error.

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
        return Interval(value, value)  # one meter's gain alone: nothing is left but rounding
    return Interval(min(ends.low, value), max(ends.high, value))


def _within_error(value: float) -> str:
    return f"about {value:.3g}, but the saving is within its error"


def _ratio(cost: float | None, before: float | None, after: float | None) -> float | None:
    if cost is None or before is None or after is None:
        return None
    return break_even_inferences(cost, before, after)
