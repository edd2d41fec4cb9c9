"""The API reference, from files of this server."""

from __future__ import annotations

from fastapi import Request, Response

from app.api.access import OPEN
from app.web import links
from app.web.rendering import page_router, render

router = page_router()


@router.get("/docs", dependencies=[OPEN])
async def show_docs(request: Request) -> Response:
    """All operations of the API, which can be tried with a token."""
    return render(request, "docs.html", document=links.to(request, "/openapi.json"))
