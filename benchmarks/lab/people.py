"""Who works in the lab, on what, and on which machines."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from app.db import Session
from benchmarks.lab.scale import WEEK, Scale
from models import Experiment, Node, Project, ProjectMember, Token, User

USERS = 60
PROJECTS = 30
HALF = 0.5
"""Part of all runs that the largest project has."""
INACTIVE = 6
"""Projects without a run for over a year."""
PRIVATE = (3, 7, 11, 20)
WEEKS_OF_AN_EXPERIMENT = 13
SITES = ("berlin", "tokyo", "oslo")
SITE_SHARES = (0.5, 0.3, 0.2)
POOL = "gpu"

MEMBER = "lab member"
"""A user who is a member of every private project."""
OUTSIDER = "lab outsider"
"""A user who is a member of none."""


def an_id(rng: random.Random) -> uuid.UUID:
    return uuid.UUID(int=rng.getrandbits(128), version=4)


@dataclass(frozen=True)
class Someone:
    id: uuid.UUID
    token_id: uuid.UUID
    name: str


@dataclass(frozen=True)
class Work:
    """A project with its experiments.

    Attributes:
        weight: Its part of the runs of a week in which it is active.
        last_week: The last week in which it has runs.
    """

    id: uuid.UUID
    name: str
    private: bool
    weight: float
    last_week: int
    experiments: tuple[uuid.UUID, ...]
    experiment_names: tuple[str, ...]
    users: tuple[Someone, ...]

    def experiment(self, week: int, rng: random.Random) -> uuid.UUID:
        """An experiment under way in a week; each lasts a quarter of a year or so."""
        here = len(self.experiments) * week / (self.last_week + 1)
        place = int(here + rng.uniform(-1.5, 1.5))
        return self.experiments[max(0, min(place, len(self.experiments) - 1))]


@dataclass(frozen=True)
class Machine:
    name: str
    site: str
    devices: tuple[str, ...]


@dataclass(frozen=True)
class People:
    users: tuple[Someone, ...]
    projects: tuple[Work, ...]
    machines: tuple[Machine, ...]

    def machines_at(self, site: str) -> list[Machine]:
        return [machine for machine in self.machines if machine.site == site]


def people_of(scale: Scale) -> People:
    """The same people, projects and machines for the same seed."""
    rng = scale.rng("people")
    names = [MEMBER, OUTSIDER, *(f"user {number:02d}" for number in range(USERS - 2))]
    users = tuple(Someone(an_id(rng), an_id(rng), name) for name in names)
    projects = tuple(_project(number, users, scale, rng) for number in range(PROJECTS))
    return People(users, projects, machines_of(scale))


def machines_of(scale: Scale) -> tuple[Machine, ...]:
    """The lab's machines; of each site at least one."""
    shares = [share * scale.nodes for share in SITE_SHARES]
    sites = [site for site, share in zip(SITES, shares, strict=True) for _ in range(round(share))]
    sites = [*SITES, *sites][: max(scale.nodes, len(SITES))]
    return tuple(
        Machine(
            f"node-{number:03d}",
            site,
            tuple(f"GPU-{number:04d}-{device:02d}" for device in range(scale.devices)),
        )
        for number, site in enumerate(sorted(sites))
    )


def _project(number: int, users: tuple[Someone, ...], scale: Scale, rng: random.Random) -> Work:
    over = number >= PROJECTS - INACTIVE
    last_week = max(0, scale.weeks - 60) if over else scale.weeks - 1
    count = max(2, round((last_week + 1) / WEEKS_OF_AN_EXPERIMENT * (4 if number == 0 else 1.5)))
    weight = HALF if number == 0 else (1 - HALF) / number / _HARMONIC
    name = f"project {number:02d}"
    others = [user for user in users[2:] if rng.random() < 0.2] or [users[2]]
    private = number in PRIVATE
    working = (users[0], *others) if private else (users[0], users[1], *others)
    return Work(
        id=an_id(rng),
        name=name,
        private=private,
        weight=weight,
        last_week=last_week,
        experiments=tuple(an_id(rng) for _ in range(count)),
        experiment_names=tuple(f"experiment {index:03d}" for index in range(count)),
        users=working,
    )


_HARMONIC = sum(1 / number for number in range(1, PROJECTS))


async def enter(session: Session, people: People, scale: Scale) -> None:
    """Stores users with their tokens, projects with experiments and members, and nodes."""
    # As the service does: its triggers add an entry to the audit log otherwise.
    await session.execute(text("SELECT set_config('pricetag.audited', 'on', true)"))
    began = scale.start
    session.add_all(
        User(id=one.id, name=one.name, role="member", created_at=began) for one in people.users
    )
    await session.flush()
    session.add_all(
        Token(
            id=one.token_id,
            user_id=one.id,
            name="laptop",
            secret_sha256=one.token_id.hex * 2,
            created_at=began,
        )
        for one in people.users
    )
    for project in people.projects:
        await _enter_project(session, project, scale)
    session.add_all(
        Node(
            name=machine.name,
            pool=POOL,
            devices=[{"uuid": uuid_, "name": "NVIDIA H200"} for uuid_ in machine.devices],
            capabilities={"gpu": "counter", "cpu": "modelled"},
            created_at=began,
            last_seen_at=scale.until,
        )
        for machine in people.machines
    )
    await session.flush()


async def _enter_project(session: Session, project: Work, scale: Scale) -> None:
    visibility = "private" if project.private else "open"
    session.add(
        Project(id=project.id, name=project.name, visibility=visibility, created_at=scale.start)
    )
    await session.flush()
    length = (project.last_week + 1) * WEEK / len(project.experiments)
    session.add_all(
        Experiment(
            id=id_,
            project_id=project.id,
            name=name,
            created_at=scale.start + place * length - timedelta(days=1),
        )
        for place, (id_, name) in enumerate(
            zip(project.experiments, project.experiment_names, strict=True)
        )
    )
    session.add_all(
        ProjectMember(
            project_id=project.id,
            user_id=user.id,
            role="owner" if place == 0 else "member",
            created_at=scale.start,
        )
        for place, user in enumerate(project.users)
    )
    await session.flush()
