"""What running attempts have used so far, from their newest stored readings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.db import Session
from app.services import factors, live_meter
from app.services.price_tags import component_info
from app.settings import get_settings
from pricetag.accounting.inputs import AttemptInput, ComponentInfo, Device, Factors
from pricetag.accounting.live import hours_between, live_figures

RATES_HOLD_S = 30.0
"""How long the factors of a site are remembered; they change when somebody enters new ones."""


@dataclass(frozen=True, slots=True)
class LiveUse:
    """What one attempt has used so far; None where that is unknown."""

    it_energy_kwh: float | None = None
    facility_energy_kwh: float | None = None
    co2e_kg: float | None = None
    cost: Decimal | None = None
    currency: str | None = None


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

    async def of(
        self, session: Session, site: str | None, attempt: AttemptInput, now: datetime
    ) -> Factors:
        """The factors of an attempt at a site."""
        hours = hours_between(datetime.fromisoformat(attempt.started_at), now)
        devices = tuple(component.id for component in attempt.components)
        key = (site, _accelerators(attempt), devices, hours[0], hours[-1])
        now_s = self._clock()
        known = self._known.get(key)
        if known is not None and now_s - known[0] < self._hold_s:
            return known[1]
        found = await factors.resolve(
            session,
            site=site,
            settings=get_settings(),
            accelerators=_accelerators(attempt),
            devices=devices,
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
        now: When; tells the hours whose factors count.
        rates: The factors.

    Returns:
        One for every row; of an attempt without a reading nothing is known.
    """
    return {row.attempt_id: await _use(session, row, now, rates) for row in rows}


async def _use(session: Session, row: Any, now: datetime, rates: Rates) -> LiveUse:
    charges = live_meter.charges(row.live)
    if not charges:
        return LiveUse()
    components = tuple(component_info(stored) for stored in row.components)
    attempt = _attempt(row, components, live_meter.duration_s(charges))
    energy_j = {component: charge.energy_j for component, charge in charges.items()}
    held = await rates.of(session, row.site, attempt, now)
    found = live_figures(attempt, energy_j, held, now)
    return LiveUse(
        it_energy_kwh=found.it_energy_kwh,
        facility_energy_kwh=found.facility_energy_kwh,
        co2e_kg=found.co2e_kg,
        cost=None if found.cost is None else Decimal(str(found.cost)),
        currency=found.currency,
    )


def _attempt(row: Any, components: tuple[ComponentInfo, ...], duration_s: float) -> AttemptInput:
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
