"""Records of a document, typed both ways: frozen dataclasses to JSON and back.

A record's fields are the members of a JSON object, in order. The annotation of a field states
its meaning, the first version of the accounting that has it, and whether it is inlined into the
enclosing object, so that a schema can be derived from the same class.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, Self, Union, cast, get_args, get_origin
from typing import get_type_hints as type_hints

from pricetag.accounting.quantity.quantity import Quantity

NOT_RECORDED = "not recorded"
"""Reason of a figure that documents of older versions of the accounting do not have."""


class InvalidDocument(ValueError):  # noqa: N818 - the name states the problem
    """JSON that does not match a record; the message begins with the path."""


@dataclass(frozen=True, slots=True)
class Since:
    """First version of the accounting whose documents have a field."""

    version: int


class Marker(NamedTuple):
    """Marker of a field that changes how it is written."""

    name: str


INLINE = Marker("inline")
"""The members of the field's record are members of the enclosing object."""
OMIT_NONE = Marker("omit-none")
"""The field is omitted if it is None."""


class Member(NamedTuple):
    """A field of a record.

    Attributes:
        name: Name of the field and of the JSON member.
        hint: Its type, without annotation.
        description: Its meaning.
        since: First version of the accounting that has it.
        inline: Whether its members are members of the enclosing object.
        omit_none: Whether it is omitted if it is None.
    """

    name: str
    hint: Any
    description: str | None
    since: int
    inline: bool
    omit_none: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A part of a document.

    Attributes:
        absent: Fields missing in the JSON from which it was read; they are not written either.
    """

    absent: frozenset[str] = field(
        default=frozenset(), init=False, repr=False, compare=False, kw_only=True
    )

    def as_dict(self) -> dict[str, Any]:
        """The record as JSON data."""
        written: dict[str, Any] = {}
        for member in members(type(self)):
            value = getattr(self, member.name)
            if member.inline:
                written |= value.as_dict()
            elif member.name not in self.absent and not (member.omit_none and value is None):
                written[member.name] = to_json(value)
        return written

    @classmethod
    def from_dict(cls, document: Mapping[str, Any], path: str = "") -> Self:
        """The record in a JSON object.

        A member missing in the object is unknown, None or empty, depending on its type; members
        that the record does not have are ignored.

        Args:
            document: The decoded object. Numbers are kept unchanged.
            path: Path of the object, for error messages.

        Raises:
            InvalidDocument: If the type of a member differs from that of the record's field.
        """
        try:
            record: Self = _record_reader(cast(Any, cls))(document)
        except _Mismatch as mismatch:
            raise InvalidDocument(mismatch.text(path)) from mismatch
        return record


_MEMBERS: dict[type[Any], tuple[Member, ...]] = {}


def members(record: type[Any]) -> tuple[Member, ...]:
    """The fields of a record (or of any dataclass), in the order of its JSON."""
    if record not in _MEMBERS:
        _MEMBERS[record] = _members(record)
    return _MEMBERS[record]


def _members(record: type[Any]) -> tuple[Member, ...]:
    hints = type_hints(record, include_extras=True)
    return tuple(
        _member(item.name, hints[item.name]) for item in fields(record) if item.name != "absent"
    )


def _member(name: str, hint: Any) -> Member:
    notes: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        hint, *metadata = get_args(hint)
        notes = tuple(metadata)
    return Member(
        name,
        hint,
        next((note for note in notes if isinstance(note, str)), None),
        next((note.version for note in notes if isinstance(note, Since)), 1),
        INLINE in notes,
        OMIT_NONE in notes,
    )


def to_json(value: Any) -> Any:
    """A value of a record's field as JSON data."""
    if isinstance(value, Record | Quantity):
        return value.as_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_json(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


class _Mismatch(Exception):  # noqa: N818 - as InvalidDocument, while its path is made
    """A value that does not match its type; each level that it passes adds its part of the path."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.steps: list[str] = []

    def text(self, path: str) -> str:
        """The problem with its path, below the path of the whole."""
        where = path + "".join(reversed(self.steps))
        return f"{where.removeprefix('.') or 'document'}: {self}"


Reader = Callable[[Any], Any]
"""Makes the value of a field from JSON; raises `_Mismatch`."""


@cache
def _reader(hint: Any) -> Reader:
    """The reader for values of a type; the type is inspected once, not for each value."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: value
    if origin is Annotated:
        return _reader(arguments[0])
    if origin in (Union, types.UnionType):
        return _optional_reader(arguments)
    if origin is Literal:
        return _plain_reader(arguments.__contains__, f"one of {', '.join(map(str, arguments))}")
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_reader(_reader(arguments[1]))
    if is_dataclass(hint):
        is_record = isinstance(hint, type) and issubclass(hint, Record)
        return _record_reader(cast(Any, hint)) if is_record else _dataclass_reader(hint)
    return _plain_reader(_CHECKS.get(hint, lambda value: isinstance(value, hint)), _NAMES[hint])


_NAMES: Mapping[type, str] = {
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole_number(value: Any) -> bool:
    # A database may return a whole number as a double.
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


_CHECKS: Mapping[type, Callable[[Any], bool]] = {float: _is_number, int: _is_whole_number}


def _mismatch(value: Any, expected: str) -> _Mismatch:
    return _Mismatch(f"must be {expected} (got {value!r})")


def _plain_reader(is_valid: Callable[[Any], bool], expected: str) -> Reader:
    def read(value: Any) -> Any:
        if not is_valid(value):
            raise _mismatch(value, expected)
        return value

    return read


def _optional_reader(arguments: tuple[Any, ...]) -> Reader:
    [hint] = [argument for argument in arguments if argument is not type(None)]
    reader = _reader(hint)
    return lambda value: None if value is None else reader(value)


def _tuple_reader(reader: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _mismatch(value, "a list")
        index, items = 0, []
        try:
            for index, item in enumerate(value):  # noqa: B007 - for the path
                items.append(reader(item))
        except _Mismatch as mismatch:
            mismatch.steps.append(f"[{index}]")
            raise
        return tuple(items)

    return read


def _mapping_reader(reader: Reader) -> Reader:
    def read(value: Any) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise _mismatch(value, "an object")
        key, items = "", {}
        try:
            for key, item in value.items():
                items[key] = reader(item)
        except _Mismatch as mismatch:
            mismatch.steps.append(f".{key}")
            raise
        return items

    return read


def _dataclass_reader(hint: Any) -> Reader:
    readers = {member.name: _reader(member.hint) for member in members(hint)}

    def read(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _mismatch(value, "an object")
        name, arguments = "", {}
        try:
            for name, item in value.items():
                if name in readers:
                    arguments[name] = readers[name](item)
        except _Mismatch as mismatch:
            mismatch.steps.append(f".{name}")
            raise
        try:
            return hint(**arguments)
        except (TypeError, ValueError) as error:
            raise _Mismatch(str(error)) from error

    return read


@cache
def _record_reader(record: Any) -> Reader:
    parts = [
        (
            member.name,
            member.inline,
            _reader(member.hint),
            None if member.inline else _nothing(member.hint),
        )
        for member in members(record)
    ]

    def read(document: Any) -> Any:
        if not isinstance(document, Mapping):
            raise _mismatch(document, "an object")
        values: dict[str, Any] = {}
        missing = []
        name, inline = "", False
        try:
            for name, inline, reader, nothing in parts:
                if inline or nothing is None:
                    values[name] = reader(document)
                elif name in document:
                    values[name] = reader(document[name])
                else:
                    values[name] = nothing()
                    missing.append(name)
        except _Mismatch as mismatch:
            if not inline:
                mismatch.steps.append(f".{name}")
            raise
        instance = record(**values)
        object.__setattr__(instance, "absent", frozenset(missing))
        return instance

    return read


def _nothing(hint: Any) -> Callable[[], Any]:
    """The factory for the value of a member that is missing in a document."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Quantity:
        return lambda: Quantity.unknown("", NOT_RECORDED)
    if hint is Any or (origin in (Union, types.UnionType) and type(None) in arguments):
        return lambda: None
    if origin is tuple:
        return tuple
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return dict
    if isinstance(hint, type) and issubclass(hint, Record):
        reader = _record_reader(cast(Any, hint))
        return lambda: reader({})
    return _missing


def _missing() -> Any:
    raise _Mismatch("is missing")
