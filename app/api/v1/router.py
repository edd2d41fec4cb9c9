"""The router of version 1 of the API."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.v1 import (
    audit,
    budgets,
    carbon,
    catalog,
    charts,
    energy,
    events,
    insights,
    lab_health,
    overview,
    papers,
    price_tags,
    prices,
    projects,
    queue,
    quotes,
    reports,
    runs,
    series,
    sessions,
    shares,
    sites,
    stream,
    studies,
    tokens,
    users,
    verifications,
    views,
)

router = APIRouter(prefix="/v1")
for part in (
    runs,
    studies,
    views,
    queue,
    stream,
    overview,
    quotes,
    events,
    series,
    energy,
    insights,
    lab_health,
    charts,
    price_tags,
    verifications,
    reports,
    papers,
    shares,
    catalog,
    projects,
    users,
    tokens,
    sessions,
    audit,
    budgets,
    sites,
    prices,
    carbon,
):
    router.include_router(part.router)
