"""Request bodies: size-limited, JSON or YAML, with only values the database can store.

FastAPI would read the whole body before it looks at the token, and would pass on NUL
bytes, lone surrogates and numbers that overflow to infinity. So bodies are read here.
"""

from __future__ import annotations

import email.message
import math
from collections.abc import Mapping
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.schemas.common import FieldProblem
from app.services.errors import PricetagError
from pricetag import strict_json
from pricetag.recipes.yaml_text import YamlError, parse_yaml

JSON_TYPES = ("application/json",)
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

MAX_DEPTH = 40
MAX_VALUES = 20_000
MAX_INTEGER = 2**63 - 1

Model = TypeVar("Model", bound=BaseModel)
Path = tuple[str | int, ...]


class BodyError(PricetagError):
    """The body cannot be read, or contains a value that cannot be stored."""

    def __init__(self, status: int, code: str, message: str, field: str | None = None) -> None:
        super().__init__(f"{field}: {message}" if field else message, field=field)
        self.status, self.code = status, code
        self.errors = [FieldProblem(field=field, message=message)]


def media_type(header: str | None) -> str:
    """The bare media type; a missing header counts as JSON."""
    if not header:
        return JSON_TYPES[0]
    message = email.message.Message()
    message["content-type"] = header
    return message.get_content_type()


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    """The body, rejected as soon as it exceeds the limit.

    Raises:
        BodyError: If it is larger than `max_bytes` (413).
    """
    too_large = BodyError(
        413, "body-too-large", f"The body is larger than the {max_bytes} bytes allowed."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > max_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def parse_json(text: str) -> object:
    """Parses JSON strictly: no NaN, no duplicate keys.

    Raises:
        BodyError: If it is not JSON, with line and column.
    """
    try:
        return strict_json.parse_json(text)
    except strict_json.TooDeepError as error:
        raise _too_deep(()) from error
    except strict_json.StrictJsonError as error:
        raise BodyError(422, "malformed-json", f"The body is not JSON: {error}.") from error


def _too_deep(path: Path) -> BodyError:
    return BodyError(
        422, "body-too-deep", f"The body nests deeper than {MAX_DEPTH} levels.", _dotted(path)
    )


def _dotted(path: Path) -> str | None:
    return ".".join(str(part) for part in path[:8]) or None


def check_storable(value: object) -> None:
    """Rejects values that PostgreSQL or JSON cannot hold; the error names the path.

    Raises:
        BodyError: On NUL bytes, lone surrogates, numbers that are not finite or need
            more than 64 bits, keys that are not text, or too many values.
    """
    pending: list[tuple[Path, object]] = [((), value)]
    seen = 0
    while pending:
        path, item = pending.pop()
        seen += 1
        if len(path) > MAX_DEPTH:
            raise _too_deep(path)
        if seen > MAX_VALUES:
            raise BodyError(422, "body-too-large", f"The body holds more than {MAX_VALUES} values.")
        complaint = _complaint(item)
        if complaint:
            raise BodyError(422, "invalid-request", complaint, _dotted(path))
        if isinstance(item, Mapping):
            for key, child in item.items():
                if not isinstance(key, str):
                    raise BodyError(
                        422, "invalid-request", f"the key {key!r} is not text", _dotted(path)
                    )
                if _complaint(key):
                    raise BodyError(
                        422, "invalid-request", f"a key {_complaint(key)}", _dotted(path)
                    )
                pending.append(((*path, key), child))
        elif isinstance(item, list):
            pending.extend(((*path, index), child) for index, child in enumerate(item))


def _complaint(item: object) -> str | None:
    if isinstance(item, str):
        if "\x00" in item:
            return "contains a NUL byte"
        if not item.isascii() and any("\ud800" <= char <= "\udfff" for char in item):
            return "contains a lone surrogate, which is not a character"
    elif isinstance(item, bool) or item is None:
        return None
    elif isinstance(item, int):
        if abs(item) > MAX_INTEGER:
            return "is an integer that needs more than 64 bits"
    elif isinstance(item, float):
        if not math.isfinite(item):
            return "is not a finite number"
    elif not isinstance(item, Mapping | list):
        return f"is a {type(item).__name__}, which JSON does not support"
    return None


async def read_body(request: Request, max_bytes: int) -> object:
    """The request's body as plain data.

    Raises:
        BodyError: If it is too large (413), of another type (415) or unreadable (422).
    """
    kind = media_type(request.headers.get("content-type"))
    if kind not in JSON_TYPES + YAML_TYPES:
        raise BodyError(
            415,
            "unsupported-media-type",
            f"Send {JSON_TYPES[0]} or {YAML_TYPES[0]}, not {kind}.",
        )
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise BodyError(
            415, "unsupported-media-type", f"Send the body without Content-Encoding {encoding:.40}."
        )
    data = await read_bytes(request, max_bytes)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(
            422, "malformed-body", f"The body is not UTF-8: byte {error.start}."
        ) from error
    try:
        value = parse_json(text) if kind in JSON_TYPES else parse_yaml(text)
    except YamlError as error:
        raise BodyError(422, "malformed-yaml", f"The body is not YAML: {error}.") from error
    check_storable(value)
    return value


def validated(model: type[Model], value: object) -> Model:
    """The body as a request model.

    Raises:
        RequestValidationError: With every invalid field.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            {**fault, "loc": ("body", *fault["loc"])}
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise RequestValidationError(problems) from error
