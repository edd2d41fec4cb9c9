"""Forms with a file, as browsers post them without script (``multipart/form-data``)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import policy
from email.parser import BytesParser
from typing import Annotated

from fastapi import Depends, Request

from app.api.body import BodyError, media_type, read_bytes
from app.api.deps import Caller, ServerResources

MEDIA_TYPE = "multipart/form-data"


async def read_upload(
    request: Request, caller: Caller, resources: ServerResources
) -> Mapping[str, str]:
    """The fields of a form, each with its last value; a file is the text of its field.

    A field that was left empty does not replace a file with the same name, nor the reverse.

    Raises:
        BodyError: If the body is too large (413), of another type (415), or not such a form (422).
    """
    header = request.headers.get("content-type", "")
    if media_type(header or None) != MEDIA_TYPE:
        raise BodyError(415, "unsupported-media-type", f"Send the form as {MEDIA_TYPE}.")
    body = await read_bytes(request, resources.settings.max_body_bytes)
    return parse_upload(header, body)


async def read_file(request: Request, caller: Caller, resources: ServerResources) -> RawForm:
    """The fields of a form as texts, and its file unchanged.

    Raises:
        BodyError: If the body is too large (413), of another type (415), or not such a form (422).
    """
    header = request.headers.get("content-type", "")
    if media_type(header or None) != MEDIA_TYPE:
        raise BodyError(415, "unsupported-media-type", f"Send the form as {MEDIA_TYPE}.")
    parts = list(_parts(header, await read_bytes(request, resources.settings.max_body_bytes)))
    file = next((content for _, content, is_file in parts if is_file and content), b"")
    texts = {
        name: content.decode("utf-8", "replace") for name, content, is_file in parts if not is_file
    }
    return RawForm(texts, file)


@dataclass(frozen=True, slots=True)
class RawForm:
    """A form with a file of any kind.

    Attributes:
        texts: The other fields.
        file: Content of the file; empty without one.
    """

    texts: Mapping[str, str]
    file: bytes


def parse_upload(content_type: str, body: bytes) -> Mapping[str, str]:
    """The fields of a form.

    Args:
        content_type: Header of the request, with the boundary of the parts.
        body: The parts.

    Raises:
        BodyError: If it is not a form in UTF-8 (422).
    """
    fields: dict[str, str] = {}
    for name, content, is_file in _parts(content_type, body):
        text = decoded(content, name)
        if text.strip() or name not in fields:
            fields[name] = text if is_file or "\n" in text else text.strip()
    return fields


def decoded(content: bytes, name: str) -> str:
    """The text of a field.

    Raises:
        BodyError: If it is not UTF-8 (422).
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 at byte {error.start}: save the file as UTF-8"
        raise BodyError(422, "invalid-request", message, name) from error


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, bytes, bool]]:
    """Name and content of each field, and whether it is a file."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise BodyError(422, "invalid-request", "The body is not a form with parts.")
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise BodyError(422, "invalid-request", "A part of the form has no name.")
        yield name, content, part.get_filename() is not None


Upload = Annotated[Mapping[str, str], Depends(read_upload)]
File = Annotated[RawForm, Depends(read_file)]
