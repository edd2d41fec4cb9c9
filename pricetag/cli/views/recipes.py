"""Stage kinds and their parameters on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType


def recipes_view(entries: Sequence[Mapping[str, Any]]) -> RenderableType:
    """All stage kinds, one per row."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Kind", no_wrap=True)
    table.add_column("What it does", overflow="fold")
    for entry in entries:
        table.add_row(
            Text(entry["kind"], style="bold"),
            Text(f"{entry['summary']}\n") + Text(entry["paper"]["url"], style="dim"),
        )
    return table


def recipe_view(entry: Mapping[str, Any]) -> RenderableType:
    """One stage kind with its parameters, its paper and an example."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    schema = entry["schema"]
    parts: list[RenderableType] = [
        Text(f"{entry['kind']}: {entry['title']}", style="bold"),
        Text(entry["summary"]),
        Text(""),
        Text("Parameters", style="bold"),
    ]
    for name, kind, meaning in _parameters(schema, schema.get("$defs", {})):
        parts.append(Text.assemble((name, "bold"), "  ", (kind, "dim")))
        parts += [Padding(Text(meaning), (0, 0, 0, 4), expand=False)] if meaning else []
    return Group(
        *parts,
        Text(""),
        Text(f"Paper: {entry['paper']['citation']}"),
        Text(f"       {entry['paper']['url']}", style="dim"),
        Text("Example: " + _plain(entry["example"])),
    )


def _parameters(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Name, type with default, and meaning of each parameter; those of objects with their path."""
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        inner = _object(field, definitions)
        parts = [_type(field), _bounds(field)]
        if "const" not in field:
            parts.append("required" if name in required else _default(field, inner))
        kind = ", ".join(part for part in parts if part)
        yield f"{prefix}{name}", kind, field.get("description", "")
        if inner is not None:
            yield from _parameters(inner, definitions, f"{prefix}{name}.")


def _default(field: Mapping[str, Any], inner: Mapping[str, Any] | None) -> str:
    default = field.get("default")
    if default is None:
        return "optional"
    return f"default {_plain(default)}" if inner is None else ""


def _object(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The schema of the object that a parameter is; None if it is not an object."""
    for option in (field, *field.get("anyOf", ())):
        if "$ref" in option:
            named: Mapping[str, Any] = definitions[str(option["$ref"]).rpartition("/")[2]]
            return named if "properties" in named else None
    return None


def _type(field: Mapping[str, Any]) -> str:
    if "const" in field:
        return _plain(field["const"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    for options in ("anyOf", "oneOf"):
        if options in field:
            return " | ".join(
                dict.fromkeys(
                    _type(option) for option in field[options] if option.get("type") != "null"
                )
            )
    if "$ref" in field:
        return "object"
    return str(field.get("type", "any"))


def _bounds(field: Mapping[str, Any]) -> str:
    """Limits of a number, such as ``1 to 65536`` or ``above 0 and up to 10``."""
    for option in (field, *field.get("anyOf", ())):
        low, above, high, below = (
            None if option.get(key) is None else _number(option[key])
            for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")
        )
        if low is not None and high is not None:
            return f"{low} to {high}"
        limits = ((f"at least {low}", low), (f"above {above}", above))
        ends = ((f"up to {high}", high), (f"below {below}", below))
        if texts := [text for text, limit in (*limits, *ends) if limit is not None]:
            return " and ".join(texts)
    return ""


def _number(value: float) -> str:
    return f"{value:,}" if value == int(value) and abs(value) < 1e6 else f"{value:.10g}"


def _plain(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
