"""Reads energy counters once, continuing where an earlier reading stopped."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from pricetag.metering.host_check import MAX_ZONE_POWER_W
from pricetag.metering.rapl_zones import scan
from pricetag.metering.source import Reading

logger = logging.getLogger(__name__)

GPU, RAPL = "gpu:", "rapl:"


def continued_j(
    before_j: float, now_j: float, elapsed_s: float, *, wraps_at_j: float | None
) -> float | None:
    """Energy counted between two values of a counter; None if they do not determine it.

    Args:
        before_j: The earlier value, in J.
        now_j: The present value, in J.
        elapsed_s: The time between them, in s.
        wraps_at_j: Value at which the counter wraps, in J; None if it never does.

    Returns:
        The difference, in J; None if the counter was reset, or may have wrapped more than once.
    """
    energy_j = now_j - before_j
    if wraps_at_j is None:
        return energy_j if energy_j >= 0 else None
    most_j = elapsed_s * MAX_ZONE_POWER_W
    if most_j >= wraps_at_j:
        return None
    energy_j %= wraps_at_j
    return energy_j if energy_j <= most_j else None


def read_on(
    last: Mapping[str, Reading], now_s: float, root: Path, *, unaligned: Collection[str] = ()
) -> dict[str, Reading]:
    """Readings of the counters of some components, in continuation of their last ones.

    Args:
        last: Last reading of each component, by ID.
        now_s: The present time on the clock of these readings.
        root: Folder of the RAPL zones.
        unaligned: Components whose readings no longer differ from the counter by whole
            wrap-arounds, because a jump was dropped from them.

    Returns:
        A reading by component; a component is missing if it has no counter, or if its counter
        cannot be read or does not continue the last reading.
    """
    counted = {id_: reading for id_, reading in last.items() if reading.counter_j is not None}
    shown = _gpu_counters_j([id_ for id_ in counted if id_.startswith(GPU)])
    wraps_at_j: dict[str, float | None] = dict.fromkeys(shown)
    for zone_id, (counter_j, range_j) in _rapl_counters_j(root).items():
        if zone_id not in unaligned:
            shown[zone_id], wraps_at_j[zone_id] = counter_j, range_j
    readings: dict[str, Reading] = {}
    for id_ in counted.keys() & shown.keys():
        before_j, elapsed_s = counted[id_].counter_j or 0.0, now_s - counted[id_].t_s
        energy_j = continued_j(before_j, shown[id_], elapsed_s, wraps_at_j=wraps_at_j[id_])
        if energy_j is not None and elapsed_s > 0:
            readings[id_] = Reading(now_s, before_j + energy_j, None, None, component=id_)
    return readings


def _gpu_counters_j(ids: Collection[str]) -> dict[str, float]:
    if not ids:
        return {}
    from pricetag.metering import open_sources  # it imports this package's sources

    shown: dict[str, float] = {}
    for source in open_sources([id_.removeprefix(GPU) for id_ in ids], include_host=False):
        try:
            source.components()
            source.sample(0.0)
            for reading in source.read(0.0):
                if reading.counter_j is not None:
                    shown[reading.component] = reading.counter_j
        except Exception as error:  # a broken source must not stop the others
            logger.warning("counters cannot be read: %s: %s", type(error).__name__, error)
        finally:
            source.close()
    return shown


def _rapl_counters_j(root: Path) -> dict[str, tuple[float, float | None]]:
    """Counter and wrap-around of each zone, in J."""
    zones = scan(root)
    shown: dict[str, tuple[float, float | None]] = {}
    for zone in (*zones.packages, *zones.dram):
        try:
            counter_j = zone.read_uj() / 1e6
        except (OSError, ValueError):
            continue
        range_j = None if zone.range_uj is None else zone.range_uj / 1e6
        shown[f"{RAPL}{zone.id}"] = counter_j, range_j
    return shown
