"""Memory without a counter: a power per module, the number of modules guessed from the size.

The same rule in workers and in local runs, so that the same work has the same price in both: that
of CodeCarbon 3.3.2, stated here again because local runs need no CodeCarbon.
"""

from __future__ import annotations

import os
from pathlib import Path

from pricetag.metering.activity import PROC
from pricetag.metering.source import Component

MODULE_W, ARM_MODULE_W = 5.0, 1.5
"""Power of one memory module, in W, and that on ARM."""

SHARES = ((4, 1.0), (8, 0.9), (16, 0.8), (32, 0.7))
"""Share of a module's power up to a number of modules: further ones take less."""

FEWEST = 2
"""A machine is charged for at least this many modules."""

COUNTS = ((16, 2), (64, 4), (128, 8))
"""Number of modules of machines up to a size in GiB."""

SIZES_GIB = (128, 64, 32, 16)
"""Sizes of modules in larger machines, which have at least eight of them."""

STD_RATIO = 1.0
"""A factor of two either way."""


def module_count(size_gib: float) -> int:
    """Number of memory modules of a machine, guessed from the size of its memory in GiB."""
    for at_most_gib, count in COUNTS:
        if size_gib <= at_most_gib:
            return count
    module_gib = next(each for each in SIZES_GIB if each * 8 <= size_gib)
    return min(-int(-size_gib // module_gib), SHARES[-1][0])


def memory_power_w(size_gib: float, *, is_arm: bool) -> float:
    """Power of the memory of a machine, in W, at any load."""
    count, before, full_modules = max(module_count(size_gib), FEWEST), 0, 0.0
    for last, share in SHARES:
        full_modules += share * max(min(count, last) - before, 0)
        before = last
    return (ARM_MODULE_W if is_arm else MODULE_W) * full_modules


def memory_component(size_gib: float | None, *, is_arm: bool | None = None) -> Component:
    """The modelled memory as the price tag lists it.

    Args:
        size_gib: Size of the memory; None where the system does not report it.
        is_arm: Whether the machine is an ARM one; by default as the system states.
    """
    is_arm = machine_is_arm() if is_arm is None else is_arm
    power_w = None if size_gib is None else memory_power_w(size_gib, is_arm=is_arm)
    return Component(
        id="ram",
        kind="ram",
        name="RAM" if size_gib is None else f"{size_gib:.0f} GB RAM",
        method="modelled",
        gain_std_ratio=STD_RATIO,
        power_limit_w=None,
        baseline_w=power_w,
        baseline_note="the model's power is the same at any load",
        notes="the system does not report its memory"
        if power_w is None or size_gib is None
        else f"{power_w:g} W at any load, {power_w / size_gib:.2g} W per GB, by the rule of "
        f"CodeCarbon 3.3.2: {MODULE_W:g} W per memory module ({ARM_MODULE_W:g} W on ARM; less from "
        "the fifth on), the number of modules guessed from the size",
    )


def machine_is_arm() -> bool:
    """Whether this machine's processor is an ARM one."""
    machine = os.uname().machine.lower()
    return "arm" in machine or "aarch" in machine


def memory_gib(proc: Path = PROC) -> float | None:
    """Memory of the machine, in GiB; None where the system does not report it."""
    try:
        with open(proc / "meminfo", encoding="ascii", errors="replace") as lines:
            sizes_kib = (int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
            return next(sizes_kib) / 1024**2
    except (OSError, ValueError, IndexError, StopIteration):
        return None
