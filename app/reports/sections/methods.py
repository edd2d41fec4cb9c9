"""The methods statement: a paragraph that can go into a paper as it is."""

from __future__ import annotations

from collections.abc import Sequence

from app.reports.sections.bill import Totals, run_statuses
from app.reports.sections.provenance import hourly_mean, is_applied
from app.reports.shape import Section
from pricetag.tag.figures import counted, difference, interval_text, number, percent, with_unit
from pricetag.tag.strubell import CITATION, Profile, paper_factors
from pricetag.tag.tags import Tag, factor, hardware_text, listed, value

_METHODS = {
    "counter": "by its hardware energy counter",
    "integrated": "by integrating its sampled power",
    "modelled": "by a model, not a meter",
}
WHOLE_RATIO = 0.9995
"""Above this a charge is the whole of what the devices used."""

_KINDS = {"gpu": "accelerator", "cpu": "processor", "ram": "memory", "host": "host"}


def section(tags: Sequence[Tag], sums: Totals, profile: Profile) -> Section:
    """How the figures were had, and what they come to."""
    sentences = [
        *_measured(tags),
        *_shared(tags),
        *_factors(tags, profile),
        *_result(sums),
        *_trust(tags),
    ]
    return {
        "id": "methods",
        "heading": "Methods statement",
        "paragraphs": [" ".join(sentences)],
        "tables": [],
    }


def _measured(tags: Sequence[Tag]) -> list[str]:
    hardware = dict.fromkeys(name for tag in tags if (name := hardware_text(tag)))
    on = f"All work ran on {'; '.join(hardware)}. " if hardware else ""
    ways = dict.fromkeys(
        (str(c.get("kind")), str(c.get("method")))
        for tag in tags
        for c in listed(tag, "components")
    )
    how = [
        f"{_KINDS.get(kind, kind)} energy {_METHODS.get(method, method)}" for kind, method in ways
    ]
    first = f"{on}The energy of every job was accounted for by Pricetag"
    return [f"{first}: {', '.join(how)}." if how else f"{first}; no component was metered."]


def _shared(tags: Sequence[Tag]) -> list[str]:
    """That and how much of shared machines is charged; nothing where all of them is."""
    shares = [s for tag in tags if (s := value(tag, "split", "charged_ratio")) is not None]
    parts = [share for share in shares if share < WHOLE_RATIO]
    if not parts:
        return []
    ends = " to ".join(dict.fromkeys(percent(end) for end in (min(parts), max(parts))))
    which = f"For {len(parts)} of {counted(len(tags), 'run')} the" if len(tags) > 1 else "The"
    return [
        f"{which} energy is a charged share, {ends}, of the gross energy of machines that other "
        "work may use as well: idle power is charged by what a run reserved, the rest by its "
        "activity."
    ]


def _factors(tags: Sequence[Tag], profile: Profile) -> list[str]:
    if profile == "strubell2019":
        return [
            f"We follow {CITATION}: IT energy times PUE times the carbon intensity of the grid "
            f"({paper_factors()})."
        ]
    return [
        text
        for name, label in (("pue", "PUE"), ("carbon_intensity", "grid carbon intensity"))
        if (text := _factor_sentence(tags, name, label))
    ] + _hourly(tags)


def _hourly(tags: Sequence[Tag]) -> list[str]:
    """Where carbon was reckoned hour by hour, and for how much of the energy."""
    shares = [s for tag in tags if (s := value(tag, "carbon_hours_share_ratio"))]
    if not shares:
        return []
    series = [found for tag in tags if (found := factor(tag, "carbon_hours"))]
    sources = dict.fromkeys(str(found["factor"]["citation"]) for found in series)
    least = percent(min(shares)) if min(shares) < 1 else "all"
    means = [mean for tag in tags if (mean := hourly_mean(tag, "carbon_hours")) is not None]
    ends = " to ".join(dict.fromkeys(number(end) for end in (min(means), max(means))))
    return [
        f"Of {counted(len(shares), 'run')}, {least} of the energy was multiplied with the grid "
        f"carbon intensity of its own hour ({', '.join(sources)}), in the mean {ends} g/kWh."
    ]


def _factor_sentence(tags: Sequence[Tag], name: str, label: str) -> str | None:
    used: dict[str, None] = {}
    for tag in tags:
        found = factor(tag, name)
        if found is not None and is_applied(tag, name):
            parts = (found.get(key) for key in ("citation", "zone", "year", "basis"))
            about = ", ".join(str(part) for part in parts if part)
            unit = "" if found.get("unit") == "1" else f" {found.get('unit')}"
            used[f"{number(float(found['value']))}{unit} ({found.get('source')}; {about})"] = None
    return f"The {label} is {'; '.join(used)}." if used else None


def _result(sums: Totals) -> list[str]:
    attempts = counted(sums["attempts"], "attempt")
    runs = f"In total, {counted(sums['runs'], 'run')} ({run_statuses(sums)}; {attempts})"
    energy, facility, co2e = (
        sums[name] for name in ("it_energy_kwh", "facility_energy_kwh", "co2e_kg")
    )
    if energy["value"] is None:
        return [f"{runs} used an amount of energy that is not known ({energy['reason']})."]
    least = "at least " if energy.get("reason") else ""
    text = f"{runs} used {least}{with_unit(energy['value'], 'kWh')} of IT energy"
    if interval_text(energy):
        text += f" (95% interval {interval_text(energy)})"
    if facility["value"] is not None:
        text += f", {with_unit(facility['value'], 'kWh')} with PUE"
    if co2e["value"] is not None:
        text += f", and caused {with_unit(co2e['value'], 'kg')} of CO2e"
        if interval_text(co2e):
            text += f" (95% interval {interval_text(co2e)})"
    else:
        text += f"; its emissions are not known ({co2e['reason']})"
    return [text + ", failed and repeated attempts included."]


def _trust(tags: Sequence[Tag]) -> list[str]:
    coverage = [c for tag in tags if (c := value(tag, "coverage_ratio")) is not None]
    sentences = []
    if coverage:
        lowest = f"at least {percent(min(coverage))}" if min(coverage) < 1 else "all"
        sentences.append(f"The meters covered {lowest} of the run time of every run.")
    differences = [d for tag in tags if (d := _second_difference(tag)) is not None]
    if differences:
        ends = dict.fromkeys(difference(d) for d in (min(differences), max(differences)))
        sentences.append(
            f"A second meter ({_tools(tags)}) differs by {' to '.join(ends)} in the IT energy "
            "of the machines, other work on them included."
        )
    return sentences


def _second_difference(tag: Tag) -> float | None:
    """Theirs against our gross: it sees whole machines, of which a run may be charged a part."""
    theirs = value(tag, "second_opinion", "total", "theirs_kwh")
    gross = value(tag, "second_opinion", "total", "ours_gross_kwh")
    if theirs is None or not gross:
        return value(tag, "second_opinion", "total", "difference_ratio")
    return theirs / gross - 1


def _tools(tags: Sequence[Tag]) -> str:
    opinions = [opinion for tag in tags if (opinion := tag.get("second_opinion"))]
    names = (f"{o.get('tool')} {o.get('version') or ''}".strip() for o in opinions)
    return ", ".join(dict.fromkeys(names))
