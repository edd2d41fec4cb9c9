"""Errors as pages, for browsers; everybody else gets `application/problem+json`."""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from app.api.browsers import is_page
from app.web import links
from app.web.headers import API
from app.web.rendering import here, render

TITLES = {
    401: "You are not signed in",
    403: "You may not do this",
    404: "There is no such page",
    405: "This page cannot do that",
    409: "This is not possible now",
    413: "The form is too large",
    422: "Something in the request is invalid",
    503: "The database cannot be reached",
}

AWAY = "database-away"
AWAY_TEXTS = {
    True: "Nothing is lost. This page works again as soon as the database answers.",
    False: "What you sent may have been stored, or not: once the database answers, look before you"
    " send it again.",
}
"""What the page says while the database is away, by whether it was only read."""

TITLES_BY_CODE = {"sign-in-link-invalid": "This link does not sign in"}


def as_page(request: Request, problem: Response) -> Response:
    """The page for an error, if a browser asks for one; otherwise the error as it is.

    Args:
        request: The request that failed.
        problem: The error, as `application/problem+json`.
    """
    if not wants_page(request):
        return problem
    if problem.status_code == 401 and is_page(request) and request.method == "GET":
        return to_sign_in(request)
    document: dict[str, Any] = json.loads(bytes(problem.body))
    if problem.status_code == 503 and document["code"] == AWAY:
        document["detail"] = AWAY_TEXTS[request.method == "GET"]
    title = TITLES_BY_CODE.get(document["code"]) or TITLES.get(
        problem.status_code, "Something went wrong here"
    )
    page = render(
        request,
        "problem.html",
        status=problem.status_code,
        problem=document,
        title=title,
        ways_on=_ways_on(request, problem.status_code, document["code"]),
    )
    for name in ("Retry-After", "Allow"):
        if name in problem.headers:
            page.headers[name] = problem.headers[name]
    return page


def _ways_on(request: Request, status: int, code: str) -> list[tuple[str, str]]:
    """Links that may help after an error, as words and address."""
    path = getattr(request.state, "next", None)
    if status == 401 or code in TITLES_BY_CODE or path is not None:
        return [("Sign in", links.rel(request, "show_sign_in", {"next": path}))]
    if status == 503 and request.method == "GET":
        return [("Try again", links.to(request, here(request)))]
    if status == 422 and request.method == "GET" and request.url.query:
        return [("Without filters", links.to(request, request.scope["path"]))]
    return []


def remember_next(request: Request, path: str | None) -> None:
    """Notes where a sign-in leads, so that the page of an error leads there too."""
    request.state.next = links.local_path(path)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page, and not a program for an answer of the API."""
    path = request.scope["path"]
    if path.startswith(API) or path == "/openapi.json":
        return False
    return "text/html" in request.headers.get("accept", "")


def to_sign_in(request: Request) -> Response:
    """Leads to the sign-in, and from there back."""
    location = links.rel(request, "show_sign_in", {"next": here(request)})
    return RedirectResponse(location, 303, headers={"Cache-Control": "no-store"})


def install(app: FastAPI) -> None:
    """Makes the error handlers of an application render pages for browsers."""
    app.state.as_page = as_page
