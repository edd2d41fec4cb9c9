"""Where hourly carbon intensities can be fetched: one class a provider, off without a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx

from app.services.errors import ConflictError, InvalidError, PricetagError
from app.settings import Settings

TIMEOUT_S = 30.0
LONGEST = timedelta(days=366)
HOUR = timedelta(hours=1)


class ProviderOffError(ConflictError):
    """The server has not been given access to this provider."""

    code = "provider-off"


class UnknownProviderError(InvalidError):
    """There is no such provider."""

    code = "unknown-provider"


class ProviderFailedError(PricetagError):
    """The provider gave no usable answer; nothing was taken."""

    code = "provider-failed"
    status = 502


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a provider told.

    Attributes:
        g_per_kwh: Carbon intensity by UTC hour.
        basis: What the figures count.
        source: Who says so.
        source_url: Where that can be read.
        licence: Under which it may be used.
        relative_std_ratio: Relative error of an hour, one sigma.
    """

    g_per_kwh: Mapping[datetime, float]
    basis: str
    source: str
    source_url: str
    licence: str
    relative_std_ratio: float


class CarbonProvider(Protocol):
    """A source of measured hourly carbon intensities."""

    name: str

    async def fetch(self, zone: str, start: datetime, end: datetime) -> Fetched:
        """The hours that begin in ``[start, end)``, in the provider's zone.

        Raises:
            ProviderFailedError: If it gives no usable answer.
        """
        ...


class ElectricityMaps:
    """Electricity Maps' API v3: flow-traced, lifecycle, consumption-based.

    Args:
        token: Of an account there.
        url: Of the API.
        client: To ask with.

    Source:
        https://portal.electricitymaps.com/docs (``/carbon-intensity/past-range``).
    """

    name = "electricitymaps"
    chunk = timedelta(days=10)  # the most it answers at once, by the hour

    def __init__(self, token: str, url: str, client: httpx.AsyncClient) -> None:
        self._token = token
        self._url = url.rstrip("/")
        self._client = client

    async def fetch(self, zone: str, start: datetime, end: datetime) -> Fetched:
        """The hours that begin in ``[start, end)``.

        Raises:
            ProviderFailedError: If it gives no usable answer.
        """
        found: dict[datetime, float] = {}
        estimated = 0
        begin = start
        while begin < end:
            until = min(begin + self.chunk, end)
            for point in await self._points(zone, begin, until):
                hour = _moment(point)
                if begin <= hour < until:
                    found[hour] = _intensity(point)
                    estimated += bool(point.get("isEstimated"))
            begin = until
        if not found:
            raise ProviderFailedError(f"{self.name} has no hour of {zone} in that time.")
        return Fetched(
            g_per_kwh=dict(sorted(found.items())),
            basis=f"lifecycle, consumption (flow-traced), location-based; {zone}; "
            f"{estimated} of {len(found)} hours estimated",
            source=f"Electricity Maps, API v3, zone {zone}",
            source_url="https://www.electricitymaps.com/",
            licence="Electricity Maps' terms of the account; not for redistribution",
            relative_std_ratio=0.18 if estimated else 0.10,
        )

    async def _points(self, zone: str, start: datetime, end: datetime) -> list[Mapping[str, Any]]:
        params = {
            "zone": zone,
            "start": _text(start),
            "end": _text(end),
            "temporalGranularity": "hourly",
        }
        try:
            answer = await self._client.get(
                f"{self._url}/carbon-intensity/past-range",
                params=params,
                headers={"auth-token": self._token},
            )
        except httpx.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise ProviderFailedError(f"{self.name} gave no answer: {detail}.") from error
        if answer.status_code != httpx.codes.OK:
            raise ProviderFailedError(f"{self.name} answered {answer.status_code} for {zone}.")
        try:
            points = answer.json()["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderFailedError(f"{self.name} sent no list of hours.") from error
        if not isinstance(points, list) or not all(isinstance(p, dict) for p in points):
            raise ProviderFailedError(f"{self.name} sent no list of hours.")
        return points


def provider(name: str, settings: Settings, client: httpx.AsyncClient) -> CarbonProvider:
    """The provider of a name.

    Raises:
        UnknownProviderError: If there is none of this name.
        ProviderOffError: If the server has no token for it.
    """
    if name != ElectricityMaps.name:
        raise UnknownProviderError(
            f"There is no provider {name!r}; there is {ElectricityMaps.name}.", field="provider"
        )
    if settings.electricity_maps_token is None:
        raise ProviderOffError(
            f"{name} is off: the server's PRICETAG_ELECTRICITY_MAPS_TOKEN is not set.",
            field="provider",
        )
    token = settings.electricity_maps_token.get_secret_value()
    return ElectricityMaps(token, settings.electricity_maps_url, client)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def _moment(point: Mapping[str, Any]) -> datetime:
    try:
        moment = datetime.fromisoformat(str(point["datetime"]))
    except (KeyError, ValueError) as error:
        raise ProviderFailedError("The provider sent an hour without its time.") from error
    if moment.tzinfo is None or moment.minute or moment.second:
        raise ProviderFailedError(f"The provider sent {moment}, which is no UTC hour.")
    return moment.astimezone(UTC)


def _intensity(point: Mapping[str, Any]) -> float:
    value = point.get("carbonIntensity")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 5_000:
        raise ProviderFailedError(f"The provider sent the carbon intensity {value!r}.")
    return float(value)
