"""Records of a document, typed both ways: frozen dataclasses to JSON and back.

A record's fields are the members of a JSON object, in order. The annotation of a field states
its meaning, the first version of the accounting that has it, and whether it is inlined into the
enclosing object, so that a schema can be derived from the same class.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self, Union, get_args, get_origin
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
        if not isinstance(document, Mapping):
            raise InvalidDocument(f"{path or 'document'}: must be an object (got {document!r})")
        values: dict[str, Any] = {}
        missing = set()
        for member in members(cls):
            where = f"{path}.{member.name}" if path else member.name
            if member.inline:
                values[member.name] = member.hint.from_dict(document, path)
            elif member.name in document:
                values[member.name] = from_json(member.hint, document[member.name], where)
            else:
                values[member.name] = _nothing(member.hint, where)
                missing.add(member.name)
        record = cls(**values)
        object.__setattr__(record, "absent", frozenset(missing))
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
        hint, *rest = get_args(hint)
        notes = tuple(rest)
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


def from_json(hint: Any, value: Any, path: str) -> Any:
    """The value of a field, read from JSON.

    Raises:
        InvalidDocument: If it does not match the type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return from_json(arguments[0], value, path)
    if origin in (Union, types.UnionType):
        return _optional(arguments, value, path)
    if origin is Literal:
        return _checked(value in arguments, value, path, f"one of {', '.join(map(str, arguments))}")
    if origin is tuple:
        _checked(_is_list(value), value, path, "a list")
        return tuple(
            from_json(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value)
        )
    if origin is not None and issubclass(origin, Mapping):
        _checked(isinstance(value, Mapping), value, path, "an object")
        return {key: from_json(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    if is_dataclass(hint):
        return _dataclass(hint, value, path)
    return _checked(_is_plain(hint, value), value, path, _NAMES[hint])


_NAMES: Mapping[type, str] = {
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
}


def _is_plain(hint: type, value: Any) -> bool:
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float)
    if hint is int:  # a database may return a whole number as a double
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return isinstance(value, hint)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _optional(arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    [hint] = [argument for argument in arguments if argument is not type(None)]
    return from_json(hint, value, path)


def _dataclass(hint: Any, value: Any, path: str) -> Any:
    _checked(isinstance(value, Mapping), value, path, "an object")
    if issubclass(hint, Record):
        return hint.from_dict(value, path)
    member_by_name = {member.name: member for member in members(hint)}
    arguments = {
        name: from_json(member_by_name[name].hint, item, f"{path}.{name}")
        for name, item in value.items()
        if name in member_by_name
    }
    try:
        return hint(**arguments)
    except (TypeError, ValueError) as error:
        raise InvalidDocument(f"{path}: {error}") from error


def _checked(holds: bool, value: Any, path: str, expected: str) -> Any:
    if not holds:
        raise InvalidDocument(f"{path}: must be {expected} (got {value!r})")
    return value


def _nothing(hint: Any, path: str) -> Any:
    """The value of a member that a document does not have."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Quantity:
        return Quantity.unknown("", NOT_RECORDED)
    if hint is Any or (origin in (Union, types.UnionType) and type(None) in arguments):
        return None
    if origin is tuple:
        return ()
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return {}
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.from_dict({}, path)
    raise InvalidDocument(f"{path}: is missing")
