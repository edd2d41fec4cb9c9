"""What running attempts have used so far, from their newest stored readings."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.db import Session
from app.services.billing import live_meter
from app.services.factors import resolution as factors
from app.settings import get_settings
from pricetag.accounting.bill.inputs import AttemptInput, Device, Factors
from pricetag.accounting.bill.live import LiveCharge, hours_between, live_figures
from pricetag.accounting.readings.component import Component

RATES_HOLD_S = 5.0
"""How long the factors of a site are remembered; they change when somebody enters new ones."""


@dataclass(frozen=True, slots=True)
class LiveUse:
    """What one attempt has used so far; None where that is unknown."""

    it_energy_kwh: float | None = None
    facility_energy_kwh: float | None = None
    co2e_kg: float | None = None
    cost: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Attempts whose factors are the same.

    Attributes:
        site: Where they run.
        accelerators: Product names, each once.
        devices: Ids of all of their components.
        started_at: When the first of them began.
    """

    site: str | None
    accelerators: tuple[str, ...]
    devices: tuple[str, ...]
    started_at: datetime


class Rates:
    """The factors that running attempts are reckoned with, remembered for a little while.

    Args:
        clock: Monotonic seconds.
        hold_s: How long they are remembered.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, hold_s: float = RATES_HOLD_S
    ) -> None:
        self._clock = clock
        self._hold_s = hold_s
        self._known: dict[tuple[Any, ...], tuple[float, Factors]] = {}

    async def of(self, session: Session, group: Group, now: datetime) -> Factors:
        """The factors of some attempts at one site on one kind of hardware."""
        hours = hours_between(group.started_at, now)
        key = (group.site, group.accelerators, group.devices, hours[0], hours[-1])
        now_s = self._clock()
        known = self._known.get(key)
        if known is not None and now_s - known[0] < self._hold_s:
            return known[1]
        found = await factors.resolve(
            session,
            site=group.site,
            settings=get_settings(),
            accelerators=group.accelerators,
            devices=group.devices,
            hours=hours,
            used_in_year=now.year,
        )
        self._known = {k: v for k, v in self._known.items() if now_s - v[0] < self._hold_s}
        self._known[key] = (now_s, found)
        return found


def _accelerators(attempt: AttemptInput) -> tuple[str, ...]:
    metered = [component.name for component in attempt.components if component.kind == "gpu"]
    return tuple(dict.fromkeys([device.name for device in attempt.devices] or metered))


async def of_running(
    session: Session, rows: Sequence[Any], now: datetime, rates: Rates
) -> Mapping[UUID, LiveUse]:
    """What open attempts have used up to their newest readings.

    Args:
        session: Database session.
        rows: As :func:`app.repositories.spend.running` gives them.
        now: Current time; decides which hours' factors count.
        rates: The factors.

    Returns:
        One for every row; of an attempt without a reading nothing is known.
    """
    found: dict[UUID, LiveUse] = {}
    alike: dict[tuple[str | None, tuple[str, ...]], list[_Metered]] = defaultdict(list)
    for row in rows:
        charges = live_meter.charges(row.live)
        if not charges:
            found[row.attempt_id] = LiveUse()
            continue
        metered = _metered(row, charges)
        alike[row.site, _accelerators(metered.attempt)].append(metered)
    for (site, accelerators), group in alike.items():
        devices = sorted({id_ for one in group for id_ in one.energy_j})
        started_at = min(datetime.fromisoformat(one.attempt.started_at) for one in group)
        asked = Group(site, accelerators, tuple(devices), started_at)
        held = await rates.of(session, asked, now)
        found |= {one.attempt_id: _use(one, held, now) for one in group}
    return found


@dataclass(frozen=True, slots=True)
class _Metered:
    """An attempt and what it is charged so far of each component, J."""

    attempt_id: UUID
    attempt: AttemptInput
    energy_j: Mapping[str, float | None]


def _metered(row: Any, charges: Mapping[str, LiveCharge]) -> _Metered:
    components = tuple(Component.from_dict(stored) for stored in row.components)
    attempt = _attempt(row, components, live_meter.duration_s(charges))
    energy_j = {component: charge.energy_j for component, charge in charges.items()}
    return _Metered(row.attempt_id, attempt, energy_j)


def _use(metered: _Metered, held: Factors, now: datetime) -> LiveUse:
    found = live_figures(metered.attempt, metered.energy_j, held, now)
    return LiveUse(
        it_energy_kwh=found.it_energy_kwh,
        facility_energy_kwh=found.facility_energy_kwh,
        co2e_kg=found.co2e_kg,
        cost=None if found.cost is None else Decimal(str(found.cost)),
        currency=found.currency,
    )


def _attempt(row: Any, components: tuple[Component, ...], duration_s: float) -> AttemptInput:
    return AttemptInput(
        number=0,
        status="running",
        reason=None,
        started_at=row.started_at.isoformat(),
        duration_s=duration_s,
        components=components,
        measurements=(),
        devices=tuple(Device(d["name"], d.get("uuid")) for d in row.devices),
        node_name=row.node_name,
    )
