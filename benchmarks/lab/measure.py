"""Sends every request to a real server and compares the times with the goals."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx
import psycopg

from app import embedded_postgres
from app.db import libpq_url
from benchmarks.lab.books import CURRENCY
from benchmarks.lab.facts import Facts, read_facts
from benchmarks.lab.people import MEMBER, OUTSIDER
from benchmarks.lab.requests import Ask, all_asks
from tests.support.service import Service, service

CALLERS = ("admin", "member", "outsider")
SETTLED_S = 5.0
"""The server's first round of housekeeping is over by then."""
FEWEST = 3
TIMEOUT_S = 120.0
ACCEPTED = 202
HIDDEN = frozenset({403, 404})
"""Responses to callers who may not see the requested object."""
MISSING = frozenset({404, 422})
"""Responses for a name that does not exist."""


@dataclass(frozen=True)
class Timed:
    """One row with its times, ms.

    Attributes:
        times_ms: Empty if there was no time left to measure it.
        statuses: Status codes of the answers, each once.
    """

    ask: Ask
    caller: str
    times_ms: tuple[float, ...]
    statuses: tuple[int, ...]

    @property
    def p50_ms(self) -> float:
        return percentile(self.times_ms, 50)

    @property
    def p95_ms(self) -> float:
        return percentile(self.times_ms, 95)

    @property
    def failed(self) -> bool:
        """Whether a response was an error that says nothing about the time that was needed."""
        fine = {200, 201, 202} | (HIDDEN if self.caller != "admin" else set())
        if self.ask.is_missing:
            fine |= MISSING
        return not set(self.statuses) <= fine

    @property
    def verdict(self) -> str:
        if not self.times_ms:
            return "not measured"
        if self.failed:
            return "error"
        return "ok" if self.p95_ms <= self.ask.goal_ms else "over"

    def as_dict(self) -> dict[str, Any]:
        return {
            "title": self.ask.title,
            "operation": self.ask.operation,
            "caller": self.caller,
            "in_table": self.ask.in_table,
            "goal_ms": self.ask.goal_ms,
            "p50_ms": round(self.p50_ms, 2) if self.times_ms else None,
            "p95_ms": round(self.p95_ms, 2) if self.times_ms else None,
            "repeats": len(self.times_ms),
            "statuses": list(self.statuses),
            "verdict": self.verdict,
        }


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile, between the two values next to it; not a number without values."""
    if len(values) < 2:
        return values[0] if values else math.nan
    return quantiles(values, n=100, method="inclusive")[percent - 1]


@dataclass(frozen=True)
class Limits:
    """How long to measure.

    Attributes:
        repeats: Requests of a row.
        row_s: Seconds after which a slow row has enough of them.
        total_s: Seconds for all rows.
    """

    repeats: int = 20
    row_s: float = 10.0
    total_s: float = math.inf

    def shared(self, left_s: float, rows: int) -> Limits:
        """The limits of the next of some rows, which share the time that is left."""
        return replace(self, row_s=min(self.row_s, left_s / rows))


class Measurer:
    """Sends requests as some callers, on one kept-alive connection each."""

    def __init__(
        self,
        clients: Mapping[str, httpx.Client],
        limits: Limits,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clients = clients
        self._limits = limits
        self._clock = clock
        self.posted: list[str] = []

    def measure_all(self, rows: Sequence[tuple[Ask, str]]) -> Iterator[Timed]:
        """Rows of a request and its caller; those for which no time is left have no times."""
        end_s = self._clock() + self._limits.total_s
        for number, (ask, caller) in enumerate(rows):
            left_s = end_s - self._clock()
            if left_s <= 0:
                yield Timed(ask, caller, (), ())
            else:
                limits = self._limits.shared(left_s, len(rows) - number)
                yield self.measure(ask, caller, limits)

    def measure(self, ask: Ask, caller: str, limits: Limits | None = None) -> Timed:
        """One row: one request to warm up, then as many as the limits allow."""
        limits = limits or self._limits
        began_s = self._clock()
        first = self._once(ask, caller, 0)
        times_ms: list[float] = []
        statuses = {first[1]}
        while len(times_ms) < limits.repeats:
            spent_s = self._clock() - began_s
            enough = FEWEST if first[0] < 1000 * limits.row_s else 1
            if spent_s > limits.row_s and len(times_ms) >= enough:
                break
            time_ms, status = self._once(ask, caller, len(times_ms) + 1)
            times_ms.append(time_ms)
            statuses.add(status)
        return Timed(ask, caller, tuple(times_ms), tuple(sorted(statuses)))

    def _once(self, ask: Ask, caller: str, number: int) -> tuple[float, int]:
        query: dict[str, Any] = dict(ask.queries[number % len(ask.queries)])
        began_s = self._clock()
        if ask.body is None:
            response = self._clients[caller].get(ask.path, params=query)
        else:
            response = self._clients[caller].post(ask.path, json=dict(ask.body))
        time_ms = 1000 * (self._clock() - began_s)
        if ask.operation == "createRun" and response.status_code == ACCEPTED:
            self.posted.append(str(response.json()["id"]))
        return time_ms, response.status_code


def measure(
    *,
    data_dir: Path | None,
    database_url: str | None,
    limits: Limits,
    callers: Sequence[str] = CALLERS,
    only: str = "",
) -> Iterator[Timed]:
    """Starts the server and measures every row.

    Args:
        data_dir: Data folder of a filled embedded PostgreSQL; None with a URL.
        database_url: A filled database.
        limits: Repeats and time of a row, and of all.
        callers: Of ``admin``, ``member`` (of private projects too) and ``outsider``.
        only: Part of the titles to measure.

    Returns:
        The rows, those of one caller after those of another.
    """
    with server(data_dir, database_url) as (lab, url):
        with psycopg.connect(url) as connection:
            facts = read_facts(connection)
        facts = _prepared(lab, facts)
        time.sleep(SETTLED_S)
        clients = {caller: _client(lab, caller) for caller in callers}
        measurer = Measurer(clients, limits)
        asks = [ask for ask in all_asks(facts) if only in ask.title]
        rows = [(ask, caller) for caller in callers for ask in asks if caller in ask.callers]
        try:
            yield from measurer.measure_all(rows)
        finally:
            for run_id in measurer.posted:
                lab.http.post(f"/v1/runs/{run_id}/cancel", timeout=TIMEOUT_S)
            for client in clients.values():
                client.close()


@contextmanager
def server(data_dir: Path | None, database_url: str | None) -> Iterator[tuple[Service, str]]:
    """A server on a filled database, with the database's address."""
    with tempfile.TemporaryDirectory(prefix="pricetag-lab-") as folder:
        place = data_dir or Path(folder)
        settings = {"currency": CURRENCY}
        if database_url is not None:
            settings["database_url"] = database_url
        with service(place, **settings) as running:
            url = database_url or embedded_postgres.Cluster(place.absolute()).url()
            yield running, libpq_url(url)


def _prepared(lab: Service, facts: Facts) -> Facts:
    """With a report and an artifact's file that requests can ask for."""
    body = {"title": "benchmark", "runs": [facts["run"], facts["old_run"]]}
    report = lab.http.post("/v1/reports", json=body, timeout=TIMEOUT_S)
    report.raise_for_status()
    path = lab.data_dir / "artifacts" / facts["artifact"][1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * 100_000)
    return replace(facts, values=facts.values | {"report": report.json()["id"]})


def _client(lab: Service, caller: str) -> httpx.Client:
    secret = str(lab.http.headers["Authorization"]).removeprefix("Bearer ")
    if caller != "admin":
        name = MEMBER if caller == "member" else OUTSIDER
        made = lab.http.post("/v1/tokens", json={"name": f"{name}, benchmark", "user": name})
        made.raise_for_status()
        secret = made.json()["secret"]
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.Client(base_url=lab.http.base_url, headers=headers, timeout=TIMEOUT_S)


def write_json(path: Path, rows: Sequence[Timed]) -> None:
    """The rows as JSON."""
    path.write_text(json.dumps([row.as_dict() for row in rows], indent=1) + "\n")
