"""Numbers and booleans in JSON bodies are never converted from another type."""

from __future__ import annotations

import importlib
import pkgutil
import types
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from app import schemas
from app.schemas.common import Currency, Request
from pricetag.recipes.base import Params

for module in pkgutil.iter_modules(schemas.__path__):
    importlib.import_module(f"app.schemas.{module.name}")

WRONG: dict[type, tuple[Any, ...]] = {
    int: (True, False, 1.0, "1"),
    float: (True, "1"),
    bool: (1, 0, 1.0, "true", "yes"),
    Decimal: (True, False),
}


def subclasses(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    # Sorted: the test processes import modules in different orders.
    for child in sorted(base.__subclasses__(), key=lambda c: (c.__module__, c.__qualname__)):
        yield child
        yield from subclasses(child)


def places(annotation: Any) -> Iterator[tuple[type, tuple[str, ...]]]:
    """The numbers and switches in a type, and in which containers they are."""
    if annotation in WRONG:
        yield annotation, ()
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is dict:
        yield from ((kind, ("dict", *path)) for kind, path in places(parts[1]))
    elif origin is list:
        yield from ((kind, ("list", *path)) for kind, path in places(parts[0]))
    elif origin in (Union, types.UnionType) or hasattr(annotation, "__metadata__"):
        for part in parts[:1] if hasattr(annotation, "__metadata__") else parts:
            yield from places(part)


def fields(base: type[BaseModel]) -> list[tuple[type[BaseModel], str, type, tuple[str, ...]]]:
    return [
        (model, name, kind, path)
        for model in dict.fromkeys(subclasses(base))
        for name, field in model.model_fields.items()
        for kind, path in places(field.annotation)
    ]


def wrapped(value: Any, path: tuple[str, ...]) -> Any:
    for container in reversed(path):
        id_ = "6f0c0d0e-0000-4000-8000-000000000001"
        value = {id_: value} if container == "dict" else [value]
    return value


REQUESTS = fields(Request)


@pytest.mark.parametrize(
    ("model", "name", "kind", "path"),
    REQUESTS,
    ids=[f"{m.__name__}.{n}" for m, n, _, _ in REQUESTS],
)
def test_no_field_of_a_request_takes_another_type(
    model: type[BaseModel], name: str, kind: type, path: tuple[str, ...]
) -> None:
    for value in WRONG[kind]:
        with pytest.raises(ValidationError) as raised:
            model.model_validate({name: wrapped(value, path)})
        assert name in {error["loc"][0] for error in raised.value.errors()}, value


def test_the_fields_are_those_of_the_requests() -> None:
    names = {f"{model.__name__}.{name}" for model, name, _, _ in REQUESTS}
    assert {"ReportCreate.versions", "BudgetCreate.thresholds", "FactorCreate.year"} <= names
    assert len(names) > 20


def test_parameters_of_recipes_are_strict() -> None:
    assert all(model.model_config.get("strict") for model in subclasses(Params))


@pytest.mark.parametrize("model", list(dict.fromkeys(subclasses(Request))))
def test_every_currency_of_a_request_is_one_in_use(model: type[BaseModel]) -> None:
    if "currency" not in model.model_fields:
        return
    for code in ("XXX", "eur", "DEM", "EURO"):
        with pytest.raises(ValidationError) as raised:
            model.model_validate({"metric": "cost", "currency": code})
        faults = [e["type"] for e in raised.value.errors() if e["loc"] == ("currency",)]
        assert faults[0] in ("currency", "string_pattern_mismatch")


def test_currencies_in_use_are_accepted() -> None:
    assert TypeAdapter(Currency).validate_python("EUR") == "EUR"
