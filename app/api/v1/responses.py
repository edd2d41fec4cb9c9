"""The error responses of an operation, for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from app.schemas.common import Problem

MEANINGS = {
    401: "Missing or invalid token.",
    403: "The token's role does not allow this.",
    404: "The object does not exist.",
    409: "The current state of the object does not allow this.",
    413: "The body is too large.",
    415: "Unsupported media type of the body.",
    422: "Invalid fields or parameters; `errors` lists them.",
    500: "The server failed; its log has the traceback.",
    502: "A data provider sent no usable response.",
    503: "The database cannot be reached; try again after `Retry-After` seconds.",
}

BODY = (413, 415, 422)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These error responses, and those of every operation that needs a token."""
    return {status: _response(status) for status in sorted({401, 422, 500, 503, *statuses})}


def open_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of an operation that needs no token."""
    return {status: _response(status) for status in sorted({422, 500, *statuses})}


def _response(status: int) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    response: dict[str, Any] = {
        "description": MEANINGS[status],
        "content": {"application/problem+json": {"schema": schema}},
    }
    if status == 503:
        response["headers"] = {
            "Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}
        }
    if status == 401:
        response["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return response
