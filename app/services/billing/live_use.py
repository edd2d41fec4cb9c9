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
from app.services.billing import live_meter
from app.services.factors import resolution as factors
from app.services.factors.current import CurrentFactors
from app.settings import get_settings
from pricetag.accounting.bill.inputs import AttemptInput, Device, Factors
from pricetag.accounting.bill.live import LiveRates, hours_between, live_figures, live_rates
from pricetag.accounting.readings.component import Component

RATES_HOLD_S = 5.0
"""Time for which a site's factors are cached, in s; they change when new ones are entered."""

MOST_KEPT = 10_000
"""Maximum number of cached usages, after which the cache is cleared, since attempts come and go."""


@dataclass(frozen=True, slots=True)
class LiveUse:
    """Usage of one attempt so far; None for unknown figures."""

    it_energy_kwh: Decimal | None = None
    facility_energy_kwh: Decimal | None = None
    co2e_kg: Decimal | None = None
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


@dataclass(frozen=True, slots=True)
class KeptUse:
    """Usage of an attempt, and the inputs of its computation.

    Attributes:
        factors: Factors of its hours until now.
        metered: Its charge so far, its hardware and its start, as stored.
    """

    factors: Factors
    metered: tuple[str, str, str, datetime]
    use: LiveUse


class Rates:
    """The factors of running attempts, cached for a short time.

    Args:
        clock: Monotonic seconds.
        hold_s: Duration for which factors are cached, in s.

    Attributes:
        uses: Usage of attempts, by their IDs.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, hold_s: float = RATES_HOLD_S
    ) -> None:
        self._clock = clock
        self._hold_s = hold_s
        self._since_s = -math.inf
        self._known: dict[Key, Factors] = {}
        self.uses: dict[UUID, KeptUse] = {}

    async def known(self, session: Session) -> dict[Key, Factors]:
        """The factors resolved so far; the caller adds others."""
        now_s = self._clock()
        if now_s - self._since_s >= self._hold_s:
            self._since_s, self._known = now_s, {}
        return self._known


class CurrentRates(Rates):
    """The factors of running attempts, cached until others are entered."""

    def __init__(self) -> None:
        super().__init__()
        self._current: CurrentFactors[Key] = CurrentFactors()

    async def known(self, session: Session) -> dict[Key, Factors]:
        """The factors already resolved from the current entries."""
        return await self._current.known(session)


CURRENT_RATES = CurrentRates()


async def _factors(
    session: Session, resolved: dict[Key, Factors], group: Group, now: datetime
) -> Factors:
    """The factors of attempts at one site on one kind of hardware."""
    hours = hours_between(group.started_at, now)
    key = (group.site, group.accelerators, group.devices, hours[0], hours[-1])
    if key not in resolved:
        resolved[key] = await factors.resolve(
            session,
            site=group.site,
            settings=get_settings(),
            accelerators=group.accelerators,
            devices=group.devices,
            hours=hours,
            used_in_year=now.year,
        )
    return resolved[key]


@dataclass(frozen=True, slots=True)
class _Hardware:
    """Hardware of an attempt, which does not change while it runs."""

    components: tuple[Component, ...]
    devices: tuple[Device, ...]
    accelerators: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """IDs of the components."""
        return [component.id for component in self.components]


@lru_cache(maxsize=4096)
def _hardware(components: str, devices: str) -> _Hardware:
    metered = tuple(Component.from_dict(stored) for stored in json.loads(components))
    reserved = tuple(Device(stored["name"], stored.get("uuid")) for stored in json.loads(devices))
    names = [device.name for device in reserved] or [c.name for c in metered if c.kind == "gpu"]
    return _Hardware(metered, reserved, tuple(dict.fromkeys(names)))


async def of_running(
    session: Session, rows: Sequence[Any], now: datetime, rates: Rates
) -> Mapping[UUID, LiveUse]:
    """Usage of open attempts up to their latest readings.

    Args:
        session: Database session.
        rows: Rows from :func:`app.repositories.budgets.spend.running`.
        now: Current time, which sets the hours of the factors.
        rates: Cached factors and usages.

    Returns:
        The usage of each row's attempt; unknown if it has no reading.
    """
    uses: dict[UUID, LiveUse] = {}
    alike: dict[tuple[str | None, tuple[str, ...]], list[Any]] = defaultdict(list)
    for row in rows:
        if row.live is None or row.live == "{}":
            uses[row.attempt_id] = LiveUse()
        else:
            alike[row.site, _hardware(row.components, row.devices).accelerators].append(row)
    cached = await rates.known(session) if alike else {}
    for (site, accelerators), group in alike.items():
        stored = {(row.components, row.devices) for row in group}
        devices = sorted({id_ for texts in stored for id_ in _hardware(*texts).ids})
        started_at = min(row.started_at for row in group)
        key = Group(site, accelerators, tuple(devices), started_at)
        uses |= _uses(group, await _factors(session, cached, key, now), now, rates.uses)
    return uses


def _uses(
    group: Sequence[Any], factors_now: Factors, now: datetime, use_by_attempt: dict[UUID, KeptUse]
) -> Iterator[tuple[UUID, LiveUse]]:
    """Usage of attempts with the same factors; recomputed for those with new readings."""
    by_hour: dict[datetime, LiveRates] = {}
    for row in group:
        before = use_by_attempt.get(row.attempt_id)
        metered = (row.live, row.components, row.devices, row.started_at)
        if before is None or before.factors is not factors_now or before.metered != metered:
            hour = row.started_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
            if hour not in by_hour:
                by_hour[hour] = live_rates(factors_now, hour, now)
            before = KeptUse(factors_now, metered, _use(row, factors_now, by_hour[hour]))
            if len(use_by_attempt) > MOST_KEPT:
                use_by_attempt.clear()
            use_by_attempt[row.attempt_id] = before
        yield row.attempt_id, before.use


def _use(row: Any, factors_now: Factors, rates: LiveRates) -> LiveUse:
    hardware = _hardware(row.components, row.devices)
    charge = live_meter.so_far(json.loads(row.live))
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
    figures = live_figures(attempt, charge.energy_j, factors_now, rates)
    return LiveUse(
        it_energy_kwh=_decimal(figures.it_energy_kwh),
        facility_energy_kwh=_decimal(figures.facility_energy_kwh),
        co2e_kg=_decimal(figures.co2e_kg),
        cost=_decimal(figures.cost),
        currency=figures.currency,
    )


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))
