"""Calls about factors and prices: sites, factors, prices, hourly carbon intensities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote as quoted

from pricetag.client.connection import Connection


class BookCalls(Connection):
    """Sites, factors, the price book and hourly carbon intensities."""

    def create_site(self, site: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a site: name, grid_zone, time_zone, currency, description."""
        return self._json("POST", "/v1/sites", site)

    def change_site(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes some fields of a site."""
        return self._json("PATCH", f"/v1/sites/{quoted(name, safe='')}", changes)

    def sites(self) -> list[dict[str, Any]]:
        """All sites by name."""
        return cast(list[dict[str, Any]], self._get("/v1/sites")["items"])

    def get_site(self, name: str, *, as_of: str | None = None) -> dict[str, Any]:
        """A site with the factors of this hour, each with its origin."""
        return self._get(f"/v1/sites/{quoted(name, safe='')}", {"as_of": as_of})

    def enter_factor(self, factor: Mapping[str, Any], *, site: str | None = None) -> dict[str, Any]:
        """Enters a factor of a site, or of the lab; fields as `POST /v1/factors` has them."""
        path = "/v1/factors" if site is None else f"/v1/sites/{quoted(site, safe='')}/factors"
        return self._json("POST", path, factor)

    def preview_factor(
        self, factor: Mapping[str, Any], *, site: str | None = None
    ) -> dict[str, Any]:
        """Effect of a factor, without entering it; the fields are those of `enter_factor`."""
        path = "/v1/factors" if site is None else f"/v1/sites/{quoted(site, safe='')}/factors"
        return self._json("POST", f"{path}/preview", factor)

    def factors(
        self, *, site: str | None = None, kind: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Factors as entered, newest first."""
        return self._pages("/v1/factors", {"site": site, "kind": kind, "limit": 200})

    def enter_price(self, price: Mapping[str, Any]) -> dict[str, Any]:
        """Enters a row of the price book; fields as `POST /v1/prices` has them."""
        return self._json("POST", "/v1/prices", price)

    def import_prices(self, content: str, fmt: str) -> list[dict[str, Any]]:
        """Enters all prices of a file (`csv` or `yaml`), or none."""
        response = self._json("POST", "/v1/prices/import", {"format": fmt, "content": content})
        return cast(list[dict[str, Any]], response["items"])

    def prices(self, *, accelerator: str | None = None) -> Iterator[dict[str, Any]]:
        """The price book, newest row first."""
        return self._pages("/v1/prices", {"accelerator": accelerator, "limit": 200})

    def import_carbon(self, series: Mapping[str, Any]) -> dict[str, Any]:
        """Enters hourly intensities of a zone; fields as `POST /v1/carbon/import` has them."""
        return self._json("POST", "/v1/carbon/import", series)

    def fetch_carbon(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Makes the server fetch hourly intensities from a provider and store them."""
        return self._json("POST", "/v1/carbon/fetch", wanted)

    def fetch_carbon_forecast(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Makes the server fetch a forecast of carbon intensity from a provider and keep it."""
        return self._json("POST", "/v1/carbon/forecasts/fetch", wanted)

    def carbon_forecasts(
        self, site: str | None = None, *, within_h: float = 12, duration_h: float = 4
    ) -> dict[str, Any]:
        """The latest forecasts of a site's zone, and the greenest start by them.

        Args:
            site: Name of the site; by default, the nodes without a site.
            within_h: Longest time until the start, in hours.
            duration_h: Length of the run, in hours.
        """
        query: dict[str, Any] = {"site": site, "within_h": within_h, "duration_h": duration_h}
        return self._get("/v1/carbon/forecasts", query)

    def carbon_series(self, *, zone: str | None = None) -> Iterator[dict[str, Any]]:
        """Series of hourly intensities, newest first."""
        return self._pages("/v1/carbon", {"zone": zone, "limit": 200})
