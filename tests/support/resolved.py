"""Factors resolved for energy used at a site."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from app.services.factors import resolution as factors
from app.settings import Settings
from pricetag.accounting.bill.inputs import Factors
from tests.support.api import Api

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday
H200 = "NVIDIA H200"

PERIODS = [
    {"days": ["mon-sun"], "from": "07:00", "to": "22:00", "price": "0.31"},
    {"days": ["mon-sun"], "from": "22:00", "to": "07:00", "price": "0.21"},
]


def hours(*numbers: int, begin: datetime = NOON) -> list[str]:
    return [(begin + timedelta(hours=n)).isoformat() for n in numbers]


async def resolved(api: Api, site: str | None, **more: Any) -> Factors:
    query: dict[str, Any] = {"hours": hours(0), "used_in_year": 2026, **more}
    settings = query.pop("settings", Settings())
    async with api.database.session_scope() as session:
        return await factors.resolve(session, site=site, settings=settings, **query)


async def moment(api: Api) -> datetime:
    """A time after everything that was entered, and before what will be."""
    return datetime.now(UTC)
