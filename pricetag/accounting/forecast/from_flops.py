"""Time and energy of a run from its FLOPs, and the measured or assumed cost per operation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pricetag.accounting.forecast.estimates import Forecast, Spread, between, predict
from pricetag.accounting.quantity.checks import require_count, require_positive
from pricetag.accounting.units import joules_to_kwh
from pricetag.accounting.work.flops import TRAINING_PER_FORWARD, EncoderShape, encoder_flops

EFFICIENCY_PRIOR = Spread(0.5)
"""Spread of the cost per operation between runs of similar size on the same hardware."""

SIZE_STD_RATIO = 0.15
"""Error of applying that cost to e times more (or fewer) operations."""

MOST_NEIGHBOURS = 20

MFU_RANGE = (0.02, 0.6)
"""Share of the peak that devices reach in training.

Large language models reach 21% to 46% (Chowdhery et al. 2022, PaLM, table 3); small encoders
with small batches reach far less. The range is the project's own and deliberately wide.
"""

POWER_RANGE = (0.3, 1.0)
"""Mean power of a training device as a share of its limit: also the project's own range."""

LENGTH_RANGE = (0.15, 1.0)
"""Mean padded length of a batch as a share of the maximum length."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A run with counted FLOPs, and its usage."""

    flops: float
    figure: float


def by_efficiency(flops: Forecast, runs: Sequence[Seen]) -> Forecast | None:
    """Forecast of time or energy from FLOPs, by their ratio in other runs.

    Only runs of the most similar size count, since small runs are mostly overhead.
    """
    usable = [run for run in runs if run.flops > 0 and run.figure > 0]
    if not usable or flops.value <= 0:
        return None

    def far(run: Seen) -> float:
        return abs(math.log(run.flops / flops.value))

    near = sorted(usable, key=far)[:MOST_NEIGHBOURS]
    distance = sum(far(run) for run in near) / len(near)
    extra = math.expm1(math.log1p(SIZE_STD_RATIO) * distance)
    rates = [run.figure / run.flops for run in near]
    per_flop = predict(rates, EFFICIENCY_PRIOR, extra_std_ratio=extra)
    return flops.times(per_flop.value, per_flop.log_half)


def nominal_duration_s(flops: Forecast, *, peak_flops_per_s: float, devices: int) -> Forecast:
    """Duration of FLOPs on devices that reach a share of their known peak.

    Raises:
        InvalidFactor: If the peak is not positive, or there is no device.

    Source:
        MFU as in Chowdhery et al. 2022, PaLM, appendix B; ``MFU_RANGE``.
    """
    able = require_positive("peak_flops_per_s", peak_flops_per_s) * require_count(
        "devices", devices
    )
    mfu = between(*MFU_RANGE)
    return flops.times(1 / (able * mfu.value), mfu.log_half)


def nominal_energy_kwh(duration_s: Forecast, *, power_limit_w: float, devices: int) -> Forecast:
    """Energy of devices (without the host) that draw a share of their power limit.

    Raises:
        InvalidFactor: If the limit is not positive, or there is no device.
    """
    most_w = require_positive("power_limit_w", power_limit_w) * require_count("devices", devices)
    share = between(*POWER_RANGE)
    return duration_s.times(joules_to_kwh(most_w * share.value), share.log_half)


def training_flops_closed_form(
    shape: EncoderShape, *, examples: float, max_length: int
) -> Forecast:
    """FLOPs of training an encoder with a two-class head.

    Only the worker knows the lengths of the texts, so a range is assumed.

    Raises:
        InvalidFactor: If a count is not positive.

    Source:
        ``encoder_layer_flops``; three forward passes for each example.
    """
    example_count = require_positive("examples", examples)
    shortest, longest = (
        TRAINING_PER_FORWARD
        * example_count
        * encoder_flops(shape, max(round(share * max_length), 1), classes=2)
        for share in LENGTH_RANGE
    )
    return between(shortest, longest)
