"""BERT-of-Theseus: modules of a model are replaced, at random, by smaller ones that learn.

Source: Xu, Zhou, Ge, Wei, Zhou 2020, BERT-of-Theseus: Compressing BERT by Progressive Module
Replacing, arXiv:2002.02925.
"""

from __future__ import annotations

from pricetag.recipes.methods.distill_theseus import DistillTheseus
from workers.training.grafting import Rate, linear_rate


def constant_rate(step: int, rate: float, steps: int | None) -> float:
    """A constant rate for ``steps`` steps, then 1; always constant if None.

    Args:
        step: Number of finished optimizer steps.
        rate: p.
        steps: Steps at that rate. The first step always has it, as in the authors' code.

    Source: Xu et al. 2020, section 3.2.
    """
    return 1.0 if steps is not None and step >= max(steps, 1) else rate


def rate_of(params: DistillTheseus) -> Rate:
    """The schedule that a stage's options describe.

    Args:
        params: The stage's options.
    """
    rate = params.starting_rate
    if params.replacing == "linear":
        slope = params.slope
        return lambda step, total: linear_rate(step, rate, slope)
    steps = params.replacing_steps
    return lambda step, total: constant_rate(step, rate, total // 2 if steps is None else steps)
