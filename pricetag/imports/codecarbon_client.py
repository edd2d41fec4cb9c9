"""What the clients of CodeCarbon send, added up to cumulative readings.

A client sends differences (``POST /emissions``) or, to its ``emissions_endpoint``, the sums so far.
Both have whole machines in kWh, multiplied by the PUE that the user of CodeCarbon has set; only the
sums state it. Times are those at which the server received them: a client's clock may be wrong, and
the differences state their durations in whole seconds.

Source: CodeCarbon 3.3.2, ``codecarbon/core/api_client.py`` and ``output_methods/http.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pricetag.accounting.readings.component import Component, ComponentKind
from pricetag.accounting.readings.step_energy import GAP
from pricetag.imports.codecarbon import name_of
from pricetag.imports.imported import KWH_J, MAX_POWER_W, Reported, estimated, metric, reading

Kind = Literal["delta", "total", "closing"]
"""A difference, a sum, or the sum at the end of a client that also sent differences."""

NO_RUN = "None"
"""``run_id`` of a sum whose client sends differences, too."""

KINDS: tuple[ComponentKind, ...] = ("cpu", "gpu", "ram")
SILENCE_S = 600.0
SILENT_INTERVALS = 3
"""A client without a record for this number of its intervals, and `SILENCE_S`, has ended."""

GAP_S = 2.0
"""Unreported time in s that whole seconds of a difference and the network explain."""

LEAST_S = 1e-3
MAX_DURATION_S = 1e9


class RecordError(ValueError):
    """A record of a client cannot be used.

    Attributes:
        field: The field.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Sent:
    """One record of a client.

    Attributes:
        duration_s: Time that it covers, in s.
        energies_j: IT energy by kind of component.
        powers_w: Power by kind of component.
        total_kwh: Energy as the client states it.
        emissions_kg: Emissions as the client states them.
        pue: PUE that the energies include; 1 if it does not say.
    """

    duration_s: float
    energies_j: Mapping[ComponentKind, float]
    powers_w: Mapping[ComponentKind, float]
    total_kwh: float
    emissions_kg: float
    pue: float = 1.0


def read(body: Mapping[str, Any], kind: Kind) -> Sent:
    """A record from the body of a request; fields of later versions are ignored.

    Args:
        body: The body.
        kind: What it is.

    Raises:
        RecordError: If a field is missing or impossible; names it.
    """
    duration_s = _figure(body, "duration", needed=True)
    if duration_s > MAX_DURATION_S:
        raise RecordError("duration", f"is {duration_s:g} s, which is too long")
    pue = _figure(body, "pue") if body.get("pue") is not None and kind == "total" else 1.0
    if pue < 1:
        raise RecordError("pue", f"must be at least 1 (got {pue:g})")
    total_kwh = _figure(body, "energy_consumed", needed=True)
    energies: dict[ComponentKind, float] = {
        each: _figure(body, f"{each}_energy") * KWH_J / pue
        for each in KINDS
        if body.get(f"{each}_energy") is not None
    }
    if not sum(energies.values()) and total_kwh:
        energies = {"host": total_kwh * KWH_J / pue}
    for each, energy_j in energies.items():
        if energy_j > MAX_POWER_W * (duration_s + 1):  # whole seconds are cut off
            message = f"is more than {MAX_POWER_W / 1000:g} kW in {duration_s:g} s"
            raise RecordError("energy_consumed" if each == "host" else f"{each}_energy", message)
    powers: dict[ComponentKind, float] = {
        each: power_w / pue
        for each in energies
        if each != "host" and 0 < (power_w := _figure(body, f"{each}_power")) <= MAX_POWER_W
    }
    emitted = "emissions_sum" if kind == "delta" else "emissions"
    return Sent(duration_s, energies, powers, total_kwh, _figure(body, emitted), pue)


def _figure(body: Mapping[str, Any], name: str, *, needed: bool = False) -> float:
    value = body.get(name)
    if value is None and not needed:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RecordError(name, "must be a number")
    if value < 0:
        raise RecordError(name, f"must not be negative (got {value:g})")
    return float(value)


