"""The interface of every meter: components, fast power samples, cumulative readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pricetag.accounting.readings.component import Component, ComponentKind
from pricetag.accounting.readings.reading import Reading

__all__ = ["Component", "ComponentKind", "PowerSource", "Reading", "UnavailableSource"]

LOST = "lost"
GAP = "gap"
UNAVAILABLE = "unavailable"
NO_PERMISSION = "no_permission"
SOURCE_ERROR = "source_error"


class PowerSource(Protocol):
    """One meter. Not thread-safe: the :class:`~pricetag.metering.meter.Meter` serializes its use.

    The constructor is cheap; the first call of ``components()`` opens the devices.
    """

    def components(self) -> list[Component]:
        """The components that this source meters, always in the same order."""
        ...

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Power in W of each component, in the order of :meth:`components`.

        None where there is nothing to integrate: unreadable at this moment, or the source
        keeps its own cumulative energy. The returned object may be reused by the next call.
        """
        ...

    def read(self, now_s: float) -> list[Reading]:
        """Cumulative energy of each component at ``now_s``.

        Unreadable energies are None, and a flag states the reason. A source that integrates itself
        fills ``integrated_j``; if it is None, the meter adds its own integral of the samples.
        """
        ...

    def close(self) -> None:
        """Release everything that was opened."""
        ...


class UnavailableSource:
    """Components that cannot be metered here: null with a reason, never omitted.

    Args:
        components: The components; their ``notes`` say why they cannot be metered.
    """

    def __init__(self, components: Sequence[Component]) -> None:
        self._components = list(components)
        self._nothing: tuple[float | None, ...] = (None,) * len(self._components)

    def components(self) -> list[Component]:
        """The unavailable components."""
        return list(self._components)

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Nothing can be sampled."""
        return self._nothing

    def read(self, now_s: float) -> list[Reading]:
        """One silent reading per component."""
        return [Reading.silent(component.id, now_s, UNAVAILABLE) for component in self._components]

    def close(self) -> None:
        """Nothing to close."""
