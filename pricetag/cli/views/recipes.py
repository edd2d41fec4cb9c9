"""Stage kinds and their parameters on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def recipes_view(entries: Sequence[Mapping[str, Any]]) -> RenderableType:
    """All stage kinds, one per row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Kind", no_wrap=True)
    table.add_column("What it does")
    for entry in entries:
        table.add_row(
            Text(entry["kind"], style="bold"),
            Text(f"{entry['summary']}\n") + Text(entry["paper"]["url"], style="dim"),
        )
    return table


def recipe_view(entry: Mapping[str, Any]) -> RenderableType:
    """One stage kind with its parameters, its paper and an example."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    schema = entry["schema"]
    required = set(schema.get("required", ()))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in ("Parameter", "Type", "Default", "Meaning"):
        table.add_column(head, no_wrap=head == "Parameter")
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else _plain(field.get("default"))
        meaning = [_bounds(field), field.get("description", "")]
        table.add_row(
            *map(Text, (name, _type(field), default, " ".join(part for part in meaning if part)))
        )
    return Group(
        Text(f"{entry['kind']}: {entry['title']}", style="bold"),
        Text(entry["summary"]),
        Text(""),
        table,
        Text(""),
        Text(f"Paper: {entry['paper']['citation']}"),
        Text(f"       {entry['paper']['url']}", style="dim"),
        Text("Example: " + _plain(entry["example"])),
    )


def _type(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return _plain(field["const"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " | ".join(_type(option) for option in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    return str(field.get("type", "any"))


def _bounds(field: Mapping[str, Any]) -> str:
    options: list[Mapping[str, Any]] = [field, *field.get("anyOf", ())]
    signs = {
        "minimum": ">=",
        "exclusiveMinimum": ">",
        "maximum": "<=",
        "exclusiveMaximum": "<",
    }
    limits = [
        f"{sign} {option[key]}"
        for option in options
        for key, sign in signs.items()
        if key in option
    ]
    return f"({', '.join(limits)})" if limits else ""


def _plain(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
