"""The OpenAPI document describes every operation, parameter, schema and field in a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from tests.architecture.wording import Text, findings

SENTENCE = re.compile(r"[A-Z`0-9]|\w+: |\w+ only ")
"""How a description begins; of enumerations with a value, as in ``open: visible to all``."""

NO_MEANING = {"Name.", "Title.", "The value.", "The unit."}


@pytest.fixture(scope="module")
def document(unserved: FastAPI) -> dict[str, Any]:
    return unserved.openapi()


def texts(document: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The place and the description of everything that a reader of ``/docs`` sees."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method.upper()} {path}"
            yield f"{place} (summary)", f"{operation.get('summary')}."
            yield place, operation.get("description")
            for parameter in operation.get("parameters", ()):
                yield f"{place} {parameter['name']}", parameter.get("description")
    for name, schema in document["components"]["schemas"].items():
        yield name, schema.get("description")
        for field, about in schema.get("properties", {}).items():
            yield f"{name}.{field}", about.get("description")


def references(value: Any) -> Iterator[str]:
    """Every ``$ref`` in a part of the document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_every_reference_is_to_a_schema_of_the_document(document: dict[str, Any]) -> None:
    schemas = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert {*references(document)} <= schemas


def test_everything_has_a_description(document: dict[str, Any]) -> None:
    missing = [
        place for place, text in texts(document) if not (text or "").strip() or text in NO_MEANING
    ]
    assert missing == []


def test_descriptions_are_sentences_and_have_no_sections_of_docstrings(
    document: dict[str, Any],
) -> None:
    sections = ("Attributes:", "Args:", "Returns:")
    odd = [
        (place, text)
        for place, text in texts(document)
        if text and (not SENTENCE.match(text) or any(section in text for section in sections))
    ]
    assert odd == []


def test_descriptions_pass_the_word_list(document: dict[str, Any]) -> None:
    prose = (Text(place, 1, text or "", "string") for place, text in texts(document))
    assert findings(prose) == []
