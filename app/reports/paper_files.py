"""Small files about a paper, each made from the stored content of its newest report."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime
from html import escape
from typing import Any, cast

from app.reports import csv_, latex, markdown
from app.reports.rendered import Rendered
from app.reports.shape import Context, Section
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import interval_text, not_available, with_unit

MARKDOWN = "text/markdown; charset=utf-8"
ZIP_TYPE = "application/zip"
LATEX = "latex.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all files in an archive, so that equal contents give equal bytes."""

BADGE_HEIGHT = 20
CHARACTER_PX = 6.6
"""Mean width of a character of the badge's text, in pixels."""
_TEX = re.compile(r"[\\{}%$&#_^~]")


def paper_file(context: Mapping[str, Any], name: str) -> Rendered:
    """One of the files of a paper.

    Args:
        context: Content of a report on the paper.
        name: One of ``FILES``.

    Raises:
        ValueError: If there is no file of this name.
    """
    if name not in FILES:
        raise ValueError(f"there is no file {name!r}: use one of {', '.join(FILES)}")
    write, media_type = FILES[name]
    return Rendered(write(context).encode(), media_type, name)


def badge(context: Mapping[str, Any]) -> str:
    """Energy and emissions of all runs as a small picture; its title has the intervals."""
    energy, co2e = (figure_of(context["totals"][name]) for name in ("it_energy_kwh", "co2e_kg"))
    label, texts, details = "price tag", [], []
    for name, figure in (("IT energy", energy), ("CO2e", co2e)):
        if figure.value is None:
            details.append(f"{name} {not_available(figure.reason)}")
            continue
        least = "at least " if figure.reason else ""
        value = f"{least}{with_unit(figure.value, figure.unit)}"
        texts.append(value if name == "IT energy" else f"{value} {name}")
        about = "; ".join(filter(None, (interval_text(figure), figure.source)))
        details.append(f"{name} {value} ({about})")
    value = " | ".join(texts) or "unknown"
    title = escape(f"{context['title']}: {', '.join(details)}")
    left, right = (round(len(text) * CHARACTER_PX) + 12 for text in (label, value))
    middle, base = left + right / 2, 14
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" '
        f'height="{BADGE_HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>'
        f'<rect width="{left}" height="{BADGE_HEIGHT}" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="{BADGE_HEIGHT}" fill="#005a8c"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" '
        'text-anchor="middle">'
        f'<text x="{left / 2:g}" y="{base}">{label}</text>'
        f'<text x="{middle:g}" y="{base}">{escape(value)}</text></g></svg>\n'
    )


def bibtex(context: Mapping[str, Any]) -> str:
    """An entry of a bibliography for the price tag of the paper."""
    paper = context["paper"]
    year = datetime.fromisoformat(context["generated_at"]).year
    sha256 = paper["selection_sha256"]
    note = f"SHA-256 of the runs: {sha256}" if sha256 else "collecting, not frozen"
    fields = {
        "author": paper["authors"],
        "title": f"Price tag of: {context['title']}",
        "year": str(year),
        "note": f"Energy, emissions and cost of {len(paper['runs'])} runs, by Pricetag; {note}",
    }
    lines = [f"  {name} = {{{_tex(text)}}}" for name, text in fields.items() if text]
    key = f"pricetag-{paper['paper_id'][:8]}"
    return "@misc{" + ",\n".join([key, *lines]) + "\n}\n"


def _tex(text: str) -> str:
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return _TEX.sub(lambda match: words.get(match[0], f"\\{match[0]}"), text)


def emissions_yaml(context: Mapping[str, Any]) -> str:
    """``co2_eq_emissions`` of a Hugging Face model card, in grams."""
    card = context["model_card"]
    if card["emissions_g"] is None:
        return f"# No co2_eq_emissions: {card['reason']}\n"
    fields = {"emissions": card["emissions_g"]} | {
        name: card[name]
        for name in ("source", "training_type", "geographical_location", "hardware_used")
    }
    # A JSON string is always a YAML string in one line.
    lines = [f"  {name}: {json.dumps(value)}" for name, value in fields.items() if value]
    return "\n".join(["co2_eq_emissions:", *lines]) + "\n"


def model_card(context: Mapping[str, Any]) -> str:
    """A model card's metadata, and its text about environmental impact."""
    sections = _sections(context)
    parts = [
        f"---\n{emissions_yaml(context)}---",
        "## Environmental impact",
        markdown.escape(context["lead"]),
        *map(markdown.escape, sections["methods"]["paragraphs"]),
    ]
    if "research" in sections:
        parts.append(markdown.section_text(sections["research"]))
    return "\n\n".join(parts) + "\n"


def _section(id_: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda context: markdown.section_text(_sections(context)[id_]) + "\n"


def _sections(context: Mapping[str, Any]) -> dict[str, Section]:
    return {section["id"]: section for section in context["sections"]}


def latex_tables(context: Mapping[str, Any]) -> str:
    """Figures and tables about all runs as LaTeX, to be included in a document with ``\\input``."""
    tables = [
        latex.table_text(table)
        for id_, section in _sections(context).items()
        if id_ in TABLES
        for table in section["tables"]
    ]
    needs = "% Needs \\usepackage{booktabs}, \\usepackage{graphicx} and a text width of 17 cm."
    return "\n\n".join([needs, *latex.figures_text(context), *tables]) + "\n"


def latex_archive(context: Mapping[str, Any], figures: Mapping[str, bytes]) -> Rendered:
    """The report as LaTeX, its tables to be included, and its figures, in a ZIP file.

    Args:
        context: Content of a report on the paper.
        figures: Its drawn figures (PDF), by file name.
    """
    tables = latex_tables(context).encode()
    files = {"report.tex": latex.render(cast(Context, context)), "tables.tex": tables, **figures}
    return Rendered(zipped(files), ZIP_TYPE, LATEX)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A ZIP file, equal for equal files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _csv(context: Mapping[str, Any]) -> str:
    return csv_.render(cast(Context, context)).decode()


def paper_json(context: Mapping[str, Any]) -> str:
    """All of the paper's own data: runs with their figures, sums, curves, frontier."""
    paper = {**context["paper"], "title": context["title"], "profile": context["profile"]}
    return json.dumps(paper, indent=1, sort_keys=True, allow_nan=False) + "\n"


TABLES = (
    "bill",
    "budget",
    "research",
    "curves",
    "frontier",
    "ensembles",
    "runs",
    "published",
    "factors",
)
"""Sections whose tables a paper may include."""

FILES: Mapping[str, tuple[Callable[[Mapping[str, Any]], str], str]] = {
    "badge.svg": (badge, "image/svg+xml"),
    "paper.bib": (bibtex, "application/x-bibtex; charset=utf-8"),
    "model-card.md": (model_card, MARKDOWN),
    "co2_eq_emissions.yaml": (emissions_yaml, "application/yaml"),
    "neurips.md": (_section("neurips"), MARKDOWN),
    "eu-ai-act.md": (_section("eu-ai-act"), MARKDOWN),
    "tables.tex": (latex_tables, latex.MEDIA_TYPE),
    "runs.csv": (_csv, csv_.MEDIA_TYPE),
    "paper.json": (paper_json, "application/json"),
}
"""The files of a paper: what writes each, and its media type."""
