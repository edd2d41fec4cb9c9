"""Where every figure comes from: factors with their citations, software, seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from app.reports.cells import EVIDENCE
from app.reports.shape import Section, column, row, table
from pricetag.tag.figures import MISSING, not_available, number
from pricetag.tag.strubell import Profile, paper_factors
from pricetag.tag.tags import Tag, factor, listed, repriced_text, value

LABELS = {
    "pue": "PUE",
    "carbon_intensity": "Carbon intensity",
    "cloud_price_low": "Price of an accelerator-hour, low",
    "cloud_price_high": "Price of an accelerator-hour, high",
    "electricity_tariff": "Electricity tariff",
    "carbon_hours": "Carbon intensity by the hour, mean as applied",
    "tariff_hours": "Electricity tariff by the hour, mean as applied",
    "carbon_market": "Carbon intensity, market-based",
    "internal_price": "Own hardware, an accelerator-hour",
    "wue": "Water usage effectiveness",
    "water_intensity": "Water of the electricity",
    "calibrations": "Calibration",
    "embodied": "Embodied emissions",
    "peaks": "Peak",
}


HOURS_OF = {"carbon_intensity": "carbon_hours", "electricity_tariff": "tariff_hours"}
"""What takes the place of a factor that holds at any time, in the hours that it knows."""


def is_applied(tag: Tag, name: str) -> bool:
    """Whether a factor was multiplied with any energy: of two for one thing it may not be."""
    hours = HOURS_OF.get(name)
    if hours is None or factor(tag, hours) is None:
        return True
    return f"{hours}_incomplete" in (tag.get("flags") or ())


def hourly_mean(tag: Tag, name: str) -> float | None:
    """What the energy was multiplied with in the mean, where hours had figures of their own."""
    found = factor(tag, name)
    if found is None or not found.get("by_hour"):
        return None
    if name == "carbon_hours":
        return value(tag, "carbon_intensity_g_per_kwh")
    paid, energy = value(tag, "cost", "electricity"), value(tag, "facility_energy_kwh")
    return None if paid is None or not energy else paid / energy


def factors(tags: Sequence[Tag], profile: Profile) -> list[dict[str, Any]]:
    """Every factor that was applied, once, with the runs it was applied to."""
    found: list[dict[str, Any]] = []
    if profile == "strubell2019":
        found += _strubell()
    skipped = {"pue", "carbon_intensity", "carbon_hours"} if profile == "strubell2019" else set()
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
    if used is None or not is_applied(tag, name):
        return
    if name.endswith("_hours"):
        mean = hourly_mean(tag, name)
        if mean is not None:
            yield label, {**used["factor"], "value": mean}
    elif name in HOURS_OF and factor(tag, HOURS_OF[name]) is not None:
        yield f"{label}, in hours without one of their own", used
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


_OF_HOURS = (
    " What holds by the hour is shown as the mean that was applied, weighted by the energy of "
    "each hour; the hours themselves are in the price tag."
)


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
    caption = "Factors that were applied"
    return {
        "id": "factors",
        "heading": "Factors",
        "paragraphs": [
            (
                "Each factor was copied into the price tag when that was issued."
                if profile == "site"
                else "PUE and carbon intensity are the paper's; prices are those of each price tag."
            )
            + (_OF_HOURS if any(str(item["name"]).endswith("_hours") for item in found) else "")
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
