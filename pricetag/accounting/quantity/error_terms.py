"""Error terms of a figure, and its error budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pricetag.accounting.quantity.gain import gain_name
from pricetag.accounting.quantity.uncertainty import Interval, Multiplier, Term, log_sigma

OWN = "edges of the counters"
SHORT = "windows too short for their counter"
DIVISION = "division of shared devices, their idle power being unknown"
UNREAD = "last moment of lost attempts, which was not read"

NAMES = {
    "pue": "PUE",
    "carbon_intensity": "carbon intensity",
    "tariff": "electricity tariff",
}


class ErrorTerm(NamedTuple):
    """One cause of error: its name and one standard deviation, in the unit of the figure."""

    term: str
    std: float


def error_terms(
    terms: Sequence[Term],
    bounds: Sequence[Interval],
    multipliers: Sequence[Multiplier],
    *,
    division: float = 0.0,
    unread: float = 0.0,
) -> list[ErrorTerm]:
    """The error terms of a product, to first order.

    Errors of a group add linearly, those of single windows in quadrature; a factor "times or
    divided by (1 + r)" counts as ln(1 + r). Hard bounds count as a uniform distribution, with a
    standard deviation of their width over √12.

    Args:
        terms: The summands, each with its error.
        bounds: Summands with only hard bounds.
        multipliers: Factors, whose values the summands already include.
        division: Possible error of the sum in either direction due to unknown idle power.
        unread: Possible additional amount after the last reading of lost attempts.

    Source:
        JCGM 100:2008 (GUM), 4.3.7 for the uniform distribution, 5.1.2 and 5.2.2 for the sums.
    """
    common: dict[str, float] = {}
    own = 0.0
    for term in terms:
        ratio = log_sigma(term.common_std_ratio) if term.multiplicative else term.common_std_ratio
        name = gain_name(term.group)
        common[name] = common.get(name, 0.0) + term.value * ratio
        own = math.hypot(own, term.value * term.own_std_ratio)
    width = sum(bound.high - bound.low for bound in bounds)
    value = sum(term.value for term in terms) + sum((b.low + b.high) / 2 for b in bounds)
    causes = [ErrorTerm(name, std) for name, std in common.items()]
    causes += [ErrorTerm(OWN, own), ErrorTerm(SHORT, width / math.sqrt(12))]
    causes.append(ErrorTerm(DIVISION, 2 * division / math.sqrt(12)))
    causes.append(ErrorTerm(UNREAD, unread / math.sqrt(12)))
    for item in multipliers:
        ratio = log_sigma(item.std_ratio) if item.multiplicative else item.std_ratio
        causes.append(ErrorTerm(NAMES.get(item.name, item.name), value * ratio))
    return [term for term in causes if term.std > 0]


def error_budget(value: float | None, terms: Iterable[ErrorTerm]) -> list[dict[str, Any]]:
    """The causes of error by weight, largest first.

    Args:
        value: The figure; None if unknown, which yields an empty budget.
        terms: Its causes of error, independent of each other.

    Returns:
        ``[{term, relative_std_ratio, share_of_variance}]``, largest first.
    """
    if not value:
        return []
    # A single price, unlike a range, has no error at all.
    erring = [term for term in terms if term.std > 0]
    ordered = sorted(erring, key=lambda term: (-term.std, term.term))
    total_std = math.hypot(*(term.std for term in ordered))
    return [
        {
            "term": term.term,
            "relative_std_ratio": term.std / value,
            "share_of_variance": (term.std / total_std) ** 2,
        }
        for term in ordered
    ]
