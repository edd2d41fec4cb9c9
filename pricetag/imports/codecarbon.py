"""CodeCarbon: rows of ``emissions.csv`` and of its files of tasks.

The energies of CodeCarbon include the PUE that its user has set (1 by default). A CSV states it, so
that it can be divided out; the records of its API do not. A row of ``emissions.csv`` has the sums
of a run so far; a row of a file of tasks has those of one task (column ``task_name``).

Source: CodeCarbon 3.3.2, ``codecarbon/output_methods/emissions_data.py`` and ``file.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import tzinfo

from pricetag.accounting.readings.component import ComponentKind
from pricetag.imports import fields, tables
from pricetag.imports.imported import KWH_J, Imported, Part, Reported, gpus
from pricetag.imports.newest import newest_runs
from pricetag.imports.source import Skipped, Source

TOOL = "CodeCarbon"
MARKS = frozenset({"timestamp", "duration", "energy_consumed"})
"""Columns by which its table is recognized."""

KINDS: tuple[ComponentKind, ...] = ("cpu", "gpu", "ram")
SAME_RATIO = 0.01
"""Relative difference of a total and its parts that rounding explains."""

EARLIER = "an earlier state of a run that a later line has"


def read(source: Source) -> Iterator[Imported | Skipped]:
    """The runs of an ``emissions.csv``, or of a file of tasks.

    Raises:
        ImportFileError: If the file or a line is invalid.
        OSError: If it cannot be read.
    """
    return newest_runs(source, MARKS, _key, _imported, EARLIER)


def _key(row: Mapping[str, str]) -> str:
    """The ID of the run, with that of a task; without one (early versions), the row itself."""
    run_id = fields.text(row, "run_id")
    if run_id and "task_name" in row:
        return f"{run_id} {row['task_name'].strip()} {row.get('timestamp', '').strip()}"
    return run_id or "\n".join(f"{name} {value}" for name, value in sorted(row.items()))


def _imported(row: Mapping[str, str], line: int, zone: tzinfo | None) -> Imported:
    try:
        duration_s = fields.required(row, "duration")
        ended_at = fields.moment(row["timestamp"].strip(), "timestamp", zone)
        stated = fields.number(row, "pue")
        pue = 1.0 if stated is None else stated
        parts = _parts(row, pue)
        version = fields.text(row, "codecarbon_version")
        run_id = fields.text(row, "run_id")
        named = (
            fields.text(row, "project_name") or "codecarbon",
            fields.text(row, "task_name") or "",
            (run_id or "")[:8],
        )
        return Imported(
            tool=TOOL,
            measured_by=f"codecarbon {version}" if version else "codecarbon",
            key=_key(row),
            name=" ".join(filter(None, named)),
            started_at=fields.before(ended_at, duration_s, "duration"),
            duration_s=duration_s,
            parts=parts,
            project=fields.text(row, "project_name"),
            reported=list(_reported(row)),
            devices=gpus(fields.text(row, "gpu_model"), fields.number(row, "gpu_count")),
            remarks=[_remark(row, pue)],
            country=_country(row),
            line=line,
        )
    except fields.FieldError as error:
        raise tables.ImportFileError(str(error), line) from error


def _country(row: Mapping[str, str]) -> str | None:
    name, code = fields.text(row, "country_name"), fields.text(row, "country_iso_code")
    return f"{name} ({code})" if name and code else name or code


def _parts(row: Mapping[str, str], pue: float) -> list[Part]:
    if pue < 1:
        raise fields.FieldError(f"pue: must be at least 1 (got {pue:g})")
    total_kwh = fields.required_amount(row, "energy_consumed")
    by_kind = {kind: fields.amount(row, f"{kind}_energy") for kind in KINDS}
    known_kwh = sum(value or 0.0 for value in by_kind.values())
    if abs(total_kwh - known_kwh) > SAME_RATIO * abs(total_kwh):
        if known_kwh > total_kwh:
            raise fields.FieldError(
                f"energy_consumed: is {total_kwh:g} kWh, less than its parts ({known_kwh:g} kWh)"
            )
        if None not in by_kind.values():
            raise fields.FieldError(
                f"energy_consumed: is {total_kwh:g} kWh, but cpu_energy, gpu_energy and ram_energy "
                f"are {known_kwh:g} kWh together"
            )
        rest_kwh = total_kwh - known_kwh
    else:
        rest_kwh = 0.0
    parts = [
        Part(kind, name_of(kind, row), value * KWH_J / pue, notes=notes(kind, value, pue))
        for kind, value in by_kind.items()
        if value is not None and (value != 0 or kind != "gpu")
    ]
    if rest_kwh or not parts:
        name = "other components" if parts else "whole machine"
        parts.append(Part("host", name, rest_kwh * KWH_J / pue, notes=notes("", rest_kwh, pue)))
    return parts


def name_of(kind: str, row: Mapping[str, str]) -> str:
    """The product name of a component."""
    if kind == "ram":
        return "RAM"
    return fields.text(row, f"{kind}_model") or kind.upper()


def notes(kind: str, energy_kwh: float, pue: float) -> str:
    """What CodeCarbon reported of a component."""
    divided = "" if pue == 1 else f", divided here by its PUE of {pue:g}"
    return f"CodeCarbon reported {energy_kwh:.6g} kWh{f' ({kind}_energy)' if kind else ''}{divided}"


def _reported(row: Mapping[str, str]) -> Iterator[Reported]:
    for column, unit in (("energy_consumed", "kWh"), ("emissions", "kg"), ("pue", "1")):
        value = fields.amount(row, column)
        if value is not None:
            yield Reported(f"codecarbon/{column}", value, unit)


def _remark(row: Mapping[str, str], pue: float) -> str:
    emissions_kg = fields.number(row, "emissions")
    carbon = "" if emissions_kg is None else f" and {emissions_kg:.6g} kg CO2e by its own factor"
    place = fields.text(row, "country_name")
    mode = fields.text(row, "tracking_mode")
    return (
        f"CodeCarbon reported {fields.required(row, 'energy_consumed'):.6g} kWh with a PUE of "
        f"{pue:g}{carbon}"
        f"{f' for {place}' if place else ''}{f', tracking mode {mode}' if mode else ''}"
    )
