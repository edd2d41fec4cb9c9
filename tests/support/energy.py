"""Random histories of node hours and attempts, and the account with and without the roll-ups."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update

from app.db import Session
from app.repositories.energy import account as energy_account
from app.repositories.energy import hours as energy_hours
from app.repositories.energy.account import Owner
from app.repositories.energy.rollups import By, Grain, Grouping, Range
from app.repositories.people.visibility import Viewer
from app.services.energy.node_hours import NodeHour, book_node_hours
from models import Attempt, Experiment, Project, Run, User

HOUR = timedelta(hours=1)
BEGIN = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 60 * HOUR
"""In the past, though not long ago: open attempts decide about every hour since they began."""

NODES = ("a", "b")
SITES = {"a": "hall", "b": None}
COMPONENTS: dict[str, tuple[Any, ...]] = {
    "gpu:GPU-1": ("gpu", "NVIDIA H200", "counter", 0.05),
    "gpu:GPU-2": ("gpu", "NVIDIA H200", "integrated", 0.05),
    "cpu": ("cpu", "AMD EPYC", "modelled", 0.45),
}
BYS: tuple[By, ...] = ("node", "component", "site", "hour", "day", "month")
PLACES: dict[Grouping, Grain] = {"node": "hour", "component": "day", "site": "month"}
OWNERS: tuple[Owner, ...] = ("project", "user")
OWNERS_OVER: dict[Owner, Grain] = {"project": "hour", "user": "day"}
EVERYBODY = Viewer(uuid4(), sees_all=True)


async def accounts(session: Session, hours: Range, *, every_hour: bool) -> dict[str, list[Any]]:
    """The account of some hours in every grouping, figure by figure."""
    by_grouping: dict[str, list[Any]] = {}
    for by in BYS:
        by_grouping[by] = list(
            map(tuple, await energy_account.sums(session, by, hours, every_hour=every_hour))
        )
    for owner in OWNERS:
        rows = await energy_account.sums_by_owner(
            session, owner, EVERYBODY, hours, every_hour=every_hour
        )
        by_grouping[owner] = list(map(tuple, rows))
    return by_grouping


async def assert_equal(session: Session, *ranges: Range) -> None:
    """The account equals that of all hours judged now, to the last digit."""
    for hours in ranges:
        rolled = await accounts(session, hours, every_hour=False)
        assert rolled == await accounts(session, hours, every_hour=True), hours
        for by, over in PLACES.items():
            await _assert_others_are_the_rest(session, by, over, hours)
        for owner, grain in OWNERS_OVER.items():
            await _assert_other_owners_are_the_rest(session, owner, grain, hours)
        await _assert_equal_to_a_viewer_of_one_project(session, hours)


async def _assert_equal_to_a_viewer_of_one_project(session: Session, hours: Range) -> None:
    """The charges of users are those of one project, and of what is hidden."""
    first = (await session.execute(select(Project.id).order_by(Project.name).limit(1))).scalar()
    viewer = replace(EVERYBODY, project_id=first)
    rolled, every = [
        await energy_account.sums_by_owner(session, "user", viewer, hours, every_hour=every)
        for every in (False, True)
    ]
    assert list(map(tuple, rolled)) == list(map(tuple, every)), hours


async def _assert_other_owners_are_the_rest(
    session: Session, owner: Owner, over: Grain, hours: Range
) -> None:
    """The largest owner has the same rows as among all; the others add up to the rest."""
    every = await energy_account.charges_over_time(session, owner, EVERYBODY, over, hours)
    some = await energy_account.charges_over_time(session, owner, EVERYBODY, over, hours, 1)
    sizes: Counter[Any] = Counter()
    for row in every:
        sizes[row.owner] += row.total_j
    named = {row.owner for row in some if not row.is_other}
    assert len(named) == (len(sizes) if len(sizes) <= 2 else 1), (owner, hours)
    assert not sizes or max(sizes.values()) == pytest.approx(max(sizes[name] for name in named))
    assert [tuple(row) for row in some if not row.is_other] == [
        tuple(row) for row in every if row.owner in named
    ], (owner, hours)
    others: dict[Any, list[float]] = {}
    for row in every:
        if row.owner not in named:
            rest = others.setdefault(tuple(row[3:8]), [0.0, 0.0, 0])
            for column, value in enumerate((row.total_j, row.running_j, row.hours)):
                rest[column] += value
    assert {
        tuple(row[3:8]): [row.total_j, row.running_j, row.hours] for row in some if row.is_other
    } == {key: pytest.approx(sums, rel=1e-12) for key, sums in others.items()}


async def _assert_others_are_the_rest(
    session: Session, by: Grouping, over: Grain, hours: Range
) -> None:
    """Places named have the same rows as among all; the others add up to the one without a name."""
    every = await energy_account.sums_over_time(session, by, over, hours)
    named = sorted({row.place for row in every})[1:]
    others: dict[Any, list[float]] = {}
    for row in every:
        if row.place not in named:
            before = others.setdefault(tuple(row[1:6]), [0.0, 0])
            before[0] += row.total_j
            before[1] += row.hours
    some = await energy_account.sums_over_time(session, by, over, hours, named)
    assert [tuple(row) for row in some if row.place is not None] == [
        tuple(row) for row in every if row.place in named
    ], (by, hours)
    rest = {tuple(row[1:6]): [row.total_j, row.hours] for row in some if row.place is None}
    assert rest == {key: pytest.approx(sums, rel=1e-12) for key, sums in others.items()}


def row(
    node: str, component: str, hour: datetime, attempt_id: UUID, energy_j: float, covered_s: float
) -> dict[str, Any]:
    """What an attempt is charged of one component in one hour."""
    kind, name, method, gain = COMPONENTS[component]
    return {
        "node_name": node,
        "component": component,
        "name": name,
        "kind": kind,
        "method": method,
        "gain_std_ratio": gain,
        "hour": hour,
        "attempt_id": attempt_id,
        "site": SITES[node],
        "energy_j": energy_j,
        "covered_s": covered_s,
        "flags": [],
    }


@dataclass
class Lab:
    """Draws what happens in a lab, by the functions that the service writes hours with.

    Attributes:
        draw: Decides everything.
        now: The present; moved by :meth:`pass_time`.
        attempts: By id, its node and the hour it began in.
        weights: How often what happens, where it differs from the usual.
    """

    draw: random.Random
    now: datetime = BEGIN
    attempts: dict[UUID, tuple[str, datetime]] = field(default_factory=dict)
    projects: list[UUID] = field(default_factory=list)
    users: list[UUID] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)

    async def open(self, session: Session) -> None:
        """Projects and users, to begin with."""
        for number in range(3):
            project = Project(name=f"project {number}")
            user = User(name=f"user {number}", role="member")
            session.add_all([project, user])
            await session.flush()
            session.add(Experiment(project_id=project.id, name="experiment"))
            self.projects.append(project.id)
            self.users.append(user.id)
        await session.flush()

    async def step(self, session: Session) -> None:
        """One event happens, drawn at random."""
        events = {
            "node_hours": 5,
            "start": 2,
            "charge": 6,
            "learn_components": 1,
            "end": 2,
            "book_anew": 2,
            "correct": 1,
            "move": 1,
            "delete": 0.3,
            **self.weights,
        }
        name = self.draw.choices(list(events), list(events.values()))[0]
        await getattr(self, name)(session)

    def pass_time(self) -> None:
        """The clock continues, by seconds or by hours."""
        self.now += timedelta(seconds=self.draw.choice([1, 40, 70, 900, 3600, 7200]))

    @property
    def hour(self) -> datetime:
        """The present hour, or one before it."""
        hour = self.now.replace(minute=0, second=0, microsecond=0)
        return max(hour - self.draw.choice([0, 0, 0, 1, 1, 2, 5, 30]) * HOUR, BEGIN)

    def energy_j(self) -> float:
        return self.draw.choice([0.1, 0.2, 0.3, 1e-7, 3e5, self.draw.uniform(0, 3e6)])

    def covered_s(self) -> float:
        return self.draw.choice([3600.0, self.draw.uniform(0, 3600)])

    def attempt(self) -> UUID | None:
        return self.draw.choice(list(self.attempts)) if self.attempts else None

    async def node_hours(self, session: Session) -> None:
        node, hour = self.draw.choice(NODES), self.hour
        rows = []
        for component in self.draw.sample(list(COMPONENTS), self.draw.randint(1, 3)):
            kind, name, method, gain = COMPONENTS[component]
            gain = self.draw.choice([gain, gain, gain, 0.01])  # calibrated now and then
            energy_j, covered_s = self.energy_j(), self.covered_s()
            rows.append(
                NodeHour(
                    *(component, name, kind, method, gain, hour, energy_j, covered_s),
                    site=SITES[node],
                )
            )
        await book_node_hours(session, node, rows)

    async def start(self, session: Session) -> None:
        number = self.draw.randrange(3)
        experiment = (
            await session.execute(
                select(Experiment.id).where(Experiment.project_id == self.projects[number])
            )
        ).scalar_one()
        run = Run(
            project_id=self.projects[number],
            experiment_id=experiment,
            name="run",
            kind="train",
            recipe={},
            created_by=self.draw.choice([None, *self.users]),
        )
        session.add(run)
        await session.flush()
        node = self.draw.choice(NODES)
        started_at = self.now - self.draw.choice([0, 0, 4]) * HOUR
        attempt = Attempt(
            run_id=run.id, number=1, worker="w", node_name=node, started_at=started_at
        )
        session.add(attempt)
        await session.flush()
        self.attempts[attempt.id] = (node, started_at.replace(minute=0, second=0, microsecond=0))

    async def learn_components(self, session: Session) -> None:
        names = self.draw.sample(list(COMPONENTS), self.draw.randint(1, 3))
        components = [{"id": name} for name in names]
        await self._update(session, components=components)

    async def _update(self, session: Session, **values: Any) -> None:
        attempt_id = self.attempt()
        if attempt_id is not None:
            statement = update(Attempt).where(Attempt.id == attempt_id).values(**values)
            await session.execute(statement)

    def rows(self, attempt_id: UUID) -> list[dict[str, Any]]:
        node, began = self.attempts[attempt_id]
        slots = {
            (component, max(self.hour, began))
            for component in COMPONENTS
            for _ in range(self.draw.randint(0, 2))
        }
        return [
            row(node, component, hour, attempt_id, self.energy_j(), self.covered_s())
            for component, hour in sorted(slots)
        ]

    async def charge(self, session: Session) -> None:
        attempt_id = self.attempt()
        if attempt_id is not None:
            await energy_hours.put_attempt_hours(session, self.rows(attempt_id))

    async def end(self, session: Session) -> None:
        await self._update(session, ended_at=self.now, status="succeeded")
        if self.draw.random() < 0.5:
            await self.book_anew(session)

    async def book_anew(self, session: Session) -> None:
        """As the end of an attempt, a late journal and a correction do."""
        attempt_id = self.attempt()
        if attempt_id is not None:
            rows = self.rows(attempt_id)
            await energy_hours.replace_attempt_hours(session, attempt_id, rows)

    async def correct(self, session: Session) -> None:
        """By hand, in the database."""
        await session.execute(
            text(
                "UPDATE energy_hours SET energy_j = energy_j / 3, site = 'other'"
                " WHERE node_name = :node AND hour = :hour"
            ),
            {"node": self.draw.choice(NODES), "hour": self.hour},
        )

    async def move(self, session: Session) -> None:
        attempt_id = self.attempt()
        if attempt_id is not None:
            run = select(Attempt.run_id).where(Attempt.id == attempt_id).scalar_subquery()
            values = {
                "project_id": self.draw.choice(self.projects),
                "created_by": self.draw.choice(self.users),
            }
            await session.execute(update(Run).where(Run.id == run).values(**values))

    async def delete(self, session: Session) -> None:
        attempt_id = self.attempt()
        if attempt_id is not None:
            del self.attempts[attempt_id]
            await session.execute(text("DELETE FROM attempts WHERE id = :id"), {"id": attempt_id})
