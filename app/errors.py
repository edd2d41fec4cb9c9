"""Renders every error as `application/problem+json`."""

from __future__ import annotations

import http
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from app.repositories.outage import OUTAGES
from app.schemas.common import FieldProblem, Problem, hint_of
from app.services.errors import PricetagError
from models.documents.codec import DamagedDocumentError
from pricetag.accounting.quantity.record import InvalidDocument
from pricetag.field_messages import message_of

log = logging.getLogger("pricetag.server")

RETRY_AFTER_S = 5

HTTP_CODES = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    408: "body-too-slow",
    413: "body-too-large",
    415: "unsupported-media-type",
}


class ProblemResponse(JSONResponse):
    media_type = "application/problem+json"


def problem(
    status: int,
    code: str,
    detail: str,
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Renders one error."""
    body = Problem(
        type=f"urn:pricetag:problem:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        detail=printable(detail),
        code=code,
        errors=list(errors),
    )
    return ProblemResponse(body.model_dump(mode="json"), status_code=status, headers=headers)


def printable(text: str) -> str:
    """Text that can be encoded: input may contain lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def field_path(location: Sequence[int | str]) -> str | None:
    """`('body', 'stages', 0, 'kind')` as `stages.0.kind`; None for the whole body.

    A repeated parameter is identified only by its name.
    """
    parts = [str(part) for part in location]
    if parts and parts[0] in {"query", "path", "header", "cookie"}:
        parts = parts[1:2]
    elif parts and parts[0] == "body":
        parts = parts[1:]
    return printable(".".join(parts)) or None


def field_problems(errors: Iterable[Mapping[str, Any]]) -> list[FieldProblem]:
    """Pydantic's errors, without the quoted input."""
    return [
        FieldProblem(
            field=field_path(error.get("loc", ())),
            message=printable(message_of(error)),
            hint=hint_of(error),
        )
        for error in errors
    ]


def summary(problems: Sequence[FieldProblem]) -> str:
    """The first field's error as a sentence, and the number of other errors."""
    if not problems:
        return "The request is invalid."
    first = problems[0]
    text = f"{first.field}: {first.message}" if first.field else first.message
    more = len(problems) - 1
    return f"{text} (and {more} more)" if more else text


async def domain_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, PricetagError)
    several: Sequence[FieldProblem] = getattr(error, "errors", ())
    if not several and error.field:
        several = [FieldProblem(field=error.field, message=error.message)]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status == 503 else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(error.status, error.code, error.message, several, headers)


async def validation_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    problems = field_problems(error.errors())
    return problem(422, "invalid-request", summary(problems), problems)


async def http_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    code = HTTP_CODES.get(error.status_code, "http-error")
    phrase = http.HTTPStatus(error.status_code).phrase
    detail = error.detail or phrase
    if error.status_code in {404, 405} and error.detail == phrase:
        detail = f"{phrase}: {request.method} {request.url.path}"
        if error.status_code == 404 and request.url.path.endswith("/"):
            detail += " (try it without the trailing slash)"
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(methods_of(request.app, request.url.path))
    return problem(error.status_code, code, detail, headers=headers)


def methods_of(app: FastAPI, path: str) -> list[str]:
    """All methods of a path: the router only reports those of the first matching route."""
    methods: set[str] = set()
    for template, operations in app.openapi()["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path):
            methods |= {method.upper() for method in operations}
    return sorted(methods)


async def outage(request: Request, error: Exception) -> ProblemResponse:
    first_line = (str(error).splitlines() or [type(error).__name__])[0]
    log.warning("database unreachable: %s %s: %s", request.method, request.url.path, first_line)
    return problem(
        503,
        "database-away",
        "The database cannot be reached; try again shortly. Repeat a POST with the same "
        "Idempotency-Key, because it may have been stored.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


async def unreadable(request: Request, error: Exception) -> ProblemResponse:
    log.error("stored document unreadable: %s %s: %s", request.method, request.url.path, error)
    return problem(500, "document-unreadable", f"A stored document cannot be read ({error}).")


async def unexpected(request: Request, error: Exception) -> ProblemResponse:
    # The queue engine wraps the exceptions of the database driver.
    if any(isinstance(cause, OUTAGES) for cause in causes(error)):
        return await outage(request, error)
    return problem(
        500, "internal-error", "Internal server error; the server's log has the traceback."
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


Handler = Callable[[Request, Exception], Awaitable[ProblemResponse]]


def _for_readers(handler: Handler) -> Callable[[Request, Exception], Awaitable[Response]]:
    """A handler whose response is a page where a browser asks for one."""

    async def handle(request: Request, error: Exception) -> Response:
        response = await handler(request, error)
        as_page: AsPage | None = getattr(request.app.state, "as_page", None)
        return response if as_page is None else as_page(request, response)

    return handle


AsPage = Callable[[Request, Response], Response]
"""Renders an error for the reader of a page; returns it unchanged for programs."""


def install(app: FastAPI) -> None:
    """Registers the handlers."""
    handlers: dict[type[Exception], Handler] = {
        PricetagError: domain_error,
        RequestValidationError: validation_error,
        HTTPException: http_error,
        **dict.fromkeys(OUTAGES, outage),
        **dict.fromkeys((InvalidDocument, DamagedDocumentError), unreadable),
        Exception: unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, _for_readers(handler))
