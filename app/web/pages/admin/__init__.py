"""Pages of administrators, below `/admin`."""

from __future__ import annotations

from app.web.pages.admin import (
    audit,
    carbon,
    factors,
    health,
    overview,
    prices,
    sessions,
    sites,
    tokens,
    users,
)
from app.web.rendering import page_router

PARTS = (overview, sites, factors, prices, carbon, users, tokens, sessions, audit, health)

router = page_router()
for part in PARTS:
    router.include_router(part.router)
