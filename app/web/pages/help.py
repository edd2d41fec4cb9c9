"""Help: the keys of the pages."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.access import ME
from app.web import navigation
from app.web.rendering import page_router, render

router = page_router()


@router.get("/help/keys", dependencies=[ME])
async def show_keys(request: Request) -> Response:
    """All keys, and the switch that turns them off."""
    return render(request, "keys.html", pages=navigation.items(request, request.state.caller))
