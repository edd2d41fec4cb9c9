"""Forms of the pages: fields that a browser posts without script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends, Request
from pydantic import BeforeValidator

from app.api.body import BodyError, media_type, read_bytes

MAX_BYTES = 100_000
MAX_FIELDS = 300
MEDIA_TYPE = "application/x-www-form-urlencoded"


async def read_repeated(request: Request) -> Mapping[str, list[str]]:
    """The fields of a form, each with all its values, without spaces at their ends.

    Raises:
        BodyError: If the body is too large (413), of another type (415), or not a form (422).
    """
    if media_type(request.headers.get("content-type") or MEDIA_TYPE) != MEDIA_TYPE:
        raise BodyError(415, "unsupported-media-type", f"Send the form as {MEDIA_TYPE}.")
    body = await read_bytes(request, MAX_BYTES)
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise BodyError(422, "invalid-request", "The body is not a form in UTF-8.") from error
    return {name: [value.strip() for value in values] for name, values in fields.items()}


async def read_form(request: Request) -> Mapping[str, str]:
    """The same, each field with its last value."""
    return {name: values[-1] for name, values in (await read_repeated(request)).items()}


Form = Annotated[Mapping[str, str], Depends(read_form)]
RepeatedForm = Annotated[Mapping[str, list[str]], Depends(read_repeated)]

Item = TypeVar("Item")


def _nothing_if_empty(value: object) -> object:
    return None if value == "" else value


Filled = Annotated[Item | None, BeforeValidator(_nothing_if_empty)]
"""A field of a form that filters a page; an empty one was not filled in."""
