"""Live progress of an attempt, with the energy charged so far."""

from __future__ import annotations

import math
from typing import Any

from pricetag.accounting.units import joules_to_kwh
from pricetag.attempt.charged import Figures
from pricetag.attempt.stages import MAX_STAGES, OpenStage


class ProgressBoard:
    """Keeps the job's latest progress and turns it into one record per second."""

    def __init__(self) -> None:
        self._latest: dict[str | None, dict[str, Any]] = {}

    def update(self, key: str | None, fields: dict[str, Any]) -> None:
        """Keeps what the job reported of a stage."""
        if key not in self._latest and len(self._latest) >= MAX_STAGES:
            return
        self._latest[key] = fields

    def record(
        self,
        now_s: float,
        stage: OpenStage | None,
        started_s: float | None,
        live: Figures,
    ) -> dict[str, Any]:
        """The ``progress`` record; ``live`` has the charges so far."""
        reported = self._latest.get(stage.key if stage else None, {})
        done, total = reported.get("done"), reported.get("total")
        return {
            "key": stage.key if stage else None,
            "kind": stage.kind if stage else None,
            "name": stage.name if stage else None,
            "done": done,
            "total": total,
            "unit": reported.get("unit"),
            "message": reported.get("message"),
            "power_w": live.power_w,
            "power_unknown": live.unknown or None,
            "energy_kwh": None if live.energy_j is None else joules_to_kwh(live.energy_j),
            "eta_s": eta_s(done, total, None if started_s is None else now_s - started_s),
        }


def eta_s(done: float | None, total: float | None, elapsed_s: float | None) -> float | None:
    """Remaining seconds of the stage at its mean rate so far; None while unknown."""
    if not done or total is None or elapsed_s is None or done > total:
        return None
    remaining_s = elapsed_s * (total - done) / done
    return remaining_s if math.isfinite(remaining_s) else None
