"""The methods statement: a paragraph for a paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from app.reports.sections.bill import least
from app.reports.shape import Section
from pricetag.tag.factors import hourly, hourly_mean, is_applied, single
from pricetag.tag.figures import counted, difference, interval_text, number, percent, with_unit
from pricetag.tag.measured import QUEUE, TRUST, is_metered, origin_of
from pricetag.tag.strubell import CITATION, Profile, paper_factors
from pricetag.tag.totals import Totals
from pricetag.tag.trust import models, second_difference_ratio, second_tool
from pricetag.tag.view import TagView

_METHODS = {
    "counter": "by its hardware energy counter",
    "integrated": "by integrating its sampled power",
    "modelled": "by a model, not a meter",
    "estimated": "as estimated by another tool",
}
WHOLE_RATIO = 0.9995
"""Charged share from which a charge counts as the whole energy of the devices."""

_KINDS = {"gpu": "accelerator", "cpu": "processor", "ram": "memory", "host": "host"}


def section(tags: Sequence[TagView], sums: Totals, profile: Profile) -> Section:
    """The measurement method, and the result."""
    sentences = [
        *measured(tags),
        *elsewhere(tags),
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


def measured(tags: Sequence[TagView]) -> list[str]:
    """How the energy was measured, and which of it Pricetag did not measure, in sentences."""
    own = [tag for tag in tags if is_metered(tag)]
    others = [tag for tag in tags if not is_metered(tag)]
    how, theirs = _ways(own), _ways(others)
    which = f"{len(own)} of {counted(len(tags), 'run')}" if others else "every job"
    first = f"The energy of {which} was accounted for by Pricetag"
    sentences = [f"{first}: {how}." if how else f"{first}; no component was metered."]
    if others:
        rest = f"that of {counted(len(others), 'run')} is" if own else "The energy of every run is"
        text = f"{rest[0].upper()}{rest[1:]} taken from other tools, not measured by Pricetag"
        sentences = [*(sentences if own else []), f"{text}: {theirs}." if theirs else f"{text}."]
    return [*_machines(tags), *sentences]


def _machines(tags: Sequence[TagView]) -> list[str]:
    """The hardware, of other tools' runs as those tools name it; nothing if none is known."""
    known = [(tag, name) for tag in tags if (name := tag.hardware)]
    if not known:
        return []
    is_all = len(known) == len(tags)
    work = "All work" if is_all else f"The work of {len(known)} of {counted(len(tags), 'run')}"
    named = sum(not is_metered(tag) for tag, _ in known)
    stated = f" (for {counted(named, 'run')}, as the other tools name it)" if named else ""
    return [f"{work} ran on {'; '.join(dict.fromkeys(name for _, name in known))}{stated}."]


def _ways(tags: Sequence[TagView]) -> str:
    """How the energy of each kind of component is known."""
    ways = dict.fromkeys(
        (component.kind, component.method)
        for tag in tags
        for component in tag.document.energy.components
    )
    return ", ".join(
        f"{_KINDS.get(kind, kind)} energy {_METHODS.get(method, method)}" for kind, method in ways
    )


def elsewhere(tags: Sequence[TagView]) -> list[str]:
    """Who measured the runs that no worker measured; nothing if there are none."""
    counts = Counter(origin for tag in tags if (origin := origin_of(tag)) != QUEUE)
    return [
        *(
            f"{count} of {counted(len(tags), 'run')} {'was' if count == 1 else 'were'} "
            f"{TRUST[origin]}."
            for origin, count in counts.items()
        ),
        *_senders([tag for tag in tags if is_metered(tag)], "they were measured by"),
        *_senders(
            [tag for tag in tags if not is_metered(tag)], "the figures of other tools are of"
        ),
    ]


def _senders(tags: Sequence[TagView], what: str) -> list[str]:
    named = dict.fromkeys(by for tag in tags if (by := tag.document.provenance.measured_by))
    return [f"According to their senders, {what} {', '.join(named)}."] if named else []


