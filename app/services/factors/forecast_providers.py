"""Providers of forecasts of carbon intensity: one class per provider, off until configured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

import httpx

from app.services.factors.carbon_providers import (
    ProviderFailedError,
    ProviderOffError,
    UnknownProviderError,
)
from app.settings import Settings

HOUR = timedelta(hours=1)
G_PER_LB = 453.59237
MOST_POINTS = 5_000
Signal = Literal["average", "marginal"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast of a zone's carbon intensity.

    Attributes:
        signal: ``average`` of what the grid emits (location-based), or ``marginal``: what one
            more kWh would add.
        g_per_kwh: Carbon intensity by UTC hour.
        issued_at: Time at which the provider issued it; None if the provider does not say so.
        basis: What the intensities include.
        source: Citation of the source.
        source_url: Address of the source.
        licence: License of the data.
    """

    signal: Signal
    g_per_kwh: Mapping[datetime, float]
    issued_at: datetime | None
    basis: str
    source: str
    source_url: str
    licence: str


class ForecastProvider(Protocol):
    """A source of forecasts."""

    name: str

    async def forecast(self, zone: str, now: datetime) -> Forecast:
        """The forecast of a zone from the present hour on.

        Args:
            zone: Zone in the provider's spelling.
            now: Present time.

        Raises:
            ProviderFailedError: If the provider sends no usable response.
        """
        ...


class ElectricityMapsForecast:
    """Electricity Maps' API v3: hourly, flow-traced, lifecycle.

    Source:
        https://portal.electricitymaps.com/docs (``/carbon-intensity/forecast``).
    """

    name = "electricitymaps"

    def __init__(self, settings: Settings, client: httpx.AsyncClient) -> None:
        self._token = _secret(settings, "electricity_maps_token", self.name)
        self._url = settings.electricity_maps_url
        self._client = client

    async def forecast(self, zone: str, now: datetime) -> Forecast:
        """The forecast of a zone."""
        document = await _json(
            self._client,
            self.name,
            f"{self._url.rstrip('/')}/carbon-intensity/forecast",
            params={"zone": zone},
            headers={"auth-token": self._token},
        )
        return Forecast(
            signal="average",
            g_per_kwh=_hourly(
                _points(document, "forecast"),
                lambda point: (point["datetime"], point["carbonIntensity"]),
            ),
            issued_at=_time_or_none(document.get("updatedAt")),
            basis=f"forecast; lifecycle, consumption (flow-traced), location-based; {zone}",
            source=f"Electricity Maps, API v3, forecast, zone {zone}",
            source_url="https://www.electricitymaps.com/",
            licence="Electricity Maps' terms of the account; not for redistribution",
        )


class UkCarbonIntensity:
    """The Carbon Intensity API of Great Britain's system operator: half-hourly, 48 hours.

    Source:
        https://carbon-intensity.github.io/api-definitions/ (``/intensity/{from}/fw48h``).
    """

    name = "uk-carbon-intensity"
    zones = ("GB", "GBR")

    def __init__(self, settings: Settings, client: httpx.AsyncClient) -> None:
        if settings.uk_carbon_intensity_url is None:
            raise _off(self.name, "uk_carbon_intensity_url")
        self._url = settings.uk_carbon_intensity_url
        self._client = client

    async def forecast(self, zone: str, now: datetime) -> Forecast:
        """The forecast of Great Britain, whose zone is the only one."""
        if zone not in self.zones:
            raise ProviderFailedError(f"{self.name} covers the zone GB alone, not {zone}.")
        begin = now.replace(minute=0, second=0, microsecond=0)
        document = await _json(
            self._client,
            self.name,
            f"{self._url.rstrip('/')}/intensity/{begin:%Y-%m-%dT%H:%MZ}/fw48h",
        )
        return Forecast(
            signal="average",
            g_per_kwh=_hourly(
                _points(document, "data"),
                lambda point: (point["from"], point["intensity"]["forecast"]),
                per_hour=2,
            ),
            issued_at=None,
            basis="forecast; generation, direct emissions, location-based; Great Britain; means "
            "of half hours",
            source="National Energy System Operator, Carbon Intensity API",
            source_url="https://carbonintensity.org.uk/",
            licence="CC BY 4.0",
        )


