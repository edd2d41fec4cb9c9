"""Health of the service: the result of every check, and what to do about it."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.access import HEALTH
from app.api.deps import Caller, CurrentSession, ServerResources
from app.api.v1.lab_health import server_state
from app.services.health import lab_health
from app.web.rendering import page_router, render, section
from app.web.views.admin import health as health_views

router = page_router()


@router.get("/admin/health", dependencies=[HEALTH], openapi_extra=section("show_admin"))
async def show_health(
    request: Request, session: CurrentSession, resources: ServerResources, caller: Caller
) -> Response:
    """All checks, made now."""
    state = await lab_health.examine(session, caller, server_state(resources))
    return render(
        request, "admin/health.html", tab="show_health", health=health_views.health(state)
    )
