"""Output of a command: JSON alone, or text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar, Union

import typer

from pricetag.cli.console import console, emit_json, say
from pricetag.cli.options import wants_json

if TYPE_CHECKING:
    from rich.console import RenderableType

Found = TypeVar("Found")
Item = TypeVar("Item")
Shown = Union[str, "RenderableType", Iterable["Shown"]]


def answer(
    ctx: typer.Context,
    json: bool,
    result: Found,
    view: Callable[[Found], Shown],
    *,
    nothing: str | None = None,
) -> None:
    """Prints the result of a command.

    Args:
        ctx: Of the command.
        json: Whether ``--json`` stood after it.
        result: The result that JSON shows unchanged.
        view: Turns it into what people read: a line, a renderable, or several of them.
        nothing: What to say instead of an empty `found`.
    """
    if wants_json(ctx, json):
        emit_json(result)
    elif nothing is not None and not result:
        say(nothing)
    else:
        _show(view(result))


def each(line: Callable[[Item], Shown]) -> Callable[[Iterable[Item]], Shown]:
    """A view of a list that shows one item after another."""
    return lambda items: map(line, items)


def _show(shown: Shown) -> None:
    if isinstance(shown, str):
        say(shown)
    elif isinstance(shown, Iterable):
        for part in shown:
            _show(part)
    else:
        console().print(shown)
