"""Usage of running attempts so far, from their latest stored readings."""

from __future__ import annotations

import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories import factors as factor_rows
from app.services.billing import live_meter
from app.services.billing.live_meter import ChargeSoFar
from app.services.factors import resolution as factors
from app.settings import Settings, get_settings
from pricetag.accounting.bill.inputs import AttemptInput, Device, Factors
from pricetag.accounting.bill.live import LiveRates, hours_between, live_figures, live_rates
from pricetag.accounting.readings.component import Component

RATES_HOLD_S = 5.0
"""Time for which a site's factors are cached, in s; they change when new ones are entered."""

MOST_KNOWN = 500
"""Cached factors after which the cache begins anew: attempts come and go."""


@dataclass(frozen=True, slots=True)
class LiveUse:
    """Usage of one attempt so far; None for unknown figures."""

    it_energy_kwh: float | None = None
    facility_energy_kwh: float | None = None
    co2e_kg: float | None = None
    cost: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Attempts with the same factors.

    Attributes:
        site: Site of the attempts.
        accelerators: Product names, each once.
        devices: Ids of all their components.
        started_at: Start of the first attempt.
    """

    site: str | None
    accelerators: tuple[str, ...]
    devices: tuple[str, ...]
    started_at: datetime


Key = tuple[str | None, tuple[str, ...], tuple[str, ...], str, str]
"""Site, accelerators, devices, first and last hour of attempts."""


class Rates:
    """The factors of running attempts, cached for a short time.

    Args:
        clock: Monotonic seconds.
        hold_s: Duration for which factors are cached, in s.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, hold_s: float = RATES_HOLD_S
    ) -> None:
        self._clock = clock
        self._hold_s = hold_s
        self._since_s = -math.inf
        self._known: dict[Key, Factors] = {}

    async def known(self, session: Session) -> dict[Key, Factors]:
        """The factors that are resolved already; others are to be added."""
        now_s = self._clock()
        if now_s - self._since_s >= self._hold_s:
            self._since_s, self._known = now_s, {}
        return self._known


class CurrentRates(Rates):
    """The factors of running attempts, cached until others are entered.

    What is entered is looked at by one statement, instead of eight for each site and kind of
    hardware.
    """

    def __init__(self) -> None:
        super().__init__()
        self._version: tuple[str, Settings] | None = None

    async def known(self, session: Session) -> dict[Key, Factors]:
        """The factors that are resolved already from what is entered now."""
        version = await factor_rows.version(session), get_settings()
        if version != self._version or len(self._known) > MOST_KNOWN:
            # Whoever resolves factors of before has the former dict.
            self._version, self._known = version, {}
        return self._known


CURRENT_RATES = CurrentRates()


async def _factors(
    session: Session, known: dict[Key, Factors], group: Group, now: datetime
) -> Factors:
    """The factors of attempts at one site on one kind of hardware."""
    hours = hours_between(group.started_at, now)
    key = (group.site, group.accelerators, group.devices, hours[0], hours[-1])
    if key not in known:
        known[key] = await factors.resolve(
            session,
            site=group.site,
            settings=get_settings(),
            accelerators=group.accelerators,
            devices=group.devices,
            hours=hours,
            used_in_year=now.year,
        )
    return known[key]


@dataclass(frozen=True, slots=True)
class _Hardware:
    """What an attempt runs on, which does not change while it runs."""

    components: tuple[Component, ...]
    devices: tuple[Device, ...]
    accelerators: tuple[str, ...]


@lru_cache(maxsize=4096)
def _hardware(components: str, devices: str) -> _Hardware:
    metered = tuple(Component.from_dict(stored) for stored in json.loads(components))
    reserved = tuple(Device(stored["name"], stored.get("uuid")) for stored in json.loads(devices))
    names = [device.name for device in reserved] or [c.name for c in metered if c.kind == "gpu"]
    return _Hardware(metered, reserved, tuple(dict.fromkeys(names)))


@dataclass(frozen=True, slots=True)
class _Metered:
    """An attempt with its charge so far from each component."""

    attempt_id: UUID
    attempt: AttemptInput
    started_at: datetime
    charge: ChargeSoFar


async def of_running(
    session: Session, rows: Sequence[Any], now: datetime, rates: Rates
) -> Mapping[UUID, LiveUse]:
    """Usage of open attempts up to their latest readings.

    Args:
        session: Database session.
        rows: Rows from :func:`app.repositories.spend.running`.
        now: Current time, which sets the hours of the factors.
        rates: Cached factors.

    Returns:
        The usage of each row's attempt; unknown if it has no reading.
    """
    uses: dict[UUID, LiveUse] = {}
    alike: dict[tuple[str | None, tuple[str, ...]], list[_Metered]] = defaultdict(list)
    for row in rows:
        stored = json.loads(row.live) if row.live is not None else None
        if not stored:
            uses[row.attempt_id] = LiveUse()
            continue
        hardware = _hardware(row.components, row.devices)
        metered = _metered(row, hardware, live_meter.so_far(stored))
        alike[row.site, hardware.accelerators].append(metered)
    known = await rates.known(session) if alike else {}
    for (site, accelerators), group in alike.items():
        devices = sorted({id_ for metered in group for id_ in metered.charge.energy_j})
        started_at = min(metered.started_at for metered in group)
        key = Group(site, accelerators, tuple(devices), started_at)
        uses |= _uses(group, await _factors(session, known, key, now), now)
    return uses


def _uses(
    group: Sequence[_Metered], factors_now: Factors, now: datetime
) -> Iterator[tuple[UUID, LiveUse]]:
    """Usage of attempts with the same factors."""
    by_hour: dict[datetime, LiveRates] = {}
    for metered in group:
        hour = metered.started_at.replace(minute=0, second=0, microsecond=0)
        if hour not in by_hour:
            by_hour[hour] = live_rates(factors_now, hour, now)
        figures = live_figures(metered.attempt, metered.charge.energy_j, factors_now, by_hour[hour])
        use = LiveUse(
            it_energy_kwh=figures.it_energy_kwh,
            facility_energy_kwh=figures.facility_energy_kwh,
            co2e_kg=figures.co2e_kg,
            cost=None if figures.cost is None else Decimal(str(figures.cost)),
            currency=figures.currency,
        )
        yield metered.attempt_id, use


def _metered(row: Any, hardware: _Hardware, charge: ChargeSoFar) -> _Metered:
    attempt = AttemptInput(
        number=0,
        status="running",
        reason=None,
        started_at=row.started_at.isoformat(),
        duration_s=charge.duration_s,
        components=hardware.components,
        measurements=(),
        devices=hardware.devices,
        node_name=row.node_name,
    )
    return _Metered(row.attempt_id, attempt, row.started_at.astimezone(UTC), charge)