class WattTime:
    """WattTime's API v3: marginal operating emissions rate, in lb CO2/MWh at every 5 minutes.

    Source:
        https://docs.watttime.org/ (``/login``, ``/v3/forecast``).
    """

    name = "watttime"

    def __init__(self, settings: Settings, client: httpx.AsyncClient) -> None:
        self._password = _secret(settings, "watttime_password", self.name)
        if settings.watttime_user is None:
            raise _off(self.name, "watttime_user")
        self._user = settings.watttime_user
        self._url = settings.watttime_url.rstrip("/")
        self._client = client

    async def forecast(self, zone: str, now: datetime) -> Forecast:
        """The forecast of a balancing area, e.g. ``CAISO_NORTH``."""
        login = await _json(
            self._client, self.name, f"{self._url}/login", auth=(self._user, self._password)
        )
        document = await _json(
            self._client,
            self.name,
            f"{self._url}/v3/forecast",
            params={"region": zone, "signal_type": "co2_moer"},
            headers={"Authorization": f"Bearer {login.get('token')}"},
        )
        meta = document.get("meta")
        if not isinstance(meta, Mapping) or meta.get("units") != "lbs_co2_per_mwh":
            raise ProviderFailedError(f"{self.name} sent other units than lbs_co2_per_mwh.")
        return Forecast(
            signal="marginal",
            g_per_kwh={
                hour: value * G_PER_LB / 1000
                for hour, value in _hourly(
                    _points(document, "data"), lambda point: (point["point_time"], point["value"])
                ).items()
            },
            issued_at=_time_or_none(meta.get("generated_at")),
            basis=f"forecast; direct CO2, marginal (MOER); {zone}; means of 5 minutes",
            source=f"WattTime, API v3, marginal operating emissions rate, {zone}",
            source_url="https://watttime.org/",
            licence="WattTime's terms of the account; not for redistribution",
        )


PROVIDERS: Mapping[str, Callable[[Settings, httpx.AsyncClient], ForecastProvider]] = {
    each.name: each for each in (ElectricityMapsForecast, UkCarbonIntensity, WattTime)
}


def provider(name: str, settings: Settings, client: httpx.AsyncClient) -> ForecastProvider:
    """The provider with a name.

    Raises:
        UnknownProviderError: If no provider has this name.
        ProviderOffError: If the provider is not configured on the server.
    """
    made = PROVIDERS.get(name)
    if made is None:
        raise UnknownProviderError(
            f"Unknown provider {name!r}; available: {', '.join(PROVIDERS)}.", field="provider"
        )
    return made(settings, client)


def _off(name: str, setting: str) -> ProviderOffError:
    return ProviderOffError(
        f"{name} is off: set PRICETAG_{setting.upper()} on the server.", field="provider"
    )


def _secret(settings: Settings, setting: str, name: str) -> str:
    secret = getattr(settings, setting)
    if secret is None:
        raise _off(name, setting)
    return str(secret.get_secret_value())


async def _json(
    client: httpx.AsyncClient, name: str, url: str, **options: Any
) -> Mapping[str, Any]:
    try:
        response = await client.get(url, **options)
    except httpx.HTTPError as error:
        detail = str(error) or type(error).__name__
        raise ProviderFailedError(f"{name} did not respond: {detail}.") from error
    if response.status_code != httpx.codes.OK:
        raise ProviderFailedError(f"{name} sent status {response.status_code}.")
    try:
        document = response.json()
    except ValueError as error:
        raise ProviderFailedError(f"{name} sent a response that is not JSON.") from error
    if not isinstance(document, Mapping):
        raise ProviderFailedError(f"{name} sent a response without fields.")
    return document


def _points(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    points = document.get(key)
    if not isinstance(points, list) or len(points) > MOST_POINTS:
        raise ProviderFailedError(f"The provider sent no list {key!r} of a forecast.")
    for point in points:
        if not isinstance(point, Mapping):
            raise ProviderFailedError("The provider sent an invalid point of a forecast.")
        yield point


def _hourly(
    points: Iterator[Mapping[str, Any]],
    read: Callable[[Mapping[str, Any]], tuple[object, object]],
    per_hour: int = 1,
) -> dict[datetime, float]:
    """Means of each hour that has at least ``per_hour`` points."""
    by_hour: dict[datetime, list[float]] = defaultdict(list)
    for point in points:
        try:
            time, value = read(point)
        except (KeyError, TypeError) as error:
            raise ProviderFailedError(
                "The provider sent an invalid point of a forecast."
            ) from error
        at = _time_or_none(time)
        if at is None:
            raise ProviderFailedError(f"The provider sent an invalid time: {time!r}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 5_000:
            raise ProviderFailedError(f"The provider sent an invalid intensity: {value!r}.")
        by_hour[at.replace(minute=0, second=0, microsecond=0)].append(float(value))
    means = {
        hour: sum(values) / len(values)
        for hour, values in sorted(by_hour.items())
        if len(values) >= per_hour
    }
    if not means:
        raise ProviderFailedError("The provider sent a forecast without hours.")
    return means


def _time_or_none(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment.astimezone(UTC)
