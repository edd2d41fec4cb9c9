"""Idle power of components: measured occasionally, stored on local disk."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pricetag.atomic_files import write_whole
from pricetag.metering.states import State

logger = logging.getLogger(__name__)

MEASURE_S = 60.0
"""Minimum idle time of a component before a measurement, in s."""

REFRESH = timedelta(hours=1)

NEVER_MEASURED = (
    "no idle power is known: it is measured when no job was on the component for "
    f"{MEASURE_S:.0f} s while a worker was running"
)


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean power of an idle component in one state.

    Attributes:
        settings: Part of the state that people set.
        level: Part of the state that changes by itself (the P-state).
        power_std_w: Standard deviation of the power samples; None if there were none.
        source: counter, integrated or modelled.
        measured_at: End of the measurement, UTC.
    """

    component: str
    settings: str
    level: str
    power_w: float
    power_std_w: float | None
    duration_s: float
    source: str
    measured_at: datetime

    @property
    def state(self) -> str:
        """The state in words."""
        return str(State(self.settings, self.level))


class BaselineBook:
    """Latest baseline of each component and state, in a file shared by a machine's workers.

    Args:
        path: The file; treated as empty if missing or unreadable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> list[Baseline]:
        """Every stored baseline."""
        try:
            stored = json.loads(self._path.read_text())
            return [_from_dict(item) for item in stored]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, KeyError) as error:
            logger.warning("the baselines in %s cannot be read: %s", self._path, error)
            return []

    def add(self, measured: Iterable[Baseline]) -> None:
        """Store baselines; each replaces the older one of its component and state.

        Raises:
            OSError: If the file cannot be written; it keeps its content.
        """
        latest = {(item.component, item.state): item for item in [*self.all(), *measured]}
        write_whole(self._path, json.dumps([_as_dict(item) for item in latest.values()]))

    def is_due(self, component: str, state: State, now: datetime) -> bool:
        """Whether a component should be measured again in this state."""
        return not any(
            item.component == component
            and item.state == str(state)
            and now - item.measured_at < REFRESH
            for item in self.all()
        )


def choose(baselines: Iterable[Baseline], component: str, state: State) -> tuple[float | None, str]:
    """The idle power of a component in a state, in W, and its source.

    The latest of the same state; if there is none, the latest of the same settings: a device
    that was used just now idles at another P-state than one that has settled.

    Returns:
        The power, or None if no baseline matches, and a note: when and in which state it was
        measured, or why there is none.
    """
    here = [item for item in baselines if item.component == component]
    alike = [item for item in here if item.settings == state.settings]
    same = [item for item in alike if item.level == state.level]
    if not alike:
        if not here:
            return None, NEVER_MEASURED
        states = "; ".join(sorted({item.state for item in here}))
        return None, f"no idle power is known in this state ({state}), only in: {states}"
    newest = max(same or alike, key=lambda item: item.measured_at)
    when = newest.measured_at.strftime("%Y-%m-%d %H:%M UTC")
    note = f"measured {when} over {newest.duration_s:.0f} s ({newest.source}), {newest.state}"
    return newest.power_w, note if same else f"{note}; the device is at {state.level} now"


def _as_dict(item: Baseline) -> dict[str, Any]:
    return asdict(item) | {"measured_at": item.measured_at.isoformat()}


def _from_dict(stored: dict[str, Any]) -> Baseline:
    at = datetime.fromisoformat(stored["measured_at"]).astimezone(UTC)
    return Baseline(**{**stored, "measured_at": at})
