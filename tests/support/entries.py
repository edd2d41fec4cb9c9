"""Sites, factors, prices and hours as an admin enters them."""

from __future__ import annotations

from typing import Any

from tests.support.api import Api

CITED: dict[str, Any] = {"source": "report of hall 2", "licence": "the lab's own"}
SINCE = "2020-01-01T00:00:00Z"


async def posted(api: Api, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The response to what the admin posted."""
    response = await api.admin.post(path, json=body)
    assert response.status_code == 201, response.text
    document: dict[str, Any] = response.json()
    return document


async def changed(api: Api, site: str, **more: Any) -> dict[str, Any]:
    """The response to changing a site as admin."""
    response = await api.admin.patch(f"/v1/sites/{site}", json=more)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def make_site(api: Api, name: str, **more: Any) -> dict[str, Any]:
    """A site."""
    return await posted(api, "/v1/sites", {"name": name, **more})


def factor(kind: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """The body of a factor."""
    fields = {"kind": kind, "year": 2025, "basis": "annual mean", "valid_from": SINCE, **CITED}
    return {**fields, **({} if value is None else {"value": value}), **more}


async def enter(api: Api, site: str | None, kind: str, value: Any = None, **more: Any) -> Any:
    """A factor of a site, or of the lab."""
    path = "/v1/factors" if site is None else f"/v1/sites/{site}/factors"
    return await posted(api, path, factor(kind, value, **more))


def price(price_id: str, amount: str | None, **more: Any) -> dict[str, Any]:
    """The body of a price."""
    fields = {
        "price_id": price_id,
        "provider": "a cloud",
        "accelerator": "H200",
        "currency": "USD",
        "kind": "spot",
        "valid_from": SINCE,
        **CITED,
    }
    return {**fields, **({} if amount is None else {"amount": amount}), **more}


def hours_csv(*rows: tuple[str, float]) -> str:
    """The text of an hourly file."""
    return "hour,g_per_kwh\n" + "".join(f"{hour},{value}\n" for hour, value in rows)


def series(zone: str, content: str, **more: Any) -> dict[str, Any]:
    """The body of an import of hours."""
    fields = {"zone": zone, "basis": "lifecycle, consumption", "content": content, **CITED}
    return {**fields, **more}
