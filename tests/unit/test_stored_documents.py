"""Stored documents are small and restored to the last byte."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.documents import codec
from models.issued import totals_of
from pricetag.accounting.bill.inputs import PriceTagInputs
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.canonical import known_sha256
from pricetag.accounting.document.versions import ACCOUNTING_VERSION
from tests.support import price_tags
from tests.support.golden import NAMES, content, issued

MADE: list[Callable[[], PriceTagInputs]] = [
    price_tags.compressed_run,
    price_tags.failed_run,
    price_tags.nested_run,
    price_tags.owned_run,
    price_tags.unmetered_run,
]


def made(make: Callable[[], PriceTagInputs]) -> dict[str, Any]:
    """A price tag of the newest accounting version."""
    inputs = replace(make(), accounting_version=ACCOUNTING_VERSION)
    return build_price_tag(inputs).as_dict()


def all_documents() -> list[dict[str, Any]]:
    return [*(content(name) for name in NAMES), *(made(make) for make in MADE)]


def text_of(document: Any) -> str:
    return json.dumps(document, sort_keys=True)


@pytest.mark.parametrize("name", NAMES)
def test_an_issued_price_tag_is_restored_to_the_last_byte(name: str) -> None:
    document = content(name)
    back = codec.decode(codec.encode(document))
    assert text_of(back) == text_of(document)
    version = document["provenance"]["accounting_version"]
    assert issued(name)["content_sha256"] in known_sha256(back, version)


@pytest.mark.parametrize("make", MADE)
def test_a_price_tag_of_the_newest_version_is_restored_to_the_last_byte(
    make: Callable[[], PriceTagInputs],
) -> None:
    document = made(make)
    assert text_of(codec.decode(codec.encode(document))) == text_of(document)


def test_price_tags_are_stored_in_a_tenth_of_their_json() -> None:
    documents = all_documents()
    json_bytes = mean(len(codec.to_text(one).encode()) for one in documents)
    stored_bytes = mean(len(codec.encode(one)) for one in documents)
    assert stored_bytes < 0.11 * json_bytes
    assert stored_bytes < 3500


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**25), 10**25),
    st.sampled_from((0.0, -0.0, 1.0, 1e-7, 1.5e-07, 1e22, 1.2345678e300, 0.1, 123456789.0)),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ('":1.23456789', ",0.123456789", "[-1.5e-300", "\x01\x02\x03\x04-1\x05", "\\u0001", "€ 😀")
)
DOCUMENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | NUMBERS | TEXTS,
        lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
        max_leaves=30,
    ),
)


@given(DOCUMENTS)
def test_every_document_is_restored_with_the_types_of_its_numbers(document: dict[str, Any]) -> None:
    assert text_of(codec.decode(codec.encode(document))) == text_of(document)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=codec.MARKS)))
def test_every_text_is_restored(text: str) -> None:
    assert codec.decode_text(codec.encode_text(text)) == text


@given(
    st.lists(
        st.sampled_from((1.23456789, 2.3456789, 3.456789012, 0.5, 7.0, 1e-300 / 7)), max_size=40
    )
)
def test_repeated_numbers_are_stored_once(values: list[float]) -> None:
    text = codec.to_text({"values": values})
    marked, numbers = codec.without_numbers(text)
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) == {value for value in values if len(repr(value)) >= codec.SHORTEST}
    assert codec.with_numbers(marked, numbers) == text


def test_a_second_list_of_the_same_numbers_has_the_same_marks() -> None:
    once = [{"value": n / 7, "low": n / 11, "high": n / 13} for n in range(1, 5)]
    marked, numbers = codec.without_numbers(codec.to_text({"a": once, "b": {}, "c": once}))
    first, second = marked[len('{"a":') :].split(',"b":{},"c":')
    assert len(numbers) == 12
    way_back = f"{codec.FROM}-11{codec.TO}"
    assert second[:-1] == first.replace(codec.FOLLOWING, way_back, 1)


@pytest.mark.parametrize("text", ['{"a":"\x01"}', "\x05", "\x04-1\x05"])
def test_a_text_with_marks_of_its_own_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match="control characters"):
        codec.encode_text(text)


def test_a_number_that_is_not_json_is_rejected() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        codec.encode({"value": float("nan")})


def test_the_dictionary_of_stored_documents_never_changes() -> None:
    assert hashlib.sha256(codec.dictionary(1)).hexdigest() == DICTIONARY_1
    assert codec.NEWEST == 1


DICTIONARY_1 = "b30089f17dec822079e1cae98806fd5e5dd6f5a3887d21a3922abb33da4c51e1"


def test_a_document_with_an_unknown_dictionary_is_an_error() -> None:
    stored = codec.encode({"a": 1})
    with pytest.raises(codec.DamagedDocumentError, match="dictionary 200"):
        codec.decode(bytes([200]) + stored[1:])


def test_damage_to_a_stored_document_is_detected() -> None:
    document = content("v3-failed")
    stored = codec.encode(document)
    for place in range(0, len(stored), 7):
        damaged = bytearray(stored)
        damaged[place] ^= 0x55
        with pytest.raises(codec.DamagedDocumentError):
            codec.decode(bytes(damaged))
    for end in (0, 3, 40, len(stored) // 2, len(stored) - 1):
        with pytest.raises(codec.DamagedDocumentError):
            codec.decode(stored[:end])


def test_marks_without_their_numbers_are_detected() -> None:
    stored = codec.join('{"a":\x01}', [])
    with pytest.raises(codec.DamagedDocumentError):
        codec.decode(stored)
    with pytest.raises(codec.DamagedDocumentError):
        codec.decode(codec.join('{"a":\x04-9\x05}', [1.25]))
    with pytest.raises(codec.DamagedDocumentError):
        codec.decode(struct.pack("<BI", 1, 4) + b"none" + zlib.compress(b"{}"))


def test_a_decoded_text_that_is_not_json_is_detected() -> None:
    with pytest.raises(codec.DamagedDocumentError):
        codec.decode(codec.encode_text('{"a":'))


def test_a_migrated_document_is_compared_before_it_replaces_its_json() -> None:
    text = json.dumps(content("v2-owned"), indent=1)
    assert codec.decode(codec.stored_again(text)) == json.loads(text)


def test_the_totals_of_a_price_tag_are_read_from_its_content() -> None:
    document = made(price_tags.owned_run)
    totals = totals_of(document)
    assert totals == {
        "duration_s": document["duration_s"]["value"],
        "it_energy_kwh": document["it_energy_kwh"]["value"],
        "facility_energy_kwh": document["facility_energy_kwh"]["value"],
        "co2e_kg": document["co2e_kg"]["value"],
        "cost": document["cost"]["total"]["value"],
        "currency": document["cost"]["currency"],
    }
    assert None not in totals.values()


def test_totals_that_a_version_or_a_run_does_not_have_are_null() -> None:
    assert set(totals_of({}).values()) == {None}
    unmetered = totals_of(made(price_tags.unmetered_run))
    assert unmetered["it_energy_kwh"] is None
    assert unmetered["duration_s"] is not None
