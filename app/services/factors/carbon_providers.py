"""Providers of hourly carbon intensities: one class per provider, disabled without a token."""

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
    """The server has no access token for this provider."""

    code = "provider-off"


class UnknownProviderError(InvalidError):
    """The provider does not exist."""

    code = "unknown-provider"


class ProviderFailedError(PricetagError):
    """The provider sent no usable response; nothing was stored."""

    code = "provider-failed"
    status = 502


@dataclass(frozen=True, slots=True)
class Fetched:
    """Hourly carbon intensities from a provider or a file.

    Attributes:
        g_per_kwh: Carbon intensity by UTC hour.
        basis: What the intensities include.
        source: Citation of the source.
        source_url: Address of the source.
        licence: License of the data.
        relative_std_ratio: Relative error of an hourly value, one sigma.
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
        """Fetches the hours that begin in ``[start, end)`` for a zone of the provider.

        Raises:
            ProviderFailedError: If the provider sends no usable response.
        """
        ...


class ElectricityMaps:
    """Electricity Maps' API v3: flow-traced, lifecycle, consumption-based.

    Args:
        token: Access token of an account.
        url: Base URL of the API.
        client: HTTP client to use.

    Source:
        https://portal.electricitymaps.com/docs (``/carbon-intensity/past-range``).
    """

    name = "electricitymaps"
    chunk = timedelta(days=10)  # longest range of one request at hourly resolution

    def __init__(self, token: str, url: str, client: httpx.AsyncClient) -> None:
        self._token = token
        self._url = url.rstrip("/")
        self._client = client

    async def fetch(self, zone: str, start: datetime, end: datetime) -> Fetched:
        """Fetches the hours that begin in ``[start, end)``.

        Raises:
            ProviderFailedError: If the provider sends no usable response.
        """
        intensities: dict[datetime, float] = {}
        estimated = 0
        chunk_start = start
        while chunk_start < end:
            chunk_end = min(chunk_start + self.chunk, end)
            for point in await self._points(zone, chunk_start, chunk_end):
                hour = _moment(point)
                if chunk_start <= hour < chunk_end:
                    intensities[hour] = _intensity(point)
                    estimated += bool(point.get("isEstimated"))
            chunk_start = chunk_end
        if not intensities:
            raise ProviderFailedError(f"{self.name} has no data for {zone} in this period.")
        return Fetched(
            g_per_kwh=dict(sorted(intensities.items())),
            basis=f"lifecycle, consumption (flow-traced), location-based; {zone}; "
            f"{estimated} of {len(intensities)} hours estimated",
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
            response = await self._client.get(
                f"{self._url}/carbon-intensity/past-range",
                params=params,
                headers={"auth-token": self._token},
            )
        except httpx.HTTPError as error:
            detail = str(error) or type(error).__name__
            raise ProviderFailedError(f"{self.name} did not respond: {detail}.") from error
        if response.status_code != httpx.codes.OK:
            raise ProviderFailedError(f"{self.name} sent status {response.status_code} for {zone}.")
        try:
            points = response.json()["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise ProviderFailedError(f"{self.name} sent no list of hours.") from error
        if not isinstance(points, list) or not all(isinstance(p, dict) for p in points):
            raise ProviderFailedError(f"{self.name} sent no list of hours.")
        return points


def provider(name: str, settings: Settings, client: httpx.AsyncClient) -> CarbonProvider:
    """The provider with a name.

    Raises:
        UnknownProviderError: If no provider has this name.
        ProviderOffError: If the server has no token for the provider.
    """
    if name != ElectricityMaps.name:
        raise UnknownProviderError(
            f"Unknown provider {name!r}; available: {ElectricityMaps.name}.", field="provider"
        )
    if settings.electricity_maps_token is None:
        raise ProviderOffError(
            f"{name} is disabled: set PRICETAG_ELECTRICITY_MAPS_TOKEN on the server.",
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
        raise ProviderFailedError("The provider sent an hour without a timestamp.") from error
    if moment.tzinfo is None or moment.minute or moment.second:
        raise ProviderFailedError(f"The provider sent {moment}, which is not a full UTC hour.")
    return moment.astimezone(UTC)


def _intensity(point: Mapping[str, Any]) -> float:
    value = point.get("carbonIntensity")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 5_000:
        raise ProviderFailedError(f"The provider sent an invalid carbon intensity: {value!r}.")
    return float(value)
