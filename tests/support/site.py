"""A real server with some runs for tests of its pages, and the pages that they visit."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
import uvicorn

from app.charts.drawing import Drawing
from app.db import Database, Session
from app.edge.draining import DrainingServer
from app.main import create_app
from app.services.live import live_power
from app.services.people import sign_in_links, users, web_sessions
from app.serving import bind, url_of
from app.settings import Settings
from tests.support import insights
from tests.support.api import finished_run, make_token, running_run
from tests.support.executions import GPU
from tests.support.site_admin import ADMIN_PAGES, fill_admin
from tests.support.site_energy import ENERGY_NAMES, ENERGY_PAGES, fill_energy
from tests.support.site_live import fill_live
from tests.support.site_papers import PAPER, SHARED, fill_papers
from tests.support.site_studies import STUDY, fill_studies

Result = TypeVar("Result")

COMPARED = "/compare?" + "&".join(
    f"{letter}={','.join(map(str, insights.TRIALS[method][first : first + 3]))}"
    for letter, method, first in (("a", "a", 0), ("b", "b", 0), ("c", "b", 3))
)

PAGES = (
    "/",
    "/?by=node",
    "/power",
    "/power?sort=watts&use=idle&q=h200",
    "/queue",
    "/nodes",
    "/nodes/node?period=24h",
    "/runs",
    "/runs?status=failed&sort=name&created_after=2026-03-01T00:00Z",
    "/insights/frontier",
    "/compare",
    COMPARED,
    "/insights/compressions?inferences=100000",
    "/insights/curves?project=trials&method=method:a&method=method:b&budget=1",
    "/insights/frontier?by=tag:method&log=cost&project=sweep",
    "/insights/frontier?metric=joy&limit=0&log=x&project=sweep",
    "/runs/{run}/reprice?as_of=2026-03-05T00:00Z",
    "/runs/{run}",
    "/runs/{run}?version=1&from_s=2&to_s=9#power",
    "/runs/{run}/log",
    "/runs/{run}/power",
    "/studies",
    "/studies/{study}",
    "/papers",
    "/papers/{paper}",
    "/papers/new",
    "/papers/{paper}/freeze",
    "/shares",
    "/shares/new?paper={paper}",
    "/s/{shared}",
    "/runs/{run}/verification",
    "/runs?by=tag&project=text",
    "/runs?columns=name,status,tags,flags,second_opinion,kwh_per_score&differ=1&limit=50",
    "/runs?created_after=yesterday&status=lost",
    "/verify",
    "/verify/0000000000000000000000000000000000000000000000000000000000000000",
    "/account",
    "/help/keys",
    *ENERGY_PAGES,
    *ADMIN_PAGES,
    "/no-such-page",
)
"""Paths as an administrator opens them; `{run}` is the ID of a finished run."""

OPEN_PAGES = ("/login", "/docs")
"""Paths as somebody opens them who is not signed in."""

NAMES = (
    "bert-base, baseline",
    "<img src=x onerror=alert(1)>",
    "نموذج صغير",
    "🚀 seed 3",
    "a name of many letters " * 8,
)
START_S = 120.0


@dataclass(frozen=True)
class Site:
    """The running server.

    Attributes:
        url: Its address.
        database_url: Its database.
        run: ID of a finished run.
        secret: Secret of an administrator's session.
    """

    url: str
    database_url: str
    run: str
    secret: str

    @property
    def cookie(self) -> dict[str, Any]:
        """The administrator's cookie, for a browser."""
        port = self.url.rpartition(":")[2]
        return {"name": f"pricetag-{port}", "value": self.secret, "url": self.url}

    def filled(self, path: str) -> str:
        """A path of `PAGES` with the names of what this server holds."""
        return path.format_map(
            {"run": self.run, "study": STUDY, "paper": PAPER, "shared": SHARED, **ENERGY_NAMES}
        )

    async def link(self, name: str) -> str:
        """The address of a new sign-in link of a user."""

        async def make(session: Session) -> str:
            return await sign_in_links.create(session, await users.named(session, name))

        return f"{self.url}/login/link/{await on_database(self.database_url, make)}"


async def on_database(url: str, use: Callable[[Session], Coroutine[Any, Any, Result]]) -> Result:
    """Runs a function in one transaction, on its own connection."""
    database = Database(url, application_name="pricetag tests", pool_size=1)
    try:
        async with database.session_scope() as session:
            return await use(session)
    finally:
        await database.dispose()


async def _fill(session: Session) -> tuple[str, str]:
    """Some runs with names that are hard to show; an administrator who is signed in."""
    for role in ("admin", "member", "viewer"):
        await make_token(session, role)
    admin = await users.named(session, "a admin")
    first: UUID | None = None
    for name in NAMES:
        run_id = await finished_run(session, created_by=admin.id, name=name.strip())
        first = first or run_id
    await insights.sweep(session, created_by=admin.id)
    await insights.trials(session, created_by=admin.id)
    await insights.moved(
        session, [await insights.compressed_run(session, created_by=admin.id)], "sweep"
    )
    await running_run(session, 5, created_by=admin.id)
    await fill_live(session, NAMES, admin.id)
    await fill_admin(session, admin.name, NAMES)
    await fill_energy(session, admin.name, NAMES)
    await fill_studies(session, admin.id, NAMES[1])
    await fill_papers(session, admin.id, NAMES[1])
    begun = await web_sessions.begin(session, admin, "link", browser="Chromium")
    return str(first), begun.secret


POWER_NODE = "node"
"""The node of the running run, which `report_power` sends samples of."""


def power_batch(second: int, watts: int = 300) -> str:
    """What a worker sends: a second of a GPU in use, an idle one, and a CPU."""
    described = (
        (GPU, "gpu", "NVIDIA H200", 700, "counter", watts),
        ("gpu:GPU-idle", "gpu", NAMES[1], 700, "counter", 70),
        ("cpu", "cpu", "host model", None, "modelled", 40),
    )
    rows = [
        {"id": id_, "kind": kind, "name": name, "limit_w": limit_w, "method": method}
        | {"w": [power_w + sample % 3 for sample in range(10)]}
        for id_, kind, name, limit_w, method, power_w in described
    ]
    head = {"node": POWER_NODE, "t0": second * 1000, "dt_ms": 100}
    return json.dumps({**head, "components": rows})


async def report_power(site: Site) -> None:
    """Sends samples until the server has them; it may not listen yet."""
    cookie = f"{site.cookie['name']}={site.secret}"
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    async with httpx.AsyncClient(base_url=site.url, headers=headers, timeout=START_S) as client:
        while not (await client.get("/v1/power")).json()["devices"]:

            async def send(session: Session) -> None:
                await live_power.send(session, power_batch(int(time.time()) - 1))

            await on_database(site.database_url, send)
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running_site(database_url: str, data_dir: Path) -> AsyncIterator[Site]:
    """A server in a thread of this process, on a database that it fills.

    Raises:
        RuntimeError: If the server does not start.
    """
    run, secret = await on_database(database_url, _fill)
    settings = Settings(database_url=database_url, data_dir=data_dir)
    listener = bind("127.0.0.1", 0)
    app = create_app(settings)
    config = uvicorn.Config(app, log_config=None, lifespan="on")
    server = DrainingServer(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline_s = time.monotonic() + START_S
    while not server.started:
        if time.monotonic() > deadline_s or not thread.is_alive():
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.05)
    app.state.resources.charts = Drawing(limit_s=START_S)  # on a machine that is busy
    try:
        site = Site(url_of(listener, "127.0.0.1"), database_url, run, secret)
        await report_power(site)
        yield site
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join, START_S)
        listener.close()
