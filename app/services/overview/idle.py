"""Unused accelerators and CPU nodes, and their cost per day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from app.db import Session
from app.repositories.nodes import nodes as node_rows
from app.schemas.common import Quantity
from app.schemas.overview import IdleDevice, SiteNow
from app.schemas.sites import FactorNow
from app.services.energy import baselines
from app.services.energy.baselines import IdlePower
from app.services.queueing import waiting
from pricetag.accounting import units
from pricetag.accounting.quantity.quantity import Source, weakest
from pricetag.tag.figures import counted

DAY_S = 86_400.0
TWO_SIGMA = 1.96
NO_BASELINE = "its idle power was not measured yet"
HOST = "host"
HOST_NAME = "CPU node"


async def devices(session: Session, sites: Sequence[SiteNow], now: datetime) -> list[IdleDevice]:
    """The idle accelerators of the nodes with a live worker, and idle nodes without any, by node.

    Args:
        session: Database session.
        sites: Factors of the sites now.
        now: Present time.
    """
    live = {worker.node_name for worker in await waiting.live(session)}
    in_use = await node_rows.devices_in_use(session)
    busy = await node_rows.running_by_node(session)
    at_site = await node_rows.sites_since(session, now - timedelta(hours=2))
    measured = await baselines.newest(session)
    factors = {site.site: site for site in sites}
    fallback = sites[0] if len(sites) == 1 else None
    idle = []
    for node in await node_rows.list_nodes(session):
        if node.name not in live:
            continue
        site = factors.get(at_site.get(node.name) or "", fallback)
        idle_powers = measured.get(node.name, ())
        accelerators = [each for each in node.devices if "gpu" in each.get("kind", "gpu")]
        for device in accelerators:
            uuid = str(device.get("uuid"))
            if (node.name, uuid) not in in_use:
                power = _measured(_newest(idle_powers, f"gpu:{uuid}", uuid))
                name = str(device.get("name") or "accelerator")
                idle.append(_device(node.name, f"gpu:{uuid}", name, power, site))
        if not accelerators and node.name not in busy:
            idle.append(_device(node.name, HOST, HOST_NAME, _of_host(idle_powers), site))
    return idle


def cost_per_day(devices: Sequence[IdleDevice]) -> Quantity:
    """Daily cost of all idle devices; a lower bound if some costs are unknown.

    The ends of the intervals are added: the devices share PUE and tariff, so that their errors do
    not cancel.
    """
    costs = [device.cost_per_day for device in devices]
    priced = [cost for cost in costs if cost.value is not None]
    currencies = sorted({cost.unit for cost in priced})
    if not devices:
        return _unknown("", "no accelerator or CPU node is idle")
    if not priced:
        return _unknown("", str(costs[0].reason))
    if len(currencies) > 1:
        return _unknown("", f"the costs are in several currencies ({', '.join(currencies)})")
    has_ends = all(cost.low is not None and cost.high is not None for cost in priced)
    unpriced = counted(len(costs) - len(priced), "device")
    return Quantity(
        value=sum(cast(float, cost.value) for cost in priced),
        low=sum(cast(float, cost.low) for cost in priced) if has_ends else None,
        high=sum(cast(float, cost.high) for cost in priced) if has_ends else None,
        unit=currencies[0],
        source=weakest(*(cast(Source, cost.source) for cost in priced)),
        reason=f"at least: the cost of {unpriced} is unknown" if len(priced) < len(costs) else None,
    )


def _newest(measured: Sequence[IdlePower], *components: str) -> IdlePower | None:
    own = [each for each in measured if each.component in components]
    return max(own, key=lambda each: each.measured_at, default=None)


def _of_host(measured: Sequence[IdlePower]) -> Quantity:
    """The idle power of a node without accelerators: the sum of its components."""
    components = sorted({each.component for each in measured})
    powers = [_measured(_newest(measured, component)) for component in components]
    if not powers:
        return _unknown("W", NO_BASELINE)
    return Quantity(
        value=sum(cast(float, power.value) for power in powers),
        low=None,
        high=None,
        unit="W",
        source=weakest(*(cast(Source, power.source) for power in powers)),
    )


def _device(
    node: str, component: str, name: str, idle_w: Quantity, site: SiteNow | None
) -> IdleDevice:
    energy = _times(idle_w, units.joules_to_kwh(DAY_S), "kWh", [site.pue] if site else [])
    if site is None:
        energy = _unknown("kWh", "the site of the node is unknown")
    return IdleDevice(
        node=node,
        component=component,
        name=name,
        site=site.site if site else None,
        idle_w=idle_w,
        energy_per_day=energy,
        cost_per_day=_cost(energy, site),
    )


def _measured(power: IdlePower | None) -> Quantity:
    if power is None:
        return _unknown("W", NO_BASELINE)
    return Quantity(
        value=power.power_w,
        low=None,
        high=None,
        unit="W",
        source=cast(Source, power.source),
    )


def _cost(energy: Quantity, site: SiteNow | None) -> Quantity:
    if energy.value is None:
        return _unknown("", str(energy.reason))
    if site is None or site.tariff is None:
        return _unknown("", (site.tariff_reason if site else None) or "no tariff is known")
    currency = site.tariff.unit.partition("/")[0]
    return _times(energy, 1.0, currency, [site.tariff])


def _times(quantity: Quantity, factor: float, unit: str, factors: Sequence[FactorNow]) -> Quantity:
    """A quantity times some factors; the ends of their intervals are multiplied."""
    if quantity.value is None:
        return _unknown(unit, str(quantity.reason))
    value = low = high = quantity.value * factor
    if quantity.low is not None and quantity.high is not None:
        low, high = quantity.low * factor, quantity.high * factor
    source = cast(Source, quantity.source)
    for each in factors:
        spread = TWO_SIGMA * each.relative_std_ratio
        least = each.value / (1 + spread) if each.multiplicative else each.value * (1 - spread)
        value, low, high = (
            value * each.value,
            low * max(least, 0.0),
            high * each.value * (1 + spread),
        )
        source = weakest(source, cast(Source, each.evidence))
    return Quantity(value=value, low=low, high=high, unit=unit, source=source)


def _unknown(unit: str, reason: str) -> Quantity:
    return Quantity(value=None, low=None, high=None, unit=unit, source=None, reason=reason)
