"""Forms with a file, and what of a form the API's models get."""

from __future__ import annotations

import httpx
import pytest
from pydantic import ValidationError

from app.api.body import BodyError
from app.schemas.factors import FactorCreate
from app.schemas.users import UserCreate
from app.web.submitting import read_model
from app.web.uploads import parse_upload


def sent(fields: dict[str, str], file: tuple[str, bytes] | None) -> tuple[str, bytes]:
    """The content type and the body of a form, as a client writes them."""
    files = {"content": ("", b"") if file is None else file}
    request = httpx.Request("POST", "http://lab.test", data=fields, files=files)
    return request.headers["content-type"], request.read()


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "a,b\r\n1,2\r\n",
        "--\n--x\n\nContent-Disposition: form-data\n",
        "grün,نموذج,🚀\n",
        " leading and trailing \n\n",
        "no line end",
    ],
)
def test_a_file_arrives_as_it_was(text: str) -> None:
    fields = parse_upload(*sent({"zone": " DE "}, ("x.csv", text.encode())))
    assert fields == {"zone": "DE", "content": text}


def test_a_mark_of_byte_order_is_dropped() -> None:
    fields = parse_upload(*sent({}, ("x.csv", "a,b".encode("utf-8-sig"))))
    assert fields["content"] == "a,b"


def test_text_counts_where_no_file_was_chosen_and_a_file_before_an_empty_text() -> None:
    assert parse_upload(*sent({"content": "typed"}, None))["content"] == "typed"
    assert parse_upload(*sent({"content": ""}, ("x.csv", b"chosen")))["content"] == "chosen"


@pytest.mark.parametrize(
    ("content_type", "body", "message"),
    [
        ("multipart/form-data", b"", "not a form with parts"),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nabc\r\n--x--\r\n", "has no name"),
    ],
)
def test_other_bodies_are_rejected(content_type: str, body: bytes, message: str) -> None:
    with pytest.raises(BodyError, match=message) as caught:
        parse_upload(content_type, body)
    assert caught.value.status == 422


def test_a_file_in_another_encoding_says_where() -> None:
    with pytest.raises(BodyError, match=r"content: is not UTF-8 at byte 2: save the file as UTF-8"):
        parse_upload(*sent({}, ("x.csv", "grün".encode("latin-1"))))


def test_texts_become_what_the_model_has_and_dates_their_first_instant() -> None:
    form = {
        "kind": "pue",
        "value": "1.2",
        "year": "2025",
        "relative_std_ratio": "0.05",
        "basis": "b",
        "source": "s",
        "licence": "l",
        "valid_from": "2026-03-01",
        "valid_to": "",
    }
    factor = read_model(FactorCreate, form, dates=["valid_from", "valid_to"])
    assert (factor.year, factor.relative_std_ratio, factor.valid_to) == (2025, 0.05, None)
    assert factor.valid_from is not None
    assert factor.valid_from.isoformat() == "2026-03-01T00:00:00+00:00"
    with pytest.raises(ValidationError, match="year"):
        read_model(FactorCreate, form | {"year": "2025.5"})


def test_names_with_dots_are_fields_of_fields() -> None:
    form = {"name": "Ada", "external_identity.issuer": "i", "external_identity.subject": "s"}
    identity = read_model(UserCreate, form).external_identity
    assert identity is not None
    assert (identity.issuer, identity.subject) == ("i", "s")
    with pytest.raises(ValidationError, match=r"external_identity.subject"):
        read_model(UserCreate, {"name": "Ada", "external_identity.issuer": "i"})


def test_what_cannot_be_stored_is_rejected() -> None:
    with pytest.raises(BodyError, match="NUL byte"):
        read_model(UserCreate, {"name": "a\0b"})
