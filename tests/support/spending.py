"""A random history of runs, attempts, quotes and what they used, written without workers."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, insert, update

from app.db import Session
from app.repositories.budgets import spend
from models import Attempt, Budget, Experiment, Project, Quote, Run, Spend, User
from pricetag.accounting.budgets.periods import PERIODS

METRICS = ("facility_energy_kwh", "co2e_kg", "cost")
SOURCES = ("assumed", "estimated", "measured", None)
CURRENCIES = ("EUR", "USD", "JPY")
ZONES = ("UTC", "Asia/Tokyo", "Asia/Kathmandu", "America/Sao_Paulo", "Europe/Berlin")
OPEN = ("queued", "running")
BEGIN = datetime(2025, 11, 3, tzinfo=UTC)
DAYS = 150


@dataclass
class Past:
    """One run and its attempts, as the history has them."""

    run_id: uuid.UUID
    project_id: uuid.UUID
    experiment_id: uuid.UUID
    user_id: uuid.UUID | None
    status: str
    attempts: list[uuid.UUID]
    at: list[datetime]


@dataclass
class History:
    """Random runs of a lab.

    Args:
        seed: Of the random numbers.
    """

    seed: int
    runs: list[Past] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.users: list[uuid.UUID] = []
        self.experiments: list[tuple[uuid.UUID, uuid.UUID]] = []

    async def begin(self, session: Session, count: int) -> None:
        """Writes runs with up to three ended attempts each."""
        await self._places(session)
        past = [self._run() for _ in range(count)]
        self.runs += past
        await session.execute(insert(Run), [_run_row(run) for run in past])
        attempts = [row for run in past for row in self._attempt_rows(run)]
        await session.execute(insert(Attempt), attempts)
        rows = [row for run in past for row in self.spend_rows(run)]
        for start in range(0, len(rows), 500):
            await spend.add(session, rows[start : start + 500])
        quotes = [self._quote(run) for run in past if self.random.random() < 0.8]
        await session.execute(insert(Quote), quotes)

    async def _places(self, session: Session) -> None:
        for number in range(6):
            user = User(name=f"user {self.seed}.{number}", role="member")
            project = Project(name=f"project {self.seed}.{number}")
            session.add_all([user, project])
            await session.flush()
            self.users.append(user.id)
            for name in ("a", "b"):
                experiment = Experiment(project_id=project.id, name=name)
                session.add(experiment)
                await session.flush()
                self.experiments.append((project.id, experiment.id))

    def _run(self) -> Past:
        chance = self.random
        project_id, experiment_id = chance.choice(self.experiments)
        count = chance.choices((0, 1, 2, 3), (10, 70, 15, 5))[0]
        ends = sorted(self._instant() for _ in range(count))
        if count > 1 and chance.random() < 0.7:  # most attempts follow soon
            ends = [ends[0] + timedelta(hours=5 * n * chance.random()) for n in range(count)]
        finished = ("succeeded", "failed", "cancelled")
        return Past(
            uuid.UUID(int=chance.getrandbits(128), version=4),
            project_id,
            experiment_id,
            chance.choice([*self.users, None]),
            chance.choice(OPEN if chance.random() < 0.1 else finished),
            [uuid.UUID(int=chance.getrandbits(128), version=4) for _ in ends],
            ends,
        )

    def _instant(self) -> datetime:
        chance = self.random
        at = BEGIN + timedelta(days=DAYS * chance.random())
        if chance.random() < 0.2:  # at an edge of a period, or beside it
            tick = timedelta(microseconds=chance.choice((-1, 0, 1)))
            hour = chance.choice((0, 3, 15, 23))
            at = at.replace(hour=hour, minute=0, second=0, microsecond=0) + tick
        return at

    def _attempt_rows(self, run: Past) -> list[dict[str, Any]]:
        return [
            {
                "id": attempt_id,
                "run_id": run.run_id,
                "number": number,
                "status": "failed",
                "worker": "w",
                "node_name": "n",
                "devices": [],
                "components": [],
                "started_at": BEGIN,
                "lease_renewed_at": BEGIN,
                "ended_at": at,
                "ingested_seq": -1,
                "shares_overlaps": False,
            }
            for number, (attempt_id, at) in enumerate(zip(run.attempts, run.at, strict=True), 1)
        ]

    def spend_rows(self, run: Past) -> list[dict[str, Any]]:
        """What the attempts of a run have used, again."""
        chance = self.random
        rows = []
        for attempt_id, at in zip(run.attempts, run.at, strict=True):
            amounts = {name: self._figure() for name in METRICS if chance.random() < 0.8}
            sources = {name: chance.choice(SOURCES) for name in amounts}
            cost = amounts.get("cost")
            rows.append(
                {
                    "attempt_id": attempt_id,
                    "run_id": run.run_id,
                    "project_id": run.project_id,
                    "experiment_id": run.experiment_id,
                    "user_id": run.user_id,
                    "at": at,
                    "price_tag_version": 1,
                    "it_energy_kwh": amounts.get("facility_energy_kwh"),
                    "facility_energy_kwh": amounts.get("facility_energy_kwh"),
                    "co2e_kg": amounts.get("co2e_kg"),
                    "cost": None if cost is None else Decimal(str(cost)),
                    "currency": None if cost is None else chance.choice(CURRENCIES[:2]),
                    "sources": {name: one for name, one in sources.items() if one is not None},
                }
            )
        return rows

    def _figure(self) -> float:
        chance = self.random
        return chance.choice((0.0, chance.random(), 10 ** chance.uniform(-9, 6), 0.1))

    def _quote(self, run: Past) -> dict[str, Any]:
        chance = self.random
        amounts = {name: self._figure() for name in METRICS if chance.random() < 0.8}
        cost = amounts.get("cost")
        return {
            "id": uuid.UUID(int=chance.getrandbits(128), version=4),
            "run_id": run.run_id,
            "method": "history",
            "content": {},
            "created_at": BEGIN,
            "facility_energy_kwh": amounts.get("facility_energy_kwh"),
            "co2e_kg": amounts.get("co2e_kg"),
            "cost": None if cost is None else Decimal(str(cost)),
            "currency": None if cost is None else chance.choice(CURRENCIES[:2]),
        }

    async def go_on(self, session: Session) -> None:
        """One random change."""
        often = [self._reprice, self._transit, self._end_attempt]
        change = self.random.choice([*often, *often, self._delete, self._move, self._requote])
        await change(session, self.random.choice(self.runs))

    async def _reprice(self, session: Session, run: Past) -> None:
        await spend.replace(session, run.run_id, self.spend_rows(run))

    async def _transit(self, session: Session, run: Past) -> None:
        run.status = self.random.choice((*OPEN, "succeeded", "failed", "cancelled"))
        await session.execute(update(Run).where(Run.id == run.run_id).values(status=run.status))

    async def _end_attempt(self, session: Session, run: Past) -> None:
        """A further attempt, as a lost one of a run that is repeated."""
        run.attempts.append(uuid.UUID(int=self.random.getrandbits(128), version=4))
        run.at.append(self._instant())
        await session.execute(insert(Attempt), self._attempt_rows(run)[-1:])
        await spend.replace(session, run.run_id, self.spend_rows(run))

    async def _requote(self, session: Session, run: Past) -> None:
        quote = self._quote(run)
        figures = {name: quote[name] for name in (*METRICS, "currency")}
        await session.execute(update(Quote).where(Quote.run_id == run.run_id).values(**figures))

    async def _move(self, session: Session, run: Past) -> None:
        """Nothing in Pricetag moves what was used; whoever does so by hand must not break it."""
        values = {"at": self._instant(), "project_id": self.random.choice(self.experiments)[0]}
        await session.execute(update(Spend).where(Spend.run_id == run.run_id).values(**values))

    async def _delete(self, session: Session, run: Past) -> None:
        self.runs.remove(run)
        await session.execute(delete(Run).where(Run.id == run.run_id))

    def budget(self) -> Budget:
        """A budget of any kind."""
        chance = self.random
        scope = chance.choice(("lab", "project", "experiment", "user"))
        project_id, experiment_id = chance.choice(self.experiments)
        ids = {
            "lab": None,
            "project": project_id,
            "experiment": experiment_id,
            "user": chance.choice(self.users),
        }
        metric = chance.choice(METRICS)
        return Budget(
            id=uuid.UUID(int=chance.getrandbits(128), version=4),
            name=f"budget {chance.getrandbits(64)}",
            scope=scope,
            scope_id=ids[scope],
            metric=metric,
            currency=chance.choice(CURRENCIES) if metric == "cost" else None,
            amount=Decimal(1),
            period=chance.choice(PERIODS),
            time_zone=chance.choice(ZONES),
            thresholds=[],
            refuses=True,
            stops=True,
        )


def _run_row(run: Past) -> dict[str, Any]:
    return {
        "id": run.run_id,
        "project_id": run.project_id,
        "experiment_id": run.experiment_id,
        "created_by": run.user_id,
        "name": "run",
        "tags": [],
        "kind": "train",
        "recipe": {},
        "gpus": 0,
        "pool": "default",
        "priority": 0,
        "max_attempts": 3,
        "status": run.status,
        "created_at": BEGIN,
    }
