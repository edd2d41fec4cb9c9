"""Read the catalog's data files into frozen rows."""

from __future__ import annotations

import csv
import types
import typing
from collections.abc import Callable
from dataclasses import fields
from importlib import resources
from typing import Any, TypeVar

from pricetag.accounting.quantity.quantity import SOURCES
from pricetag.catalog.rows import Cited

Row = TypeVar("Row", bound=Cited)


class CatalogError(ValueError):
    """A data file of the catalog cannot be parsed."""


def rows(file_name: str, row_type: type[Row]) -> tuple[Row, ...]:
    """All rows of a data file of the catalog.

    Raises:
        CatalogError: If a column is missing or unknown, or a cell does not fit its type.
    """
    text = resources.files("pricetag.catalog").joinpath("data", file_name).read_text("utf-8")
    return tuple(parse(text, row_type, file_name))


def parse(text: str, row_type: type[Row], file_name: str) -> list[Row]:
    """Rows of a table with a header line, converted to the types of the row's fields.

    Raises:
        CatalogError: If a column is missing or unknown, or a cell does not fit its type.
    """
    reader = csv.DictReader(text.splitlines(), strict=True)
    types_of = typing.get_type_hints(row_type)
    expected = {field.name for field in fields(row_type)}
    if set(reader.fieldnames or ()) != expected:
        wrong = sorted(set(reader.fieldnames or ()) ^ expected)
        raise CatalogError(f"{file_name}: columns missing or unknown: {', '.join(wrong)}")
    return [
        row_type(**{name: _cell(file_name, name, cell, types_of[name]) for name, cell in line})
        for line in (record.items() for record in reader)
    ]


def _cell(file_name: str, name: str, cell: str, expected_type: Any) -> Any:
    options = (
        typing.get_args(expected_type)
        if isinstance(expected_type, types.UnionType)
        else (expected_type,)
    )
    if types.NoneType in options and cell == "":
        return None
    convert: Callable[[str], Any] = options[0]
    if typing.get_origin(convert) is typing.Literal:
        convert = _source
    if convert is bool:
        convert = _yes
    try:
        return convert(cell)
    except (ValueError, ArithmeticError):
        raise CatalogError(f"{file_name}: {name} is {cell!r}, not {expected_type}") from None


def _source(cell: str) -> str:
    if cell not in SOURCES:
        raise ValueError(cell)
    return cell


def _yes(cell: str) -> bool:
    if cell not in ("yes", "no"):
        raise ValueError(cell)
    return cell == "yes"
