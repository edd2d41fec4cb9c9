"""Sites with their factors, the price book, hourly intensities, budgets and the audit log."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from app.db import Session
from app.schemas.factors import FactorCreate
from app.schemas.prices import PriceCreate
from app.schemas.sites import SiteCreate
from app.services.factors import entry, price_book, sites
from app.services.principals import Principal
from benchmarks.lab.people import People
from benchmarks.lab.scale import Scale
from models import Budget

CITED: dict[str, Any] = {"source": "the lab's meters", "licence": "the lab's own figure"}
SINCE = "2020-01-01T00:00:00Z"
HOURLY_ZONE = "NO"
CURRENCY = "EUR"
"""The currency of all sites, prices and budgets, and of the server that is measured."""

# A tariff by the hour stays exact when a run is moved by weeks: Tokyo's clock has no summer time.
SITES: dict[str, dict[str, Any]] = {
    "berlin": {"grid_zone": "DE", "time_zone": "Europe/Berlin", "currency": CURRENCY},
    "tokyo": {"grid_zone": "JP", "time_zone": "Asia/Tokyo", "currency": CURRENCY},
    "oslo": {"grid_zone": HOURLY_ZONE, "time_zone": "UTC", "currency": CURRENCY},
}
PUES = {"berlin": "1.21", "tokyo": "1.34", "oslo": "1.09"}
DAY_AND_NIGHT = {
    "periods": [
        {"days": ["mon-sun"], "from": "07:00", "to": "22:00", "price": "0.27"},
        {"days": ["mon-sun"], "from": "22:00", "to": "24:00", "price": "0.19"},
        {"days": ["mon-sun"], "from": "00:00", "to": "07:00", "price": "0.19"},
    ]
}
TARIFFS: dict[str, dict[str, Any]] = {
    "berlin": {"value": "0.31"},
    "tokyo": {"details": DAY_AND_NIGHT},
    "oslo": {"value": "0.12"},
}

INTENSITIES = """
WITH series AS (
    INSERT INTO carbon_series (id, created_at, zone, basis, source, source_url, licence,
        relative_std_ratio, content_sha256)
    VALUES (gen_random_uuid(), :entered, :zone, 'lifecycle, consumption',
        'the grid operator', '', 'CC BY 4.0', 0.05, repeat('0', 64))
    RETURNING id
)
INSERT INTO carbon_hours (series_id, hour, g_per_kwh)
SELECT series.id, hour, round((30 + 12 * sin(extract(epoch FROM hour) / 13750.987))::numeric, 3)
FROM series, generate_series(CAST(:start AS timestamptz), CAST(:stop AS timestamptz),
    interval '1 hour') AS hour
"""

AUDIT = """
INSERT INTO audit_log (at, user_id, actor, access, action, object_kind, object_id, before, after)
SELECT :start + (CAST(:stop AS timestamptz) - :start) * number / :entries,
    person.id, person.name, 'token',
    (ARRAY['created', 'changed', 'repriced', 'closed'])[1 + number % 4],
    (ARRAY['token', 'budget', 'run', 'site', 'factor'])[1 + number % 5],
    md5(number::text)::uuid::text,
    CASE WHEN number % 4 > 0 THEN jsonb_build_object('amount', number) END,
    jsonb_build_object('amount', number + 1, 'note', 'entry ' || number)
FROM generate_series(1, :entries) AS number
JOIN LATERAL (SELECT id, name FROM users ORDER BY name OFFSET number % :people LIMIT 1)
    AS person ON true
"""


async def enter_factors(session: Session, by: Principal, scale: Scale) -> None:
    """Sites and their factors through the service; entered at the beginning of the history."""
    for name, site in SITES.items():
        await sites.create(session, SiteCreate(name=name, **site), by)
        for kind, figure in (("pue", {"value": PUES[name]}), ("tariff", TARIFFS[name])):
            factor = {"kind": kind, "year": 2020, "basis": "annual mean", "valid_from": SINCE}
            body = FactorCreate.model_validate({**CITED, **factor, **figure})
            await entry.enter(session, name, body, by)
    for number in range(40):
        price = {
            "price_id": f"cloud-{number:02d}",
            "provider": f"cloud {number % 5}",
            "accelerator": ("H200", "H100", "A100", "L40S")[number % 4],
            "amount": str(Decimal("1.1") + Decimal(number) / 20),
            "currency": CURRENCY,
            "kind": "spot" if number % 2 else "on_demand",
            "valid_from": SINCE,
        }
        await price_book.add(session, PriceCreate.model_validate({**CITED, **price}), by)
    span = {"start": scale.start - timedelta(days=2), "stop": scale.until + timedelta(days=2)}
    values = {"zone": HOURLY_ZONE, "entered": scale.start, **span}
    await session.execute(text(INTENSITIES), values)
    await _enter_in_the_past(session, scale)


async def _enter_in_the_past(session: Session, scale: Scale) -> None:
    # The tables are append-only for everybody else.
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    for table in ("sites", "factors", "prices", "carbon_series"):
        statement = f"UPDATE {table} SET created_at = :entered"
        await session.execute(text(statement), {"entered": scale.start})
    await session.execute(text("SET LOCAL session_replication_role = DEFAULT"))


def budgets_of(people: People) -> list[dict[str, Any]]:
    """Ten budgets; all of them limit the runs of one user in one experiment."""
    project, user = people.projects[0], people.users[0]
    lab: dict[str, Any] = {"scope": "lab", "scope_id": None}
    of_project = {"scope": "project", "scope_id": project.id}
    of_experiment = {"scope": "experiment", "scope_id": project.experiments[-1]}
    of_user = {"scope": "user", "scope_id": user.id}
    energy = {"metric": "facility_energy_kwh", "currency": None}
    carbon = {"metric": "co2e_kg", "currency": None}
    money = {"metric": "cost", "currency": CURRENCY}
    return [
        {"name": "lab, energy, year", "period": "year", **lab, **energy},
        {"name": "lab, cost, total", "period": "total", **lab, **money},
        {"name": "lab, carbon, month", "period": "month", **lab, **carbon},
        {"name": "lab, energy, week", "period": "week", **lab, **energy},
        {"name": "project, energy, month", "period": "month", **of_project, **energy},
        {"name": "project, cost, quarter", "period": "quarter", **of_project, **money},
        {"name": "project, carbon, total", "period": "total", **of_project, **carbon},
        {"name": "experiment, energy, total", "period": "total", **of_experiment, **energy},
        {"name": "user, energy, month", "period": "month", **of_user, **energy},
        {"name": "user, cost, year", "period": "year", **of_user, **money},
    ]


async def enter_budgets(session: Session, people: People, scale: Scale) -> None:
    """Budgets that warn and never run out."""
    for values in budgets_of(people):
        session.add(
            Budget(
                **values,
                amount=Decimal("1e12"),
                time_zone="Europe/Berlin",
                thresholds=[0.8, 1.0],
                created_at=scale.start,
            )
        )
    await session.flush()


async def enter_audit(session: Session, people: People, scale: Scale) -> None:
    """Entries of the audit log, spread over the history."""
    values = {
        "start": scale.start,
        "stop": scale.until,
        "entries": max(1000, scale.runs // 50),
        "people": len(people.users),
    }
    await session.execute(text(AUDIT), values)
