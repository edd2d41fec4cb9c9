"""The rows of the catalog: facts with their source, year and basis."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pricetag.accounting.bill.inputs import Factor
from pricetag.accounting.quantity.quantity import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """Fields of every row.

    Attributes:
        source: Author and title of the publication.
        source_url: Address of the publication; empty if only the title is known.
        year: Year that the figure describes, or of the publication.
        basis: What the figure includes.
        licence: License of the figure.
    """

    source: str
    source_url: str
    year: int
    basis: str
    licence: str

    def cited(
        self,
        value: float,
        unit: str,
        relative_std_ratio: float,
        evidence: Source,
        *,
        citation: str | None = None,
        zone: str | None = None,
        multiplicative: bool = False,
    ) -> Factor:
        """A factor of a price tag with this row's citation."""
        return Factor(
            value=value,
            unit=unit,
            relative_std_ratio=relative_std_ratio,
            source=evidence,
            citation=self.source if citation is None else citation,
            year=self.year,
            basis=self.basis,
            zone=zone,
            licence=self.licence,
            source_url=self.source_url,
            multiplicative=multiplicative,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Country(Cited):
    """A country or territory by its codes, whether or not the catalog has its electricity."""

    zone: str
    alpha2: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GridFactor(Cited):
    """Carbon intensity of a zone's electricity, in g CO2e/kWh."""

    zone: str
    alpha2: str
    name: str
    g_per_kwh: float
    evidence: Source
    same_year_std_ratio: float
    other_year_std_ratio: float

    def as_factor(self, used_in_year: int | None = None) -> Factor:
        """The factor for energy used in a year; its error is larger in another year."""
        same = used_in_year == self.year
        std_ratio = self.same_year_std_ratio if same else self.other_year_std_ratio
        return self.cited(self.g_per_kwh, "g/kWh", std_ratio, self.evidence, zone=self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pue(Cited):
    """A power usage effectiveness."""

    id: str
    pue: float
    evidence: Source
    relative_std_ratio: float

    def as_factor(self) -> Factor:
        """The factor of a price tag."""
        return self.cited(self.pue, "1", self.relative_std_ratio, self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator(Cited):
    """Peak throughput of a device without sparsity, in 16-bit floating point.

    ``match`` is a regular expression on the device's product name.
    """

    id: str
    name: str
    match: str
    peak_dense_16bit_tflop_per_s: float

    @property
    def peak_flops_per_s(self) -> float:
        """The peak in FLOP/s."""
        return self.peak_dense_16bit_tflop_per_s * 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Embodied(Cited):
    """Emissions of making a piece of hardware, in kg CO2e, uncertain by a factor.

    ``match`` is a regular expression on a device's product name; empty if it is not a device.
    """

    id: str
    name: str
    match: str
    per: str
    embodied_co2e_kg: float
    times_or_divided_by: float
    evidence: Source

    def as_factor(self) -> Factor:
        """The factor, its error multiplicative."""
        return self.cited(
            self.embodied_co2e_kg,
            f"kg/{self.per}",
            self.times_or_divided_by - 1,
            self.evidence,
            multiplicative=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime(Cited):
    """Lifetime and utilization of hardware, and its share per accelerator.

    ``pieces_per_accelerator`` is the fraction of it that counts for one accelerator.
    """

    id: str
    lifetime_h: float
    utilisation_ratio: float
    pieces_per_accelerator: float
    evidence: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Water(Cited):
    """Liters per kWh: on site for cooling (``wue``) or for the electricity of a zone."""

    id: str
    kind: str
    zone: str
    l_per_kwh: float
    evidence: Source
    relative_std_ratio: float
    multiplicative: bool

    def as_factor(self) -> Factor:
        """The factor of a price tag."""
        return self.cited(
            self.l_per_kwh,
            "l/kWh",
            self.relative_std_ratio,
            self.evidence,
            zone=self.zone or None,
            multiplicative=self.multiplicative,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price(Cited):
    """An example price of a device-hour; a lab has its own price book.

    ``kind`` is on_demand, spot, reserved or internal; ``valid_to`` is empty while it is valid.
    """

    price_id: str
    provider: str
    region: str
    accelerator: str
    unit: str
    amount: Decimal
    currency: str
    kind: str
    valid_from: str
    valid_to: str
    label: str

    def as_factor(self) -> Factor:
        """The factor of a price tag: an exact amount for an assumed use."""
        return self.cited(
            float(self.amount),
            f"{self.currency}/{self.unit}",
            0.0,
            "assumed",
            citation=f"{self.source} ({self.provider}, {self.kind}, {self.label})",
            zone=self.region,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalent(Cited):
    """A well-known activity with its emissions, in pounds as published."""

    id: str
    name: str
    co2e_lb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Cited):
    """A published figure with the inputs to recompute it.

    ``devices`` x ``device_power_w`` is the IT power; ``price_devices`` are paid for. ``models``
    models were trained, in a ``part`` of the work (model, tuning or research; empty for one model
    alone). Inputs that were not published, and figures that were not printed, are None.
    ``power_basis`` is ``printed`` if the source states the power.
    """

    id: str
    model: str
    hardware: str
    part: str
    models: int
    devices: int
    device_power_w: float | None
    power_basis: str
    hours: float
    pue: float | None
    g_per_kwh: float | None
    price_devices: int | None
    accelerator: str
    price_low: Decimal | None
    price_high: Decimal | None
    electricity_price_per_kwh: Decimal | None
    facility_energy_kwh: float | None
    co2e_kg: float | None
    co2e_lb: float | None
    cost_low: Decimal | None
    cost_high: Decimal | None
    electricity_cost: Decimal | None
    currency: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Currency(Cited):
    """A currency of prices, by its ISO 4217 code."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileRow(Cited):
    """The factors of a reporting convention, by reference to other rows."""

    id: str
    pue_id: str
    carbon_lb_per_kwh: float
    carbon_std_ratio: float
    price_prefix: str
