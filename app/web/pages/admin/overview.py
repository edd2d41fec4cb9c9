"""Pages for administrators, and checks that need attention."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.access import ADMIN
from app.api.deps import Caller, CurrentSession, ServerResources
from app.api.v1.lab_health import server_state
from app.services.health import lab_health
from app.web.rendering import page_router, render
from app.web.views.admin import health as health_views

router = page_router()


@router.get("/admin", dependencies=[ADMIN])
async def show_admin(
    request: Request, session: CurrentSession, resources: ServerResources, caller: Caller
) -> Response:
    """The pages of administrators, and checks that found something."""
    state = await lab_health.examine(session, caller, server_state(resources))
    return render(
        request, "admin/overview.html", tab="show_admin", health=health_views.health(state)
    )
