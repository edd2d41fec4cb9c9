"""Spend of attempts, stored beside the price tags so that budgets can sum it.

There is one row per attempt, from the latest price tag of its run, for failed, canceled and
lost attempts too. Figures that are unknown in the price tag are null here, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.budgets import spend
from models import Attempt, PriceTag, Run

FIGURES = ("it_energy_kwh", "facility_energy_kwh", "co2e_kg")
NO_PRICE_TAG = 0
"""The version of rows for which no price tag could be built."""


async def book(session: Session, run: Run, tag: PriceTag) -> None:
    """Writes the spend of the attempts of a price tag; the latest version counts.

    Args:
        session: Committed by the caller, who holds the run's lock.
        run: The run of the price tag.
        tag: The price tag that was issued just now.
    """
    ended = await _ended(session, run.id)
    billed = {attempt["number"]: attempt for attempt in tag.content["attempts"]}
    rows = [
        _row(run, attempt, tag.version, _figures(billed.get(attempt.number, {}), tag.content))
        for attempt in ended
    ]
    await spend.replace(session, run.id, rows)


async def book_unknown(session: Session, run: Run) -> None:
    """Writes the spend of the attempts as unknown, since no price tag could be built."""
    booked = {row.attempt_id for row in await spend.spent_by_runs(session, [run.id])}
    missing = [attempt for attempt in await _ended(session, run.id) if attempt.id not in booked]
    rows = [_row(run, attempt, NO_PRICE_TAG, _figures({}, {})) for attempt in missing]
    await spend.add(session, rows)


async def _ended(session: Session, run_id: UUID) -> list[Attempt]:
    attempts = await attempt_rows.of_run(session, run_id)
    return [attempt for attempt in attempts if attempt.ended_at is not None]


def _row(run: Run, attempt: Attempt, version: int, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "attempt_id": attempt.id,
        "run_id": run.id,
        "project_id": run.project_id,
        "experiment_id": run.experiment_id,
        "user_id": run.created_by,
        "at": attempt.ended_at,
        "price_tag_version": version,
        **figures,
    }


def _figures(attempt: Mapping[str, Any], tag: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one attempt, with the evidence of each."""
    figures = {name: attempt.get(name) or {} for name in FIGURES}
    figures["cost"] = _cost(attempt, tag) or {}
    known_figures = {
        name: figure for name, figure in figures.items() if figure.get("value") is not None
    }
    values: dict[str, Any] = {name: known_figures.get(name, {}).get("value") for name in figures}
    cost = values["cost"]
    return values | {
        "cost": None if cost is None else Decimal(str(cost)),
        "currency": (tag.get("cost") or {}).get("currency") if cost is not None else None,
        "sources": {name: figure["source"] for name, figure in known_figures.items()},
    }


def _cost(attempt: Mapping[str, Any], tag: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The attempt's own cost; in price tags without it, its part of the run's electricity.

    Electricity is paid by the kWh, so the attempt's part is proportional to its facility energy.
    """
    own = (attempt.get("cost") or {}).get("total")
    if own is not None:
        return dict(own)
    paid = (tag.get("cost") or {}).get("electricity") or {}
    used = (attempt.get("facility_energy_kwh") or {}).get("value")
    facility_kwh = (tag.get("facility_energy_kwh") or {}).get("value")
    if paid.get("value") is None or used is None or not facility_kwh:
        return None
    return {"value": paid["value"] * used / facility_kwh, "source": paid["source"]}
