"""Eco2AI: rows of its CSV, one a run, or one an epoch.

Source: Eco2AI, ``eco2ai/emission_track.py``, ``_construct_attributes_dict``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo

from pricetag.accounting.readings.component import ComponentKind
from pricetag.imports import fields, tables
from pricetag.imports.imported import KWH_J, Imported, Part, Reported
from pricetag.imports.newest import newest_runs
from pricetag.imports.source import Skipped, Source

TOOL = "Eco2AI"
MARKS = frozenset({"start_time", "duration(s)", "CO2_emissions(kg)"})
ENERGY = ("power_consumption(kWh)", "power_consumption(kWTh)")
"""Column of the energy; early versions spelled its unit in another way."""

PARTS: tuple[tuple[ComponentKind, str, str], ...] = (
    ("cpu", "CPU_consumption(kWh)", "CPU_name"),
    ("gpu", "GPU_consumption(kWh)", "GPU_name"),
    ("ram", "RAM_consumption(kWh)", ""),
)
SAME_RATIO = 0.01
"""Relative difference of a total and its parts that rounding explains."""

EARLIER = "an earlier state of a measurement that a later line has"
PUE = (
    "Eco2AI multiplies energies by the PUE of its settings (1 by default), which its file does not "
    "state: they are taken as IT energy"
)


def read(source: Source) -> Iterator[Imported | Skipped]:
    """The measurements of an Eco2AI table.

    Raises:
        ImportFileError: If the file or a line is invalid.
        OSError: If it cannot be read.
    """
    return newest_runs(source, MARKS, _key, _imported, EARLIER)


def _key(row: Mapping[str, str]) -> str:
    """ID and start: a run that counts epochs has one row with its own start for each."""
    identity = fields.text(row, "id")
    if identity is None:
        return "\n".join(f"{name} {value}" for name, value in sorted(row.items()))
    return f"{identity} {row.get('start_time', '')} {row.get('epoch', '')}"


def _imported(row: Mapping[str, str], line: int, zone: tzinfo | None) -> Imported:
    try:
        duration_s = fields.required(row, "duration(s)")
        total_kwh = fields.required_amount(row, *ENERGY)
        emissions_kg = fields.amount(row, "CO2_emissions(kg)")
        epoch = fields.text(row, "epoch")
        described = fields.text(row, "experiment_description") or "eco2ai"
        return Imported(
            tool=TOOL,
            measured_by="eco2ai",
            key=_key(row),
            name=f"{described}, {epoch}" if epoch else described,
            started_at=fields.moment(row["start_time"].strip(), "start_time", zone),
            duration_s=duration_s,
            parts=_parts(row, total_kwh),
            project=fields.text(row, "project_name"),
            reported=[
                Reported("eco2ai/energy", total_kwh, "kWh"),
                *([] if emissions_kg is None else [Reported("eco2ai/co2", emissions_kg, "kg")]),
            ],
            remarks=[PUE],
            country=fields.text(row, "region/country"),
            line=line,
        )
    except fields.FieldError as error:
        raise tables.ImportFileError(str(error), line) from error


def _parts(row: Mapping[str, str], total_kwh: float) -> list[Part]:
    known = [(kind, name, fields.amount(row, column)) for kind, column, name in PARTS]
    if all(value is None for _, _, value in known):
        devices = [fields.text(row, name) for _, _, name in PARTS if name]
        name = "; ".join(filter(None, devices)) or "whole machine"
        return [Part("host", name, total_kwh * KWH_J, notes=_notes(total_kwh))]
    known_kwh = sum(value or 0.0 for _, _, value in known)
    if abs(total_kwh - known_kwh) > SAME_RATIO * total_kwh:
        raise fields.FieldError(
            f"{ENERGY[0]}: is {total_kwh:g} kWh, but CPU, GPU and RAM are {known_kwh:g} kWh "
            "together"
        )
    return [
        Part(kind, fields.text(row, name) or kind.upper(), value * KWH_J, notes=_notes(value))
        for kind, name, value in known
        if value is not None
    ]


def _notes(energy_kwh: float) -> str:
    return f"Eco2AI reported {energy_kwh:.6g} kWh, multiplied by the PUE of its settings"