@dataclass
class Tally:
    """What the records of one client add up to, as stored between them.

    Attributes:
        energy_j: IT energy by kind of component so far.
        last_s: Time of the last reading, in s since the run began.
        reported_s: Sum of the durations.
        unreported_s: Time between the records that none of them covers.
        total_kwh: Energy as reported, with the client's PUE.
        emissions_kg: Emissions as reported, by the client's own factor.
        pue: The client's PUE, if it stated one.
        records: Number of records.
        interval_s: Longest duration of a record.
        closing_j: IT energy by kind of the sum at the end.
        closing_kwh: That sum as reported.
    """

    energy_j: dict[ComponentKind, float] = field(default_factory=dict)
    last_s: float = 0.0
    reported_s: float = 0.0
    unreported_s: float = 0.0
    total_kwh: float = 0.0
    emissions_kg: float = 0.0
    pue: float | None = None
    records: int = 0
    interval_s: float = 0.0
    closing_j: dict[ComponentKind, float] | None = None
    closing_kwh: float | None = None

    def as_stored(self) -> dict[str, Any]:
        """The tally as JSON."""
        return asdict(self)

    @property
    def silence_s(self) -> float:
        """Time without a record after which the client has ended."""
        return max(SILENCE_S, SILENT_INTERVALS * (self.interval_s + 1))

    def take(self, sent: Sent, kind: Kind, received_s: float) -> Iterator[dict[str, Any]]:
        """Adds a record; yields the readings that follow from it.

        Args:
            sent: The record.
            kind: What it is.
            received_s: When the server received it, in s since the run began.
        """
        if kind == "closing":
            self.closing_j = {**sent.energies_j}
            self.closing_kwh = sent.total_kwh
            return
        added, lasted_s = {**sent.energies_j}, sent.duration_s
        if kind == "total":
            if sent.duration_s <= self.reported_s:
                return  # an earlier state that arrived late
            lasted_s = sent.duration_s - self.reported_s
            added = {
                each: max(value - self.energy_j.get(each, 0.0), 0.0)
                for each, value in added.items()
            }
            self.total_kwh, self.emissions_kg = sent.total_kwh, sent.emissions_kg
            self.pue = sent.pue
        else:
            self.total_kwh += sent.total_kwh
            self.emissions_kg += sent.emissions_kg
        t_s = max(received_s, self.last_s + LEAST_S)
        silent_s = t_s - self.last_s - lasted_s
        for each in added:
            if each not in self.energy_j:
                self.energy_j[each] = 0.0
                yield reading(each, self.last_s, 0.0)
        if self.records and silent_s > GAP_S:
            self.unreported_s += silent_s
            for each, energy_j in self.energy_j.items():
                yield reading(each, t_s - lasted_s, energy_j, flags=(GAP,))
        for each, energy_j in added.items():
            self.energy_j[each] += energy_j
            power_w = sent.powers_w.get(each)
            yield reading(each, t_s, self.energy_j[each], power_w=power_w)
        self.last_s = t_s
        self.reported_s += lasted_s
        self.records += 1
        self.interval_s = max(self.interval_s, lasted_s)

    def close(self) -> Iterator[dict[str, Any]]:
        """Adds what the sum at the end has more than the differences: those that were lost."""
        if self.closing_j is None:
            return
        for each, energy_j in self.closing_j.items():
            if energy_j > self.energy_j.get(each, 0.0):
                if each not in self.energy_j:
                    yield reading(each, 0.0, 0.0)
                self.energy_j[each] = energy_j
                yield reading(each, self.last_s, energy_j)

    def reported(self) -> Iterator[dict[str, Any]]:
        """The figures as the client reported them, as metrics."""
        for name, value, unit in (
            ("energy_consumed", self.total_kwh, "kWh"),
            ("emissions", self.emissions_kg, "kg"),
            ("duration", self.reported_s, "s"),
            ("unreported_time", self.unreported_s, "s"),
        ):
            yield metric(Reported(f"codecarbon/{name}", value, unit), self.last_s)

    def remarks(self) -> Iterator[str]:
        """What a reader should know, for the log of the run."""
        yield (
            f"CodeCarbon reported {self.total_kwh:.6g} kWh"
            f"{'' if self.pue is None else f' with a PUE of {self.pue:g}'} and "
            f"{self.emissions_kg:.6g} kg CO2e by its own factor, in {self.records} records"
        )
        if self.pue is None:
            yield (
                "the API of CodeCarbon does not state the PUE that its user has set (1 by default):"
                " its energies are taken as IT energy"
            )
        yield (
            f"its durations add up to {self.reported_s:.6g} s of {self.last_s:.6g} s between the "
            f"first and the last record; {self.unreported_s:.6g} s are covered by none"
        )
        if self.closing_kwh is not None and self.closing_kwh > self.total_kwh:
            yield (
                f"its closing record has {self.closing_kwh:.6g} kWh, so that "
                f"{self.closing_kwh - self.total_kwh:.6g} kWh of its differences did not arrive: "
                "they are added at the end"
            )


def component(kind: ComponentKind, about: Mapping[str, Any]) -> Component:
    """A component of a client, from the description that it has sent.

    Args:
        kind: Kind of component.
        about: The description.
    """
    texts = {name: value for name, value in about.items() if isinstance(value, str)}
    name = "whole machine" if kind == "host" else name_of(kind, texts)
    mode = texts.get("tracking_mode")
    how = f" (tracking mode {mode})" if mode else ""
    return estimated(kind, kind, name, f"as reported by CodeCarbon{how}")
