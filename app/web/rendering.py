"""Templates, with everything that each page shows around its own content."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

import pricetag
from app.api.branches import Branch
from app.schemas.common import ENCODED_SLASH
from app.services.principals import Principal
from app.web import links, navigation
from app.web.elements import Elements

TEMPLATES = Path(__file__).parent / "templates"
THEMES = ("system", "light", "dark")
Theme = Literal["system", "light", "dark"]
THEME_COOKIE = "pricetag-theme"


@cache
def environment() -> Environment:
    """The template engine: it escapes all texts, and a name without a value is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["elements_of"] = Elements.of
    return made


def page_router() -> Branch:
    """A router for pages, which are not part of the API's document."""
    return Branch(include_in_schema=False, default_response_class=HTMLResponse)


def section(name: str) -> dict[str, str]:
    """`openapi_extra` of a page that belongs to another one of the navigation."""
    return {"section": name}


def theme_of(request: Request) -> str:
    """The theme that this browser's user chose."""
    theme = request.cookies.get(THEME_COOKIE)
    return theme if theme in THEMES else "system"


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    visitor: Principal | None = None,
    **view: Any,
) -> HTMLResponse:
    """A page.

    Args:
        request: The request.
        template: Name of the template.
        status: HTTP status.
        visitor: Who sees it; the caller of the request by default.
        **view: Its view model.
    """
    seen_by = visitor or getattr(request.state, "caller", None)
    shown: dict[str, Any] = {
        "request": request,
        "visitor": seen_by,
        "navigation": navigation.items(request, seen_by),
        "theme": theme_of(request),
        "version": pricetag.__version__,
        "here": here(request),
        "rel": partial(links.rel, request),
        "to": partial(links.to, request),
        "asset": partial(links.asset, request),
        "has_page": partial(links.has_page, request),
        **view,
    }
    text = environment().get_template(template).render(shown)
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def here(request: Request) -> str:
    """The path and query of this page, to come back to."""
    path = quote(request.scope["path"].replace(ENCODED_SLASH, "%2F"), safe="/%")
    query = request.url.query
    return path + (f"?{query}" if query else "")
