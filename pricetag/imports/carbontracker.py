"""carbontracker: its standard log (``..._carbontracker.log``), one run a file.

The log has the duration of each epoch and the mean power of each component in it, without a PUE;
its other file (``..._carbontracker_output.log``) has sums that a PUE was applied to.

Source: carbontracker, ``carbontracker/tracker.py``, ``parser.py`` and ``loggerutil.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pricetag.accounting.readings.component import ComponentKind
from pricetag.imports import fields
from pricetag.imports.imported import KWH_J, Imported, Part, Reported
from pricetag.imports.source import Skipped, Source
from pricetag.imports.tables import ImportFileError

TOOL = "carbontracker"
TIME = re.compile(r"(\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2})(?:,\d+)? - ")
VERSION = re.compile(r"carbontracker version (\S+)")
PUE = re.compile(r"multiplied by a PUE coefficient of ([\d.]+)")
FOUND = re.compile(r"The following components were found: (.*)")
DEVICES = re.compile(r"(\w+) with device\(s\) (.*?)\.(?: |$)")
DURATION = re.compile(r"Duration: (.+)$")
POWER = re.compile(r"Average power usage \(W\) for (\w+): (.+)$")
ACTUAL = re.compile(r"Actual consumption for \d+ epoch\(s\)", re.IGNORECASE)
MARKS = (VERSION, POWER, FOUND, ACTUAL)
"""Lines by which a log is recognized."""

KINDS: dict[str, ComponentKind] = {"gpu": "gpu", "cpu": "cpu", "ram": "ram"}


@dataclass(slots=True)
class _Log:
    version: str | None = None
    pue: str | None = None
    devices: dict[str, str] = field(default_factory=dict)
    first_at: datetime | None = None
    time_text: str = ""
    durations_s: list[float] = field(default_factory=list)
    energy_j: dict[str, list[float]] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    key: list[str] = field(default_factory=list)


def read(source: Source) -> Iterator[Imported | Skipped]:
    """The run of a log.

    Raises:
        ImportFileError: If the file or a line is invalid.
        OSError: If it cannot be read.
    """
    log = _Log()
    latest: datetime | None = None
    number = 0
    for number, line in enumerate(source.lines(), 1):
        text = line.rstrip("\r\n")
        if ACTUAL.search(text):
            raise ImportFileError(
                "this is the output log of carbontracker, whose energies a PUE was applied to: "
                "import the log of the same name without `_output`",
                number,
            )
        try:
            stamp = TIME.match(text)
            if stamp is not None:
                latest = fields.moment(stamp[1], "time", source.zone)
            _take(log, text, latest)
        except fields.FieldError as error:
            raise ImportFileError(str(error), number) from error
    yield _imported(log, number, source)


def _take(log: _Log, text: str, latest: datetime | None) -> None:
    if version := VERSION.search(text):
        log.version = log.version or version[1]
        log.key.append(text)
    elif pue := PUE.search(text):
        log.pue = pue[1]
    elif components := FOUND.search(text):
        log.devices |= {kind.lower(): names for kind, names in DEVICES.findall(components[1])}
        log.key.append(text)
    elif duration := DURATION.search(text):
        lasted_s = fields.duration_s(duration[1], "Duration")
        if log.first_at is None:
            if latest is None:
                raise fields.FieldError("Duration: no line before it has a time")
            log.first_at = fields.before(latest, lasted_s, "Duration")
            log.key.append(text)
        log.durations_s.append(lasted_s)
    elif power := POWER.search(text):
        if not log.durations_s:
            raise fields.FieldError("Average power usage: no line before it has a duration")
        if len(log.durations_s) == 1:
            log.key.append(text)
        _take_power(log, power[1].lower(), power[2].strip())


def _take_power(log: _Log, component: str, text: str) -> None:
    if text.lower() in fields.NOT_THERE:
        log.silent[component] = log.silent.get(component, 0) + 1
        return
    figures = text.strip("[]").replace(",", " ").split()
    name = f"Average power usage (W) for {component}"
    powers_w = [fields.not_negative(fields.as_number(figure, name), name) for figure in figures]
    log.energy_j.setdefault(component, []).append(sum(powers_w) * log.durations_s[-1])


def _imported(log: _Log, last_line: int, source: Source) -> Imported:
    if log.first_at is None:
        raise ImportFileError("no epoch has ended in this log")
    parts = [
        Part(
            KINDS.get(component, "host"),
            log.devices.get(component, component),
            sum(energies),
            id=component,
            notes="mean power of each epoch, as sampled by carbontracker, times its duration",
        )
        for component, energies in log.energy_j.items()
    ]
    names = [name.strip() for name in log.devices.get("gpu", "").split(",") if name.strip()]
    epochs = len(log.durations_s)
    total_kwh = sum(part.energy_j for part in parts) / KWH_J
    remarks = [f"{epochs} epochs; the time between epochs was not measured"]
    if log.pue is not None:
        remarks.append(f"carbontracker's own sums are multiplied by a PUE of {log.pue}; these not")
    remarks += [
        f"no power of {component} was measured in {count} of {epochs} epochs: its energy is missing"
        for component, count in log.silent.items()
    ]
    return Imported(
        tool=TOOL,
        measured_by=f"carbontracker {log.version}" if log.version else "carbontracker",
        key="\n".join(log.key),
        name=source.path.stem.removesuffix("_carbontracker"),
        started_at=log.first_at,
        duration_s=sum(log.durations_s),
        parts=parts,
        reported=[Reported("carbontracker/energy", total_kwh, "kWh")],
        devices=[{"kind": "gpu", "name": name, "uuid": None} for name in names],
        remarks=remarks,
        line=last_line,
    )
