"""A lab of random runs, and its lists of runs made by hand."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection, async_sessionmaker

from app.db import Database, Session
from app.repositories.people.visibility import Viewer
from app.repositories.runs import runs
from app.repositories.runs.orders import FIGURES, Position
from app.repositories.runs.runs import RunRow
from app.repositories.runs.selection import RunFilter, resolve
from models import Experiment, PriceTag, Project, ProjectMember, Run, User
from pricetag.tag.headline import headline_of

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SOON = BEGIN + timedelta(minutes=2)
STATUSES = ("queued", "running", "succeeded", "failed", "cancelled")
KINDS = ("command", "train", "train+measure", "train+quantize+measure", "distill+train")
TAGS = ("paper", "lr-0.1", "Grün", "a'b", r"back\slash", "100%", "old")
WORDS = ("resnet", "bert", "x", "ü", "it's", r"a\b", "50%")
SORTS = ("created_at", "-created_at", "finished_at", "-finished_at", "name", "-name")
FIGURE_SORTS = ("it_energy_kwh", "-it_energy_kwh", "cost", "-cost")
CURRENCY = "USD"
UNREADABLE = headline_of({})


class Lab:
    """A few hundred runs, as rows and as plain values."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.users = {name: uuid.uuid4() for name in ("ada", "bob", "root")}
        self.projects = {
            name: uuid.uuid4() for name in ("open", "other", "hers", "private", "none")
        }
        self.experiments = {
            (project, name): uuid.uuid4() for project in self.projects for name in ("e1", "e2")
        }
        self.runs: list[dict[str, Any]] = []

    async def fill(self, number: int, seed: int = 1) -> None:
        await self.session.execute(
            insert(User), [{"id": i, "name": n, "role": "member"} for n, i in self.users.items()]
        )
        private = ("hers", "private")
        await self.session.execute(
            insert(Project),
            [
                {"id": i, "name": n, "visibility": "private" if n in private else "open"}
                for n, i in self.projects.items()
            ],
        )
        await self.session.execute(
            insert(ProjectMember),
            [{"project_id": self.projects["hers"], "user_id": self.users["ada"], "role": "owner"}],
        )
        await self.session.execute(
            insert(Experiment),
            [
                {"id": i, "project_id": self.projects[project], "name": name}
                for (project, name), i in self.experiments.items()
            ],
        )
        await self.add(number, Random(seed))

    async def add(self, number: int, random: Random, **values: Any) -> None:
        await self.insert([self._run(random) | values for _ in range(number)], random)

    async def insert(self, made: list[dict[str, Any]], random: Random) -> None:
        """Inserts runs, and for some of them price tags."""
        self.runs += made
        names = {column.key for column in Run.__table__.columns}
        rows = [{k: v for k, v in run.items() if k in names} for run in made]
        if rows:
            await self.session.execute(insert(Run), rows)
        tags = [tag for run in made for tag in _tags(run, random)]
        if tags:
            await self.session.execute(insert(PriceTag), tags)

    def _run(self, random: Random) -> dict[str, Any]:
        project, experiment = random.choice([key for key in self.experiments if key[0] != "none"])
        user = random.choice(["ada", "bob", None])
        # Few different times, so that many runs share one.
        created_at = BEGIN + timedelta(minutes=random.randrange(60))
        status = random.choices(STATUSES, weights=(1, 1, 20, 4, 1))[0]
        over = status not in ("queued", "running")
        return {
            "id": uuid.UUID(int=random.getrandbits(128)),
            "project": project,
            "experiment": experiment,
            "user": user,
            "project_id": self.projects[project],
            "experiment_id": self.experiments[project, experiment],
            "created_by": self.users.get(user or ""),
            "name": f"{random.choice(WORDS)}-{random.choice(WORDS)} {random.randrange(5)}",
            "tags": random.sample(TAGS[:-1], random.randrange(3))
            + (["old"] if created_at < BEGIN + timedelta(minutes=3) else []),
            "kind": random.choices(KINDS, weights=(5, 20, 20, 2, 1))[0],
            "recipe": {"stages": []},
            "status": status,
            "created_at": created_at,
            "finished_at": created_at + timedelta(minutes=random.randrange(30)) if over else None,
        }


