"""Price tags as typed documents; an unreadable one does not affect others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.repositories.price_tags.price_tags import DAMAGED
from app.services.errors import PricetagError
from pricetag.accounting.quantity.record import InvalidDocument
from pricetag.tag.view import TagView


class PriceTagUnreadableError(PricetagError):
    """A stored price tag is damaged, or was written by a later version of Pricetag."""

    code = "price-tag-unreadable"


def tag_view(content: Mapping[str, Any], cause: str | None = None) -> TagView:
    """The view of a stored price tag.

    Args:
        content: The price tag, as stored.
        cause: Why it was issued, if the content does not state it.

    Raises:
        PriceTagUnreadableError: If it does not have the form of a price tag.
    """
    if DAMAGED in content:
        raise unreadable(content[DAMAGED])
    try:
        return TagView.read(content, cause)
    except InvalidDocument as error:
        raise unreadable(error) from error


def unreadable(why: object) -> PriceTagUnreadableError:
    """The error of a price tag that cannot be read."""
    return PriceTagUnreadableError(f"The price tag cannot be read ({why}).")
