"""The intervals of many sums at once, digit for digit those of ``combine``, but faster."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pricetag.accounting.quantity.uncertainty import (
    SAMPLES,
    TAIL,
    Error,
    Interval,
    combine,
    draws_of,
    terms_of,
)

Floats = NDArray[np.float64]

CHUNK = 64
"""Sums whose samples are drawn together: alike ones, so that few samples can be at their ends."""

SLACK = 1e-9
"""Far above the rounding of a sum, far below a difference between samples that matters."""


def intervals(
    sums: Sequence[tuple[tuple[Error, ...], Sequence[float]]], seed: int = 0
) -> list[Interval]:
    """The interval of each of several sums, as ``combine`` finds it.

    Args:
        sums: The errors of the parts of each, and their values.
        seed: Of the Monte Carlo.
    """
    found = [Interval(0.0, 0.0)] * len(sums)
    alike: dict[tuple[Error, ...], list[int]] = defaultdict(list)
    for index, (errors, _) in enumerate(sums):
        alike[errors].append(index)
    for errors, indexes in alike.items():
        if not _is_sampled(errors):
            for index in indexes:
                found[index] = combine(terms_of(errors, sums[index][1]), seed=seed)
            continue
        totals = {index: sum(sums[index][1]) for index in indexes}
        drawn = [index for index in indexes if totals[index] != 0]
        ends = _sampled(errors, np.array([sums[index][1] for index in drawn]), seed)
        for index, (low, high) in zip(drawn, ends, strict=True):
            total = totals[index]
            found[index] = Interval(max(min(low, total), 0.0), max(high, total))
    return found


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
    ends = np.zeros((len(values), 2))
    for chunk in _chunks(parts / np.abs(parts).sum(axis=1, keepdims=True)):
        for column, rank in enumerate((TAIL, SAMPLES - 1 - TAIL)):
            ends[chunk, column] = _ordered(draws, parts[chunk], rank)
    return [(low, high) for low, high in ends.tolist()]


def _chunks(shares: Floats) -> Iterator[NDArray[np.intp]]:
    """Rows of ``shares`` [sums, errors] that are close to each other."""
    waiting = [np.arange(len(shares))]
    while waiting:
        rows = waiting.pop()
        if len(rows) <= CHUNK:
            yield rows
            continue
        column = np.ptp(shares[rows], axis=0).argmax()
        ordered = rows[shares[rows, column].argsort(kind="stable")]
        waiting += np.array_split(ordered, 2)


def _ordered(draws: Floats, parts: Floats, rank: int) -> Floats:
    """The sample of a rank, of each sum of ``parts`` [sums, errors] x ``draws`` [errors, SAMPLES].

    A sample that is below the smallest possible one of this rank for all sums need only be
    counted, one above the largest possible one not even that.
    """
    shares = parts / np.abs(parts).sum(axis=1, keepdims=True)
    least = (shares.min(axis=0)[:, None] * draws).sum(axis=0)
    most = (shares.max(axis=0)[:, None] * draws).sum(axis=0)
    below = most < np.partition(least, rank)[rank] - SLACK
    above = least > np.partition(most, rank)[rank] + SLACK
    near = draws[:, ~(below | above)]
    totals = np.zeros((len(parts), near.shape[1]))
    # One after another, as in a loop over floats: the sums must round alike.
    for column, factors in enumerate(near):
        totals += parts[:, column, None] * factors
    place = rank - int(below.sum())
    ordered: Floats = np.partition(totals, place, axis=1)[:, place]
    return ordered
