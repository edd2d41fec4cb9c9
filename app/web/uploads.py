"""Forms with a file, as browsers post them without script (``multipart/form-data``)."""

from __future__ import annotations

from collections.abc import Mapping
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


def parse_upload(content_type: str, body: bytes) -> Mapping[str, str]:
    """The fields of a form.

    Args:
        content_type: Header of the request, with the boundary of the parts.
        body: The parts.

    Raises:
        BodyError: If it is not a form in UTF-8 (422).
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    if not message.is_multipart():
        raise BodyError(422, "invalid-request", "The body is not a form with parts.")
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise BodyError(422, "invalid-request", "A part of the form has no name.")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            message_text = f"is not UTF-8 at byte {error.start}: save the file as UTF-8"
            raise BodyError(422, "invalid-request", message_text, name) from error
        is_file = part.get_filename() is not None
        if text.strip() or name not in fields:
            fields[name] = text if is_file or "\n" in text else text.strip()
    return fields


Upload = Annotated[Mapping[str, str], Depends(read_upload)]
