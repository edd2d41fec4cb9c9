"""Version 1 of the API, assembled."""

from __future__ import annotations

from fastapi import APIRouter

from app.api.v1 import audit, budgets, catalog, events, quotes, reports, runs, series, tokens

router = APIRouter(prefix="/v1")
for part in (runs, quotes, events, series, reports, catalog, tokens, audit, budgets):
    router.include_router(part.router)
