"""Price book files: CSV with a header line, or a YAML list, parsed into checked rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from app.schemas.common import FieldProblem, hint_of
from app.schemas.prices import PriceCreate, PriceImport
from app.services.errors import InvalidError
from pricetag.field_messages import message_of
from pricetag.recipes.yaml_text import YamlError, parse_yaml

OWNERSHIP = ("capex", "lifetime_h", "utilisation_ratio")
COLUMNS = (*(name for name in PriceCreate.model_fields if name != "ownership"), *OWNERSHIP)
REQUIRED = tuple(name for name, f in PriceCreate.model_fields.items() if f.is_required())
MOST_ROWS = 2_000
MOST_PROBLEMS = 20
MOST_ALIKE = 3

_CELL = re.compile(r"'[^']*'|\"[^\"]*\"|\d+")


class MalformedFileError(InvalidError):
    """The file is invalid; nothing was imported.

    Of each kind of problem, the first few are listed, with the total number.
    """

    code = "malformed-file"

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        kinds: dict[tuple[str, str], list[FieldProblem]] = {}
        for problem in problems:
            kinds.setdefault(_kind(problem), []).append(problem)
        first_few = [problem for alike in kinds.values() for problem in alike[:MOST_ALIKE]]
        self.errors = first_few[:MOST_PROBLEMS]
        first = problems[0]
        parts = [f"{first.field}: {first.message}"]
        if alike := len(kinds[_kind(first)]) - 1:
            parts.append(f"(and {alike} similar problems)")
        if remaining := len(problems) - alike - 1:
            parts.append(f"(and {remaining} other{'s' if remaining > 1 else ''})")
        super().__init__(" ".join(parts), field=first.field)


def _kind(problem: FieldProblem) -> tuple[str, str]:
    """Column and message without the content of the cell."""
    column = (problem.field or "").partition(", ")[2]
    return column, _CELL.sub("", problem.message)


def read_prices(file: PriceImport) -> list[tuple[str, PriceCreate]]:
    """The rows of a file, each with its position (``line 3`` or ``item 2``).

    Raises:
        MalformedFileError: With line and column of every invalid cell.
    """
    rows = _csv_rows(file.content) if file.format == "csv" else _yaml_rows(file.content)
    prices: list[tuple[str, PriceCreate]] = []
    faults: list[FieldProblem] = []
    for where, row in rows:
        try:
            prices.append((where, PriceCreate.model_validate(row)))
        except ValidationError as error:
            faults.extend(_faults(where, error))
    if faults:
        raise MalformedFileError(faults)
    if not prices:
        raise MalformedFileError([FieldProblem(field="content", message="contains no prices")])
    if len(prices) > MOST_ROWS:
        raise MalformedFileError(
            [FieldProblem(field="content", message=f"contains more than {MOST_ROWS} prices")]
        )
    return prices


def _csv_rows(text: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True)
    try:
        head = [name.strip() for name in next(reader, [])]
        _check_head(head)
        rows = []
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((f"line {reader.line_num}", _row(head, cells, reader.line_num)))
        return rows
    except csv.Error as error:
        where = f"line {reader.line_num}"
        raise MalformedFileError([FieldProblem(field=where, message=f"is not CSV: {error}")]) from (
            error
        )


def _check_head(head: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in head]
    unknown = [name or "(empty)" for name in head if name not in COLUMNS]
    twice = sorted({name for name in head if head.count(name) > 1})
    hint = f"columns: {','.join(COLUMNS)}"
    for problem, names in (
        ("is missing", missing),
        ("has unknown columns", unknown),
        ("repeats", twice),
    ):
        if names:
            message = f"the header line {problem} {', '.join(names)}"
            raise MalformedFileError([FieldProblem(field="line 1", message=message, hint=hint)])


def _row(head: Sequence[str], cells: Sequence[str], line: int) -> dict[str, Any]:
    if len(cells) != len(head):
        message = f"has {len(cells)} cells, but the header line has {len(head)}"
        raise MalformedFileError([FieldProblem(field=f"line {line}", message=message)])
    values: dict[str, Any] = {n: c.strip() for n, c in zip(head, cells, strict=True) if c.strip()}
    ownership = {name: values.pop(name) for name in OWNERSHIP if name in values}
    return _dated({**values, "ownership": ownership} if ownership else values)


def _yaml_rows(text: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    try:
        data = parse_yaml(text)
    except YamlError as error:
        raise MalformedFileError(
            [FieldProblem(field="content", message=f"is not YAML: {error}")]
        ) from error
    if isinstance(data, Mapping) and set(data) == {"prices"}:
        data = data["prices"]
    if not isinstance(data, list):
        message = "is neither a list of prices nor a mapping with only `prices`"
        raise MalformedFileError([FieldProblem(field="content", message=message)])
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for number, item in enumerate(data, 1):
        if not isinstance(item, Mapping):
            message = "is not a mapping of names to values"
            raise MalformedFileError([FieldProblem(field=f"item {number}", message=message)])
        rows.append((f"item {number}", _dated(dict(item))))
    return rows


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    """A date alone is midnight UTC."""
    for name in ("valid_from", "valid_to"):
        value = row.get(name)
        if isinstance(value, date) and not isinstance(value, datetime):
            value = value.isoformat()
        if isinstance(value, str) and len(value) == len("2026-01-01"):
            row[name] = f"{value}T00:00:00Z"
    return row


def _faults(where: str, error: ValidationError) -> Iterable[FieldProblem]:
    for fault in error.errors(include_url=False, include_input=False):
        column = ".".join(str(part) for part in fault["loc"] if part != "ownership")
        place = f"{where}, {column}" if column else where
        yield FieldProblem(field=place, message=message_of(fault), hint=hint_of(fault))
