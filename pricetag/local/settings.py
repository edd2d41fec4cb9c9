"""The settings of local mode: the data folder and the site's factors, as a server reads them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pricetag.configuration import ConfigurationError, data_dir, read_config

PUE_RANGE = (1.0, 10.0)
GRID_RANGE = (0.0, 5000.0)
YEARS = (1990.0, 2100.0)
FOLDER = "local"
SWITCH = {"on": True, "off": False}
"""Values of ``PRICETAG_PUSH``."""

HOST_METERS = ("auto", "rapl", "model", "none")
"""Values of ``PRICETAG_METER_HOST``, here so that a program need not wait for the meters."""


@dataclass(frozen=True, slots=True)
class LocalSite:
    """A site's own factors; see ``pricetag.catalog.defaults.SiteSettings``."""

    pue: float | None = None
    grid_zone: str | None = None
    grid_g_per_kwh: float | None = None
    grid_year: int | None = None
    grid_source: str | None = None
    electricity_per_kwh: Decimal | None = None
    currency: str = "USD"
    site: str = "default"

    def as_record(self) -> dict[str, Any]:
        """The settings as JSON, for the journal: the price tag follows from it alone."""
        price = self.electricity_per_kwh
        return asdict(self) | {"electricity_per_kwh": None if price is None else str(price)}

    @classmethod
    def from_record(cls, stored: Mapping[str, Any]) -> LocalSite:
        """Reads what :meth:`as_record` wrote."""
        price = stored.get("electricity_per_kwh")
        known = {name: stored[name] for name in cls.__slots__ if name in stored}
        return cls(**known | {"electricity_per_kwh": None if price is None else Decimal(price)})


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Settings of one metered program.

    Attributes:
        folder: Folder of the local runs.
        site: The site's factors.
        project: Project of runs that name none.
        push: Whether runs are pushed to the server when they end.
        push_problem: The error in that setting, if there is one; then nothing is pushed.
        unused: A line for each setting that is invalid and therefore not used.
    """

    folder: Path
    site: LocalSite
    project: str
    push: bool = False
    push_problem: str | None = None
    unused: tuple[str, ...] = ()


def settings_of_program(environ: MutableMapping[str, str] = os.environ) -> LocalSettings:
    """The settings for a program that is about to run.

    An invalid setting is not used and is named in ``unused``: it must neither stop the program nor
    cost the measurement, since another factor can be used later. It is removed from the
    environment, so that no meter of this process reads it.
    """
    problems: list[str] = []
    try:
        file = read_config(environ)
    except ConfigurationError as error:
        problems.append(f"{error}; none of its settings is used")
        file = {}
    while True:
        try:
            return replace(_settings(environ, file), unused=tuple(problems))
        except ConfigurationError as error:
            if not error.settings:
                raise
            problems.append(f"{error}; not used")
            for name in error.settings:
                environ.pop(_variable(name), None)
                file.pop(name, None)


def read_settings(environ: Mapping[str, str] = os.environ) -> LocalSettings:
    """The settings in the environment and the configuration file.

    Raises:
        ConfigurationError: If the file cannot be read, or a setting is invalid.
    """
    return _settings(environ, read_config(environ))


def _settings(environ: Mapping[str, str], file: Mapping[str, Any]) -> LocalSettings:
    values = {name: _value(name, environ, file) for name in LocalSite.__slots__}
    site = LocalSite(
        pue=_number(values, "pue", PUE_RANGE),
        grid_zone=_text(values, "grid_zone"),
        grid_g_per_kwh=_number(values, "grid_g_per_kwh", GRID_RANGE),
        grid_year=_year(values),
        grid_source=_text(values, "grid_source"),
        electricity_per_kwh=_price(values),
        currency=_text(values, "currency") or "USD",
        site=_text(values, "site") or "default",
    )
    if site.grid_zone is not None and site.grid_g_per_kwh is not None:
        raise ConfigurationError(
            "set grid_zone or grid_g_per_kwh, not both", "grid_zone", "grid_g_per_kwh"
        )
    if site.grid_zone is not None:
        _check_zone(site.grid_zone)
    if values["currency"] is not None:
        _check_currency(site.currency)
    host = environ.get("PRICETAG_METER_HOST", "").strip().lower()
    if host and host not in HOST_METERS:
        raise ConfigurationError(
            f"PRICETAG_METER_HOST is {host!r}; use one of {', '.join(HOST_METERS)}", "meter_host"
        )
    return LocalSettings(
        local_folder(environ, file),
        site,
        environ.get("PRICETAG_PROJECT") or "local",
        *_pushes(environ, file),
    )


def local_folder(
    environ: Mapping[str, str] = os.environ, file: Mapping[str, Any] | None = None
) -> Path:
    """The folder of the local runs of this machine.

    Raises:
        ConfigurationError: If the configuration file cannot be read.
    """
    return data_dir(environ, read_config(environ) if file is None else file) / FOLDER


def _pushes(environ: Mapping[str, str], file: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Whether runs are pushed, and the error in the setting, if there is one.

    A wrong setting pushes nothing, but costs no measurement: a run can be pushed later.
    """
    named = environ.get("PRICETAG_PUSH", "").strip().lower()
    if named:
        wrong = None if named in SWITCH else f"PRICETAG_PUSH is {named!r}; use on or off"
        return SWITCH.get(named, False), wrong
    client = file.get("client", {})
    pushes = client.get("push", False) if isinstance(client, Mapping) else False
    if not isinstance(pushes, bool):
        return False, f"push in [client] is {pushes!r}; use true or false"
    return pushes, None


def _check_zone(zone: str) -> None:
    from pricetag.catalog import NotInCatalog, grid_factor

    try:
        grid_factor(zone)
    except NotInCatalog as error:
        raise ConfigurationError(f"PRICETAG_GRID_ZONE: {error}", "grid_zone") from error


def _check_currency(code: str) -> None:
    from pricetag.catalog import currency_codes

    if code not in currency_codes():
        raise ConfigurationError(
            "PRICETAG_CURRENCY: must be the ISO 4217 code of a currency in use, such as EUR "
            f"(is {code!r})",
            "currency",
        )


def _value(name: str, environ: Mapping[str, str], file: Mapping[str, Any]) -> Any:
    return environ.get(_variable(name)) or file.get(name)


def _variable(name: str) -> str:
    return f"PRICETAG_{name.upper()}"


def _number(values: Mapping[str, Any], name: str, bounds: tuple[float, float]) -> float | None:
    value = values[name]
    if value is None:
        return None
    low, high = bounds
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not low <= number <= high:
        raise ConfigurationError(
            f"{_variable(name)}: must be from {low:g} to {high:g} (is {value!r})", name
        )
    return number


def _year(values: Mapping[str, Any]) -> int | None:
    year = _number(values, "grid_year", YEARS)
    return None if year is None else int(year)


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values[name]
    return None if value is None else str(value)


def _price(values: Mapping[str, Any]) -> Decimal | None:
    value = values["electricity_per_kwh"]
    if value is None:
        return None
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and price >= 0):
        raise ConfigurationError(
            f"PRICETAG_ELECTRICITY_PER_KWH: must be a price of 0 or more (is {value!r})",
            "electricity_per_kwh",
        )
    return price
