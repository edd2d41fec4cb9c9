"""Markdown with GitHub's tables, and metadata for a Hugging Face model card."""

from __future__ import annotations

import json
import re

from app.reports.shape import Context, ModelCard, Section, Table
from app.reports.text import clean

MEDIA_TYPE = "text/markdown; charset=utf-8"

_INLINE = re.compile(r"[\\`*_{}\[\]|~#!$@]|:(?=//)|(?<=www)\.")
# Characters that would begin a list, a rule or a heading at the beginning of a line.
_OPENING = re.compile(r"^(\d*)([-+=.)])")


def escape(text: str) -> str:
    """Any text as Markdown source, also at the beginning of a line."""
    return _OPENING.sub(r"\1\\\2", escape_inside(text))


def escape_inside(text: str) -> str:
    """Any text as Markdown source within a line, such as a table cell; figures are unchanged."""
    # Entities first, since Markdown allows HTML.
    plain = clean(text).strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _INLINE.sub(r"\\\g<0>", plain)


def render(context: Context) -> bytes:
    """The report as Markdown."""
    parts = [
        f"# {escape(context['title'])}",
        f"{escape(context['profile_label'])}  \n{escape(context['generated_label'])}",
        escape(context["lead"]),
        *map(section_text, context["sections"]),
        "## Model card",
        _card(context["model_card"]),
    ]
    return ("\n\n".join(parts) + "\n").encode()


def section_text(section: Section) -> str:
    """A section with its heading, paragraphs and tables."""
    parts = [f"## {escape(section['heading'])}"]
    parts += map(escape, section["paragraphs"])
    parts += map(table_text, section["tables"])
    return "\n\n".join(parts)


def table_text(table: Table) -> str:
    """A table with its caption and notes."""
    rule = {"left": ":---", "right": "---:"}
    lines = [
        _row([escape_inside(column["label"]) for column in table["columns"]]),
        _row([rule[column["align"]] for column in table["columns"]]),
    ]
    for item in table["rows"]:
        cells = [escape_inside(cell) for cell in item["cells"]]
        lines.append(
            _row([f"**{cell}**" if cell else "" for cell in cells] if item["total"] else cells)
        )
    notes = [f"_{escape(note)}_" for note in table["notes"]]
    return "\n\n".join([f"**{escape_inside(table['caption'])}**", "\n".join(lines), *notes])


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _card(card: ModelCard) -> str:
    if card["emissions_g"] is None:
        return (
            "No `co2_eq_emissions` for a model card: " + escape(card["reason"] or "unknown") + "."
        )
    fields = {
        "emissions": card["emissions_g"],
        "source": card["source"],
        "training_type": card["training_type"],
        "geographical_location": card["geographical_location"],
        "hardware_used": card["hardware_used"],
    }
    # A JSON string is always a YAML string in one line.
    lines = [
        f"  {name}: {json.dumps(value)}" for name, value in fields.items() if value is not None
    ]
    return "\n".join(
        [
            "For the metadata block of a Hugging Face model card (grams of CO2e):",
            "",
            "```yaml",
            "co2_eq_emissions:",
            *lines,
            "```",
        ]
    )
