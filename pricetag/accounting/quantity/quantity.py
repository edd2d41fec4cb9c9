"""A number with its unit, interval and evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Source = Literal["counter", "integrated", "modelled", "estimated", "assumed"]

SOURCES: tuple[Source, ...] = ("counter", "integrated", "modelled", "estimated", "assumed")
"""Kinds of evidence, strongest first."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One figure of a price tag.

    Attributes:
        value: The figure, or None if unknown.
        low: Lower end of the 95% interval (None if unknown).
        high: Upper end of the 95% interval (None if unknown).
        unit: Unit of all three, for example ``kWh``.
        source: Weakest evidence of the figure; None if unknown.
        reason: Reason why the figure is unknown, or a remark on a known one.

    Raises:
        ValueError: If an unknown value has no reason, a known value has no source, or the
            interval does not contain the value.
    """

    value: float | None
    low: float | None
    high: float | None
    unit: str
    source: Source | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if self.value is None:
            if not self.reason:
                raise ValueError(f"an unknown quantity in {self.unit} needs a reason")
            if self.source is not None or self.low is not None or self.high is not None:
                raise ValueError(f"an unknown quantity in {self.unit} has no source or interval")
            return
        if self.source is None:
            raise ValueError(f"{self.value} {self.unit} needs a source")
        if self.low is None or self.high is None or not self.low <= self.value <= self.high:
            raise ValueError(
                f"{self.value} {self.unit} is outside its interval [{self.low}, {self.high}]"
            )

    @classmethod
    def unknown(cls, unit: str, reason: str) -> Quantity:
        """An unknown figure, with the reason."""
        return cls(None, None, None, unit, None, reason)

    @classmethod
    def exact(cls, value: float, unit: str, source: Source) -> Quantity:
        """A figure without error, such as a count."""
        return cls(value, value, value, unit, source)

    def as_dict(self) -> dict[str, Any]:
        """``{value, low, high, unit, source}``, and ``reason`` if any."""
        wire: dict[str, Any] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "source": self.source,
        }
        if self.reason is not None:
            wire["reason"] = self.reason
        return wire


def weakest(*sources: Source) -> Source:
    """The weakest of several kinds of evidence: the evidence of their product."""
    return max(sources, key=SOURCES.index)
