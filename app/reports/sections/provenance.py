"""Where every figure comes from: factors with their citations, software, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.reports.cells import EVIDENCE
from app.reports.shape import Section, column, row, table
from pricetag.figures import MISSING, not_available, number
from pricetag.strubell import Profile, paper_factors
from pricetag.tags import Tag, factor, listed, repriced_text

LABELS = {
    "pue": "PUE",
    "carbon_intensity": "Carbon intensity",
    "cloud_price_low": "Price of an accelerator-hour, low",
    "cloud_price_high": "Price of an accelerator-hour, high",
    "electricity_tariff": "Electricity tariff",
    "carbon_hours": "Carbon intensity by the hour, mean",
    "tariff_hours": "Electricity tariff by the hour, mean",
    "carbon_market": "Carbon intensity, market-based",
    "internal_price": "Own hardware, an accelerator-hour",
    "wue": "Water usage effectiveness",
    "water_intensity": "Water of the electricity",
    "calibrations": "Calibration",
    "embodied": "Embodied emissions",
    "peaks": "Peak",
}


def factors(tags: Sequence[Tag], profile: Profile) -> list[dict[str, Any]]:
    """Every factor that was applied, once, with the runs it was applied to."""
    found: list[dict[str, Any]] = []
    if profile == "strubell2019":
        found += _strubell()
    skipped = {"pue", "carbon_intensity"} if profile == "strubell2019" else set()
    for name in LABELS:
        if name in skipped:
            continue
        for tag in tags:
            for label, used in _used(tag, name):
                _add(found, {"name": name, "label": label, **used}, str(tag.get("name")))
    return found


def _used(tag: Tag, name: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """The factors that a tag has under one name, each with its label."""
    label = LABELS[name]
    if name == "embodied":
        provenance = tag.get("provenance")
        known = provenance.get("factors") if isinstance(provenance, Mapping) else None
        for about in listed(known, name) if isinstance(known, Mapping) else []:
            yield f"{label}, {about['subject']}", about["factor"]
        return
    used = factor(tag, name)
    if used is None:
        return
    if name.endswith("_hours"):
        yield label, used["factor"]
    elif name in ("calibrations", "peaks"):
        for subject, item in used.items():
            yield f"{label}, {subject}", item
    else:
        yield label, used


def _strubell() -> list[dict[str, Any]]:
    paper = paper_factors()
    named = {"pue": paper.pue, "carbon_intensity": paper.carbon_intensity}
    return [
        {"name": name, "label": LABELS[name], **asdict(used), "runs": None}
        for name, used in named.items()
    ]


def _add(found: list[dict[str, Any]], item: dict[str, Any], run: str) -> None:
    for known in found:
        if all(known.get(key) == value for key, value in item.items()):
            known["runs"].append(run)
            return
    found.append({**item, "runs": [run]})


def factors_section(
    found: Sequence[Mapping[str, Any]], run_count: int, profile: Profile
) -> Section:
    """The factors as a table."""
    rows = [
        row(
            str(item["label"]),
            f"{number(float(item['value']))} {item['unit']}".removesuffix(" 1"),
            EVIDENCE.get(str(item["source"]), str(item["source"])),
            _citation(item),
            "all"
            if item["runs"] is None or len(item["runs"]) == run_count
            else str(len(item["runs"])),
        )
        for item in found
    ]
    columns = [
        column("Factor", weight=1.4),
        column("Value", "right", 1.1),
        column("Evidence", weight=0.9),
        column("Source", weight=3.2),
        column("Runs", "right", 0.5),
    ]
    caption = "Factors that the measured energy was multiplied with"
    return {
        "id": "factors",
        "heading": "Factors",
        "paragraphs": [
            "Each factor was copied into the price tag when that was issued."
            if profile == "site"
            else "PUE and carbon intensity are the paper's; prices are those of each price tag."
        ],
        "tables": [table("factors", caption, columns, rows)],
    }


def _citation(item: Mapping[str, Any]) -> str:
    parts = [item.get("citation") or MISSING]
    parts += [item.get(key) for key in ("zone", "year", "basis", "source_url")]
    if item.get("licence"):
        parts.append(f"licence {item['licence']}")
    return "; ".join(str(part) for part in parts if part)


def section(tags: Sequence[Tag]) -> Section:
    """What each run ran in and which version of the arithmetic priced it."""
    rows = [_row(tag) for tag in tags]
    columns = [
        column("Run", weight=1.5),
        column("Price tag", weight=1.2),
        column("Node", weight=0.9),
        column("Git commit", weight=1.1),
        column("Seeds", weight=0.8),
        column("Software", weight=2.6),
    ]
    return {
        "id": "provenance",
        "heading": "Provenance",
        "paragraphs": [],
        "tables": [table("provenance-runs", "Identity and software of every run", columns, rows)],
    }


def _row(tag: Tag) -> Any:
    known = tag.get("provenance")
    about: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    packages = about.get("packages") or {}
    software = [f"Python {about['python']}"] if about.get("python") else []
    software += [f"{name} {version}" for name, version in sorted(packages.items())]
    if about.get("platform"):
        software.append(str(about["platform"]))
    seeds = ", ".join(f"{name}: {seed}" for name, seed in (about.get("seeds") or {}).items())
    accounting = about.get("accounting_version") or "unknown"
    repriced = repriced_text(tag)
    return row(
        f"{tag.get('name')} ({tag.get('run_id')})",
        f"version {tag.get('version')}, accounting {accounting}"
        + (f"; {repriced}" if repriced else ""),
        ", ".join(map(str, about.get("nodes") or ())) or not_available(None),
        str(about.get("git_commit") or "")[:12] or not_available(None),
        seeds or not_available(None),
        ", ".join(software) or not_available(None),
    )