def _tags(run: dict[str, Any], random: Random) -> list[dict[str, Any]]:
    """The versions of a run's price tag, if it has any; the newest one counts.

    Few different figures, so that many runs share one; some are unknown.
    """
    run["it_energy_kwh"] = run["cost"] = None
    rows = []
    for version in range(1, random.choice((1, 2, 2, 2, 3, 4))):
        energy_kwh = random.choice((None, 0.0, 0.1, 0.2, 3.0, 1e-12, 2.5e9))
        cost = random.choice((None, 0.0, 0.07, 0.5, 12.0))
        currency = random.choice((CURRENCY, CURRENCY, "EUR"))
        run["it_energy_kwh"], run["cost"] = energy_kwh, cost if currency == CURRENCY else None
        rows.append(
            {
                "run_id": run["id"],
                "version": version,
                "accounting_version": "5",
                "content": {},
                "headline": UNREADABLE,
                "content_sha256": "",
                "it_energy_kwh": energy_kwh,
                "cost": cost,
                "currency": currency,
            }
        )
    return rows


def admin(lab: Lab) -> Viewer:
    return Viewer(lab.users["root"], sees_all=True)


def sees(viewer: Viewer, lab: Lab, run: dict[str, Any]) -> bool:
    if viewer.project_id not in (None, run["project_id"]):
        return False
    if viewer.sees_all or run["project"] in ("open", "other"):
        return True
    return run["project"] == "hers" and viewer.user_id == lab.users["ada"]


def matches(wanted: RunFilter, run: dict[str, Any]) -> bool:
    """What the documentation says about each filter."""
    searched = [run["name"].lower(), *(tag.lower() for tag in run["tags"])]
    finished_at = run["finished_at"]
    return all(
        (
            wanted.project in (None, run["project"]),
            wanted.experiment in (None, run["experiment"]),
            wanted.user in (None, run["user"]),
            set(wanted.tags) <= set(run["tags"]),
            not wanted.statuses or run["status"] in wanted.statuses,
            wanted.kind is None
            or wanted.kind == run["kind"]
            or wanted.kind in run["kind"].split("+"),
            all(
                any(word in one for one in searched)
                for word in (wanted.search or "").lower().split()
            ),
            wanted.created_after is None or run["created_at"] > wanted.created_after,
            wanted.created_before is None or run["created_at"] < wanted.created_before,
            wanted.finished_after is None
            or (finished_at is not None and finished_at > wanted.finished_after),
            wanted.finished_before is None
            or (finished_at is not None and finished_at < wanted.finished_before),
        )
    )


def by_hand(lab: Lab, viewer: Viewer, wanted: RunFilter, sort: str) -> list[uuid.UUID]:
    """Ids of the runs that a list has, in its order."""
    column = sort.removeprefix("-")
    selected = [run for run in lab.runs if sees(viewer, lab, run) and matches(wanted, run)]

    def key(run: dict[str, Any]) -> tuple[Any, int]:
        nothing = 0.0 if column in FIGURES else BEGIN
        return nothing if run[column] is None else run[column], run["id"].int

    is_descending = sort.startswith("-")
    selected.sort(key=key, reverse=is_descending)
    selected.sort(key=lambda run: run[column] is None)  # those without a key, last
    return [run["id"] for run in selected]


async def listed(
    session: Session, viewer: Viewer, wanted: RunFilter, sort: str, limit: int
) -> list[uuid.UUID]:
    """Ids of the runs of all pages."""
    selection = await resolve(session, viewer, wanted)
    ids: list[uuid.UUID] = []
    after: Position | None = None
    while True:
        rows = await runs.list_runs(
            session, selection, sort=sort, after=after, limit=limit, currency=CURRENCY
        )
        ids += [row.run.id for row in rows]
        if len(rows) < limit:
            return ids
        after = position(rows[-1], sort)


def position(row: RunRow, sort: str) -> Position:
    """Where a run is in an order."""
    column = sort.removeprefix("-")
    if column not in FIGURES:
        assert row.key == place(getattr(row.run, column), row.run.id)[0]
    assert row.key is not None
    return row.key, row.run.id


def place(key: Any, run_id: uuid.UUID) -> Position:
    """A place in an order; None and infinity are that of a run without a key."""
    if isinstance(key, datetime):
        return key.isoformat(), run_id
    return "infinity" if key in (None, math.inf) else str(key), run_id


Filled = tuple[AsyncConnection, Lab]


@asynccontextmanager
async def kept_open(database: Database) -> AsyncIterator[tuple[AsyncConnection, Session]]:
    """A transaction of a whole module, undone at its end."""
    async with database.engine.connect() as connection:
        outer = await connection.begin()
        async with _sessions(connection)() as session:
            yield connection, session
        await outer.rollback()


@asynccontextmanager
async def unchanged(filled: Filled) -> AsyncIterator[Lab]:
    """The lab for one test, whose changes and settings are undone."""
    connection, lab = filled
    one_test = await connection.begin_nested()
    async with _sessions(connection)() as lab.session:
        yield lab
    await one_test.rollback()


def _sessions(connection: AsyncConnection) -> async_sessionmaker[Session]:
    return async_sessionmaker(
        connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
    )
