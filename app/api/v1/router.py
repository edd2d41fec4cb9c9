"""The router of version 1 of the API."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.v1 import (
    audit,
    budgets,
    carbon,
    catalog,
    energy,
    events,
    insights,
    price_tags,
    prices,
    projects,
    queue,
    quotes,
    reports,
    runs,
    series,
    sites,
    stream,
    tokens,
    users,
)

router = APIRouter(prefix="/v1")
for part in (
    runs,
    queue,
    stream,
    quotes,
    events,
    series,
    energy,
    insights,
    price_tags,
    reports,
    catalog,
    projects,
    users,
    tokens,
    audit,
    budgets,
    sites,
    prices,
    carbon,
):
    router.include_router(part.router)
