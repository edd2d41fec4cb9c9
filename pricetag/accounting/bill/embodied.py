"""Embodied emissions of hardware: the share of a reservation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pricetag.accounting.bill.inputs import AttemptInput, EmbodiedFactor
from pricetag.accounting.bill.reserved import duration_h, has_devices, server_share, whole_devices
from pricetag.accounting.quantity.checks import require_number, require_positive
from pricetag.accounting.quantity.quantity import Quantity, weakest
from pricetag.accounting.quantity.uncertainty import Term, combine

UNIT = "kg"
SERVER = "server"


def embodied_kg(
    factors: Sequence[EmbodiedFactor], attempts: Sequence[AttemptInput], *, seed: int = 0
) -> Quantity:
    """Embodied emissions of the hardware that attempts reserved, in kg CO2e.

    A reserved hour is charged 1 / (lifetime x utilization) of a device, so unreserved hours are
    charged to reserved ones. A run without accelerators is charged a share of the server by the
    number of its cores.

    Args:
        factors: Factors of product names, and of their server (subject ``server``).
        attempts: The attempts, with their reserved devices and durations.
        seed: Seed of the Monte Carlo simulation.

    Returns:
        The emissions; unknown, with the reason, if an accelerator has no figure.

    Raises:
        InvalidFactor: If a lifetime or a utilization is out of range.

    Source:
        SCI specification, ISO/IEC 21031:2024: M = TE x (TiR / EL) x (RR / ToR), with EL the
        lifetime in use.
    """
    by_subject = {factor.subject: factor for factor in factors}
    if not by_subject:
        return Quantity.unknown(UNIT, "no embodied emissions of this hardware are known")
    hours = _reserved_h(attempts, with_server=SERVER in by_subject)
    lacking = [name for name in hours if name not in by_subject]
    if lacking:
        return Quantity.unknown(UNIT, f"no embodied emissions of {', '.join(lacking)} are known")
    if not hours:
        return Quantity.unknown(UNIT, "no hardware with known embodied emissions was reserved")
    return _sum([(by_subject[name], reserved_h) for name, reserved_h in hours.items()], seed)


def _reserved_h(attempts: Sequence[AttemptInput], *, with_server: bool) -> Mapping[str, float]:
    """Reserved hours by subject; those of a server follow its accelerators, or else its cores."""
    hours: dict[str, float] = {}
    alone = not has_devices(attempts)
    for attempt in attempts:
        lasted_h = float(duration_h(attempt))
        for name, count in whole_devices(attempt).items():
            hours[name] = hours.get(name, 0.0) + float(count) * lasted_h
            if with_server:
                hours[SERVER] = hours.get(SERVER, 0.0) + float(count) * lasted_h
        if alone and with_server:
            hours[SERVER] = hours.get(SERVER, 0.0) + float(server_share(attempt)) * lasted_h
    return hours


def _sum(parts: Sequence[tuple[EmbodiedFactor, float]], seed: int) -> Quantity:
    terms = [
        Term(
            value=_share_kg(about, reserved_h),
            group=f"embodied:{about.subject}",
            common_std_ratio=about.factor.relative_std_ratio,
            multiplicative=about.factor.multiplicative,
        )
        for about, reserved_h in parts
    ]
    value = sum(term.value for term in terms)
    interval = combine(terms, seed=seed)
    subjects = {about.subject for about, _ in parts}
    remark = None if SERVER in subjects else "of the accelerators alone, without their server"
    return Quantity(
        value,
        min(interval.low, value),
        max(interval.high, value),
        UNIT,
        weakest(*(about.factor.source for about, _ in parts)),
        remark,
    )


def _share_kg(about: EmbodiedFactor, reserved_h: float) -> float:
    name = f"embodied.{about.subject}"
    in_use_h = require_positive(f"{name}.lifetime_h", about.lifetime_h) * require_number(
        f"{name}.utilisation_ratio",
        require_positive(f"{name}.utilisation_ratio", about.utilisation_ratio),
        at_most=1.0,
    )
    total_kg = require_number(name, about.factor.value) * require_positive(
        f"{name}.pieces", about.pieces
    )
    return total_kg * reserved_h / in_use_h
