"""Errors as pages for browsers; other clients get `application/problem+json`."""

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
    403: "You do not have access",
    404: "Page not found",
    405: "This page does not accept that method",
    409: "This is not possible now",
    410: "This link has ended",
    413: "The form is too large",
    422: "The request is invalid",
    503: "The database is unreachable",
}

AWAY = "database-away"
AWAY_TEXTS = {
    True: "Nothing is lost. This page works again as soon as the database responds.",
    False: "Your input may or may not have been stored. Once the database responds, check before"
    " you send it again.",
}
"""Text of the page while the database is unavailable, by whether the request only reads."""

MISSING = "-not-found"
"""End of the codes of objects that do not exist."""

LISTS = {
    "accelerator": ("Prices", "show_prices"),
    "artifact": ("Runs", "show_runs"),
    "attempt": ("Runs", "show_runs"),
    "budget": ("Budgets", "show_budgets"),
    "codecarbon-run": ("Runs", "show_runs"),
    "chart": ("Runs", "show_runs"),
    "experiment": ("Runs", "show_runs"),
    "hash": ("Verify", "show_verify"),
    "journal": ("Runs", "show_runs"),
    "member": ("Runs", "show_runs"),
    "metric": ("Runs", "show_runs"),
    "node": ("Nodes", "show_nodes"),
    "object": ("Audit log", "show_audit"),
    "paper": ("Papers", "show_papers"),
    "price-tag": ("Runs", "show_runs"),
    "project": ("Runs", "show_runs"),
    "quote": ("Runs", "show_runs"),
    "report": ("Runs", "show_runs"),
    "run": ("Runs", "show_runs"),
    "session": ("Account", "show_account"),
    "share": ("Share links", "show_shares"),
    "site": ("Sites", "show_sites"),
    "study": ("Studies", "show_studies"),
    "token": ("Tokens", "show_tokens"),
    "user": ("Energy by user", "show_energy"),
    "view": ("Runs", "show_runs"),
}
"""Where objects of each kind are listed: words, and name of the page."""

SELECTING = ("nothing-chosen", "invalid-selection")
"""Codes of errors in the selection of runs."""

NOUNS = {
    "budget_id": "budget",
    "node_name": "node",
    "project": "project",
    "run_id": "run",
    "session_id": "session",
    "sha256": "hash",
    "share_id": "share",
    "site": "site",
    "token_id": "token",
    "user": "user",
    "user_id": "user",
    "view_id": "view",
}
"""The kind of object that a parameter of a path identifies."""

TITLES_BY_CODE = {"sign-in-link-invalid": "This link does not sign in"}


def as_page(request: Request, problem: Response) -> Response:
    """The page for an error if a browser requests one; otherwise the unchanged error.

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
    if request.method == "GET":
        _name_the_missing(request, document)
    page = render(
        request,
        "problem.html",
        status=document["status"],
        problem=document,
        title=_title(document),
        ways_on=_ways_on(request, document["status"], document["code"]),
    )
    for name in ("Retry-After", "Allow"):
        if name in problem.headers:
            page.headers[name] = problem.headers[name]
    return page


def _name_the_missing(request: Request, document: dict[str, Any]) -> None:
    """An address with an invalid ID counts as that of an object that does not exist."""
    parameters = request.scope.get("path_params") or {}
    wrong = [error["field"] for error in document["errors"] if error["field"] in parameters]
    noun = NOUNS.get(wrong[0]) if wrong and document["status"] == 422 else None
    if noun is not None:
        text = f"The address has no valid ID: {document['detail']}"
        document |= {"status": 404, "code": f"{noun}{MISSING}", "detail": text}


def _title(document: dict[str, Any]) -> str:
    code: str = document["code"]
    if code in TITLES_BY_CODE:
        return TITLES_BY_CODE[code]
    if code in SELECTING:
        return "Other runs have to be selected"
    if document["status"] == 404 and code.endswith(MISSING) and code != MISSING[1:]:
        return code.replace("-", " ").capitalize()
    return TITLES.get(document["status"], "Something went wrong here")


def _ways_on(request: Request, status: int, code: str) -> list[tuple[str, str]]:
    """Links that may help after an error, as words and address."""
    path = getattr(request.state, "next", None)
    if status == 404 and code.removesuffix(MISSING) in LISTS:
        words, page = LISTS[code.removesuffix(MISSING)]
        return [*_of_run(request, code), (words, links.rel(request, page))]
    if code in SELECTING:
        return [("Runs", links.rel(request, "show_runs"))]
    if status == 409:
        return _of_run(request, code)
    if status == 401 or code in TITLES_BY_CODE or path is not None:
        return [("Sign in", links.rel(request, "show_sign_in", {"next": path}))]
    if status == 503 and request.method == "GET":
        return [("Try again", links.to(request, here(request)))]
    if status == 422 and request.method == "GET" and request.url.query:
        return [("Without filters", links.to(request, request.scope["path"]))]
    return []


def _of_run(request: Request, code: str) -> list[tuple[str, str]]:
    """The link to the run that the address names, unless that run does not exist."""
    run_id = (request.scope.get("path_params") or {}).get("run_id")
    if run_id is None or code == f"run{MISSING}":
        return []
    return [("Run", links.rel(request, "show_run", run_id=run_id))]


def remember_next(request: Request, path: str | None) -> None:
    """Notes where a sign-in leads, so that the page of an error leads there too."""
    request.state.next = links.local_path(path)


def wants_page(request: Request) -> bool:
    """Whether a browser requests a page, rather than a program a response of the API."""
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
