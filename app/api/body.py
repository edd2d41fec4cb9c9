"""Request bodies: size-limited, JSON or YAML, with only values the database can store.

FastAPI would read the whole body before it checks the token, and would accept NUL bytes, lone
surrogates and numbers that overflow to infinity. Therefore bodies are read here.
"""

from __future__ import annotations

import email.message
import zlib
from typing import TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from app.schemas.common import FieldProblem
from app.services.errors import PricetagError
from pricetag import storable, strict_json
from pricetag.recipes.yaml_text import YamlError, parse_yaml

JSON_TYPES = ("application/json",)
JOURNAL_TYPES = ("application/x-ndjson", "application/jsonl")
YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml")

MAX_DEPTH = 40
GZIP_BITS = 16 + zlib.MAX_WBITS
MAX_VALUES = 20_000
COMPLAINTS = {
    "nul": "contains a NUL byte",
    "surrogate": "contains a lone surrogate, which is not a character",
    "not-finite": "is not a finite number",
    "integer": "is an integer that needs more than 64 bits",
}

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
        BodyError: If it is larger than `max_bytes` (413), or the client has gone (400).
    """
    too_large = BodyError(
        413, "body-too-large", f"The body is larger than the {max_bytes} bytes allowed."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > max_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > max_bytes:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect as error:  # nobody reads the response; the server did nothing wrong
        raise BodyError(400, "bad-request", "The connection ended before the body did.") from error
    return b"".join(chunks)


def parse_json(text: str) -> object:
    """Parses JSON strictly, without NaN or duplicate keys.

    Raises:
        BodyError: If it is not JSON; states line and column.
    """
    try:
        return strict_json.parse_json(text)
    except strict_json.TooDeepError as error:
        raise _too_deep(()) from error
    except strict_json.StrictJsonError as error:
        raise BodyError(422, "malformed-json", f"The body is not JSON: {error}.") from error


def _too_deep(path: Path) -> BodyError:
    return BodyError(
        422, "body-too-deep", f"The body is nested deeper than {MAX_DEPTH} levels.", _dotted(path)
    )


def _dotted(path: Path) -> str | None:
    return ".".join(str(part) for part in path[:8]) or None


def check_storable(value: object) -> None:
    """Rejects values that PostgreSQL or JSON cannot store; the error states the path.

    Raises:
        BodyError: For NUL bytes, lone surrogates, numbers that are not finite or need more than
            64 bits, keys that are not text, too many values, or too deep nesting.
    """
    for fault in storable.faults(value, max_depth=MAX_DEPTH, max_values=MAX_VALUES):
        if fault.problem == "depth":
            raise _too_deep(fault.path)
        if fault.problem == "values":
            message = f"The body contains more than {MAX_VALUES} values."
            raise BodyError(422, "body-too-large", message)
        raise BodyError(422, "invalid-request", _complaint(fault), _dotted(fault.path))


def _complaint(fault: storable.Fault) -> str:
    if fault.problem == "key":
        return f"the key {fault.value!r} is not text"
    if fault.problem == "type":
        return f"is a {type(fault.value).__name__}, which JSON does not support"
    return f"a key {COMPLAINTS[fault.problem]}" if fault.in_key else COMPLAINTS[fault.problem]


async def read_body(request: Request, max_bytes: int) -> object:
    """The request's body as plain data.

    Raises:
        BodyError: If it is too large (413), has another media type (415) or is invalid (422).
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


async def read_journal(request: Request, max_bytes: int) -> bytes:
    """Lines of a journal, decompressed.

    Raises:
        BodyError: If they are larger than `max_bytes`, compressed or not (413), have another media
            type or encoding (415), or the compressed data is damaged (422).
    """
    kind = media_type(request.headers.get("content-type"))
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if kind not in JOURNAL_TYPES or encoding not in ("identity", "gzip"):
        message = f"Send {JOURNAL_TYPES[0]}, as it is or in gzip, not {kind:.60} in {encoding:.40}."
        raise BodyError(415, "unsupported-media-type", message)
    data = await read_bytes(request, max_bytes)
    return _unzipped(data, max_bytes) if encoding == "gzip" else data


def _unzipped(data: bytes, max_bytes: int) -> bytes:
    """The content of one gzip member, never more than a limit in memory."""
    opened = zlib.decompressobj(wbits=GZIP_BITS)
    try:
        content = opened.decompress(data, max_bytes + 1)
    except zlib.error as error:
        raise BodyError(422, "malformed-body", f"The body is not gzip: {error}.") from error
    if len(content) > max_bytes:
        message = f"The body is larger than the {max_bytes} bytes allowed once it is decompressed."
        raise BodyError(413, "body-too-large", message)
    if not opened.eof or opened.unused_data:
        what = "has bytes after its end" if opened.eof else "is cut off"
        raise BodyError(422, "malformed-body", f"The compressed body {what}.")
    return content


def validated(model: type[Model], value: object) -> Model:
    """Validates the body as a request model.

    Raises:
        RequestValidationError: If fields are invalid; lists all of them.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problems = [
            {**fault, "loc": ("body", *fault["loc"])}
            for fault in error.errors(include_url=False, include_input=False)
        ]
        raise RequestValidationError(problems) from error
