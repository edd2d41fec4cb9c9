"""A column that stores a JSON document in a tenth of its size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Dialect, LargeBinary
from sqlalchemy.types import TypeDecorator

from models.documents.codec import decode, encode


class Document(TypeDecorator[dict[str, Any]]):
    """A JSON document; queries cannot look into it, so what they need has its own columns."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> bytes | None:
        return None if value is None else encode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else decode(value)