def _shared(tags: Sequence[TagView]) -> list[str]:
    """The charged share of shared machines; nothing if all of their energy is charged."""
    shares = [tag.document.energy.split.charged_ratio.value for tag in tags if is_metered(tag)]
    parts = [share for share in shares if share is not None and share < WHOLE_RATIO]
    if not parts:
        return []
    ends = " to ".join(dict.fromkeys(percent(end) for end in (min(parts), max(parts))))
    which = f"For {len(parts)} of {counted(len(tags), 'run')} the" if len(tags) > 1 else "The"
    return [
        f"{which} energy is a charged share, {ends}, of the gross energy of machines that other "
        "work may use as well: idle power is charged by reservation, the rest by activity."
    ]


def _factors(tags: Sequence[TagView], profile: Profile) -> list[str]:
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


def _hourly(tags: Sequence[TagView]) -> list[str]:
    """The share of energy with hourly carbon intensity, and its sources."""
    shares = [s for tag in tags if (s := tag.document.carbon_hours_share_ratio.value)]
    if not shares:
        return []
    series = [applied for tag in tags if (applied := hourly(tag, "carbon_hours"))]
    sources = dict.fromkeys(applied.factor.citation for applied in series)
    least = percent(min(shares)) if min(shares) < 1 else "all"
    means = [mean for tag in tags if (mean := hourly_mean(tag, "carbon_hours")) is not None]
    ends = " to ".join(dict.fromkeys(number(end) for end in (min(means), max(means))))
    return [
        f"Of {counted(len(shares), 'run')}, {least} of the energy was multiplied by the grid "
        f"carbon intensity of its own hour ({', '.join(sources)}), {ends} g/kWh on average."
    ]


def _factor_sentence(tags: Sequence[TagView], name: str, label: str) -> str | None:
    used: dict[str, None] = {}
    for tag in tags:
        factor = single(tag, name)
        if factor is not None and is_applied(tag, name):
            parts = (factor.citation, factor.zone, factor.year, factor.basis)
            about = ", ".join(str(part) for part in parts if part)
            unit = "" if factor.unit == "1" else f" {factor.unit}"
            used[f"{number(float(factor.value))}{unit} ({factor.source}; {about})"] = None
    return f"The {label} is {'; '.join(used)}." if used else None


def _result(sums: Totals) -> list[str]:
    attempts = counted(sums.attempts, "attempt")
    runs = f"In total, {counted(sums.runs, 'run')} ({sums.statuses}; {attempts})"
    energy, facility, co2e = sums.it_energy_kwh, sums.facility_energy_kwh, sums.co2e_kg
    if energy.value is None:
        return [f"{runs} used an unknown amount of energy ({energy.reason})."]
    text = f"{runs} used {least(energy)}{with_unit(energy.value, 'kWh')} of IT energy"
    if interval_text(energy):
        text += f" (95% interval {interval_text(energy)})"
    if facility.value is not None:
        text += f", {with_unit(facility.value, 'kWh')} with PUE"
    if co2e.value is not None:
        text += f", and caused {with_unit(co2e.value, 'kg')} of CO2e"
        if interval_text(co2e):
            text += f" (95% interval {interval_text(co2e)})"
    else:
        text += f"; its emissions are unknown ({co2e.reason})"
    return [text + ", failed and repeated attempts included."]


def _trust(tags: Sequence[TagView]) -> list[str]:
    own = [tag for tag in tags if is_metered(tag)]
    coverage = [c for tag in own if (c := tag.document.energy.coverage_ratio.value) is not None]
    sentences = []
    if coverage:
        lowest = f"at least {percent(min(coverage))}" if min(coverage) < 1 else "all"
        which = "every run" if len(own) == len(tags) else "every run that Pricetag measured"
        sentences.append(f"The meters covered {lowest} of the run time of {which}.")
    tools = dict.fromkeys(tool for tag in tags if (tool := second_tool(tag)))
    differences = [d for tag in tags if (d := second_difference_ratio(tag)) is not None]
    if differences:
        ends = dict.fromkeys(difference(d) for d in (min(differences), max(differences)))
        text = (
            f"A second tool ({', '.join(tools)}) differs by {' to '.join(ends)} in the IT energy "
            "of the machines, other work on them included"
        )
        if any(models(tag) for tag in tags):
            text += "; both tools model what has no counter, so agreement there proves nothing"
        sentences.append(f"{text}.")
    return sentences
