"""The intervals of many sums at once, digit for digit those of ``combine``, but faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pricetag.accounting.quantity.uncertainty import (
    SAMPLES,
    TAIL,
    Error,
    Interval,
    Multiplier,
    Term,
    combine,
    draws_of,
    draws_of_multiplier,
    parts_of,
    sampled,
    terms_of,
)

Floats = NDArray[np.float64]

CHUNK = 128
"""Number of similar sums whose samples are drawn together, so that few samples can be at their
ends."""

FEW = 4
"""Number of sums that are drawn together even if they differ."""

ALIKE = 0.05
"""Greatest difference between the shares of an error in more sums than a few."""

RANKS = (TAIL, SAMPLES - 1 - TAIL)
"""Ranks of the samples that are the ends of an interval, in order of size."""

SLACK = 1e-9
"""Far above the rounding of a sum, far below a difference between samples that matters."""


def intervals(
    sums: Sequence[tuple[tuple[Error, ...], Sequence[float]]], seed: int = 0
) -> list[Interval]:
    """The interval of each of several sums, as ``combine`` finds it.

    Args:
        sums: The errors of the parts of each, and their values.
        seed: Seed of the Monte Carlo simulation.
    """
    bounds = [Interval(0.0, 0.0)] * len(sums)
    alike: dict[tuple[Error, ...], list[int]] = defaultdict(list)
    for index, (errors, _) in enumerate(sums):
        alike[errors].append(index)
    for errors, indexes in alike.items():
        if not _is_sampled(errors):
            for index in indexes:
                bounds[index] = combine(terms_of(errors, sums[index][1]), seed=seed)
            continue
        totals = {index: sum(sums[index][1]) for index in indexes}
        drawn = [index for index in indexes if totals[index] != 0]
        ends = _sampled(errors, np.array([sums[index][1] for index in drawn]), seed)
        for index, (low, high) in zip(drawn, ends, strict=True):
            total = totals[index]
            bounds[index] = Interval(max(min(low, total), 0.0), max(high, total))
    return bounds


def ends_of(terms: Sequence[Term], multipliers: Sequence[Multiplier], seed: int) -> Interval:
    """The quantiles of one sum times multipliers, as ``sampled`` finds them.

    Args:
        terms: The terms.
        multipliers: The multipliers.
        seed: Seed of the Monte Carlo simulation.
    """
    if any(term.own_std_ratio for term in terms):
        return sampled(terms, multipliers, seed)
    totals = np.zeros(SAMPLES)
    for error, part in parts_of(terms).items():
        totals = totals + part * _drawn(error, seed)
    for multiplier in multipliers:
        totals = totals * _drawn_multiplier(multiplier, seed)
    low, high = np.partition(totals, RANKS)[list(RANKS)].tolist()
    return Interval(low, high)


@lru_cache(maxsize=64)
def _drawn(error: Error, seed: int) -> Floats:
    return np.array(draws_of(error, seed))


@lru_cache(maxsize=64)
def _drawn_multiplier(multiplier: Multiplier, seed: int) -> Floats:
    return np.array(draws_of_multiplier(multiplier, seed))


def _is_sampled(errors: tuple[Error, ...]) -> bool:
    """Whether ``combine`` finds the interval by Monte Carlo."""
    is_factor = [multiplicative for _, _, multiplicative in errors]
    return any(is_factor) and (len(set(errors)) > 1 or not all(is_factor))


def _sampled(errors: tuple[Error, ...], values: Floats, seed: int) -> list[tuple[float, float]]:
    """2.5% and 97.5% quantiles of sums of ``values`` [sums, errors]."""
    if not len(values):
        return []
    own = list(dict.fromkeys(errors))
    parts = np.zeros((len(values), len(own)))
    for column, error in enumerate(errors):
        parts[:, own.index(error)] += values[:, column]
    draws = np.array([draws_of(error, seed) for error in own])
    shares = parts / np.abs(parts).sum(axis=1, keepdims=True)
    ends = np.zeros((len(values), 2))
    for chunk in _chunks(shares):
        ends[chunk] = _ends(draws, parts[chunk], shares[chunk])
    return [(low, high) for low, high in ends.tolist()]


def _chunks(shares: Floats) -> Iterator[NDArray[np.intp]]:
    """Rows of ``shares`` [sums, errors] that are close to each other."""
    waiting = [np.arange(len(shares))]
    while waiting:
        rows = waiting.pop()
        spread = np.ptp(shares[rows], axis=0)
        column = spread.argmax()
        if len(rows) <= FEW or (len(rows) <= CHUNK and spread[column] <= ALIKE):
            yield rows
            continue
        ordered = rows[shares[rows, column].argsort(kind="stable")]
        waiting += np.array_split(ordered, 2)


def _ends(draws: Floats, parts: Floats, shares: Floats) -> Floats:
    """The samples of the ``RANKS`` of each sum of ``parts`` x ``draws`` [errors, SAMPLES].

    A sample that is below the smallest possible one of a rank for all sums need only be counted,
    one above the largest possible one not even that.

    Args:
        draws: The draws of each error.
        parts: The parts of each sum [sums, errors].
        shares: The parts as shares of their sums.
    """
    least = (shares.min(axis=0)[:, None] * draws).sum(axis=0)
    most = (shares.max(axis=0)[:, None] * draws).sum(axis=0)
    lowest, highest = (np.partition(bound, RANKS)[list(RANKS)] for bound in (least, most))
    ends = np.zeros((len(parts), len(RANKS)))
    for column, rank in enumerate(RANKS):
        below = most < lowest[column] - SLACK
        above = least > highest[column] + SLACK
        near = draws[:, ~(below | above)]
        totals = np.zeros((len(parts), near.shape[1]))
        # One after another, as in a loop over floats, so that the sums round identically.
        for part, factors in zip(parts.T, near, strict=True):
            totals += part[:, None] * factors
        place = rank - int(below.sum())
        ends[:, column] = np.partition(totals, place, axis=1)[:, place]
    return ends
