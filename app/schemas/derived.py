"""Wire types derived from the records of the accounting, which define each field once."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import ConfigDict, Field, create_model

from app.schemas.common import Quantity, Wire
from pricetag.accounting.quantity import quantity, record
from pricetag.accounting.quantity.record import Member, members

FIRST = 1
"""The accounting version that has every field without a version mark."""


class Issued(Wire):
    """A part of a price tag, sent exactly as issued."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)


_MADE: dict[type[Any], type[Issued]] = {}


def wire_type(source: type[Any]) -> type[Issued]:
    """The wire type of a record: its fields with their descriptions.

    A field that older versions of the accounting do not have is optional.

    Args:
        source: A record of a price tag, or a dataclass in one.
    """
    if source not in _MADE:
        _MADE[source] = _made(source)
    return _MADE[source]


def _made(source: type[Any]) -> type[Issued]:
    fields: dict[str, Any] = {}
    for member in members(source):
        if member.inline:
            inner = wire_type(member.hint)
            fields |= {name: (item.annotation, item) for name, item in inner.model_fields.items()}
        else:
            fields |= _field(member)
    name = f"{source.__name__.removesuffix('Tag')}OfPriceTag"
    about = (source.__doc__ or "").partition("Attributes:")[0].strip()
    return create_model(name, __base__=Issued, __doc__=about, **fields)


def _field(member: Member) -> dict[str, Any]:
    hint = _hint(member.hint)
    settings: dict[str, Any] = {"description": member.description}
    if member.since > FIRST or member.omit_none:
        settings["default"] = None
    if member.name == "schema":  # pydantic has a method of that name
        return {"schema_name": (hint, Field(alias="schema", **settings))}
    return {member.name: (hint, Field(**settings))}


def _hint(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is quantity.Quantity:
        return Quantity
    if origin in (Union, types.UnionType):
        return Union[tuple(_hint(argument) for argument in arguments)]  # noqa: UP007 - built here
    if origin is tuple:
        return list[_hint(arguments[0])]  # type: ignore[misc]  # computed
    if origin is not None and origin is not Literal and issubclass(origin, Mapping):
        return dict[str, _hint(arguments[1])]  # type: ignore[misc]  # computed
    if isinstance(hint, type) and (issubclass(hint, record.Record) or is_dataclass(hint)):
        return wire_type(hint)
    return hint
