"""The interface of every meter: components, fast power samples, cumulative readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, Protocol, TypedDict

from pricetag.accounting.readings.component import Component, ComponentKind

__all__ = ["Component", "ComponentKind", "PowerSource", "Reading", "UnavailableSource", "silent"]

LOST = "lost"
GAP = "gap"
UNAVAILABLE = "unavailable"
NO_PERMISSION = "no_permission"
SOURCE_ERROR = "source_error"


class Reading(TypedDict):
    """One component at one moment; the fields of the journal's ``reading`` record.

    ``counter_j`` and ``integrated_j`` are cumulative, in J; ``power_w`` is in W. What could
    not be read is None, and a flag says why. ``own_busy_s`` and ``all_busy_s``, cumulative too,
    give a job's share of a component that it shares.
    """

    component: str
    counter_j: float | None
    integrated_j: float | None
    power_w: float | None
    flags: list[str]
    own_busy_s: NotRequired[float | None]
    all_busy_s: NotRequired[float | None]


class PowerSource(Protocol):
    """One meter. Not thread-safe: the :class:`~pricetag.metering.meter.Meter` serializes its use.

    A constructor is cheap; the first ``components()`` opens what has to be opened.
    """

    def components(self) -> list[Component]:
        """What this source meters, always in the same order."""
        ...

    def sample(self, now_s: float) -> Sequence[float | None]:
        """Power in W of each component, in the order of :meth:`components`.

        None where there is nothing to integrate: unreadable at this moment, or the source
        keeps its own cumulative energy. The returned object may be reused by the next call.
        """
        ...

    def read(self, now_s: float) -> list[Reading]:
        """Cumulative energy of each component.

        A source that integrates by itself fills ``integrated_j``; where it is None the meter
        puts its own integral of the samples.
        """
        ...

    def close(self) -> None:
        """Release everything that was opened."""
        ...


def silent(component_id: str, *flags: str, power_w: float | None = None) -> Reading:
    """A reading without energy, with flags that say why."""
    return Reading(
        component=component_id,
        counter_j=None,
        integrated_j=None,
        power_w=power_w,
        flags=list(flags),
    )


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
        return [silent(component.id, UNAVAILABLE) for component in self._components]

    def close(self) -> None:
        """Nothing to close."""
