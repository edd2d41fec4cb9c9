"""The OpenAPI document describes every operation, parameter, schema and field in a sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.api.field_glossary import FIELDS
from app.api.schema_glossary import IN_SCHEMA
from app.main import create_app
from pricetag.recipes.registry import REGISTRY
from tests.architecture.wording import Text, findings

REFERENCE = re.compile(r"#/components/schemas/(\w+)")
SENTENCE = re.compile(r"[A-Z`0-9]|\w+: |\w+ only ")
"""How a description begins; of enumerations with a value, as in ``open: visible to all``."""

NO_MEANING = {"Name.", "Title.", "The value.", "The unit."}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def texts(document: dict[str, Any]) -> Iterator[tuple[str, str | None]]:
    """The place and the description of everything that a reader of ``/docs`` sees."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            place = f"{method.upper()} {path}"
            yield f"{place} (summary)", f"{operation.get('summary')}."
            yield place, operation.get("description")
            for parameter in operation.get("parameters", ()):
                yield f"{place} {parameter['name']}", parameter.get("description")
    schemas = document["components"]["schemas"]
    stages = {entry.params.__name__ for entry in REGISTRY.values()}
    of_stages = {ref for name in stages for ref in REFERENCE.findall(json.dumps(schemas[name]))}
    for name, schema in schemas.items():
        yield name, schema.get("description")
        if name in stages | of_stages:  # each kind describes its own parameters
            continue
        for field, about in schema.get("properties", {}).items():
            yield f"{name}.{field}", about.get("description")


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


def test_the_glossary_describes_only_fields_that_exist(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = {field for schema in schemas.values() for field in schema.get("properties", {})}
    assert sorted(FIELDS.keys() - fields) == []
    stale = [
        f"{name}.{field}"
        for name, described in IN_SCHEMA.items()
        for field in described
        if field not in schemas.get(name, {}).get("properties", {})
    ]
    assert stale == []
