"""The benchmark of a lab requests everything that the API offers, and judges by its goals."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from benchmarks.lab.facts import QUERIES, Facts
from benchmarks.lab.measure import Limits, Measurer, Timed, percentile
from benchmarks.lab.requests import Ask, all_asks
from benchmarks.lab.scale import nodes_for, spread
from benchmarks.lab.tables import line, markdown, summary

RUN_FILTERS = (
    *("project", "experiment", "user", "tag", "status", "kind", "origin", "q"),
    *("created_after", "created_before", "finished_after", "finished_before"),
)
UNMEASURED = {"getJournal"}
"""The benchmark of pushes asks for the journals of runs that no queue started."""

UNMEASURED_PARAMETERS = {
    # Places in lists that are as short as the lab has projects, budgets, users and reports.
    "listBudgets": {"cursor", "limit"},
    "listBudgetAlerts": {"cursor", "limit"},
    "listProjects": {"cursor", "limit"},
    "listExperiments": {"cursor"},
    "listUsers": {"cursor", "limit"},
    "listSessions": {"cursor", "limit"},
    "listReports": {"cursor", "limit"},
    "listStudies": {"cursor"},
    "listPapers": {"cursor", "limit"},
    "listShares": {"cursor", "limit"},
    "listFactors": {"cursor", "limit"},
    "listPrices": {"cursor", "limit"},
    "listCarbon": {"cursor", "limit"},
    # Choose among the runs that were read; no more are read.
    "getFrontier": {"task", "data"},
    "getExpectedValidation": {"task", "data"},
    # Places in the data of one run.
    "listRunMetrics": {"attempt", "cursor", "limit"},
    "listRunLogs": {"attempt", "after", "limit"},
    "getRunPower": {"attempt"},
    "verifyRunPriceTag": {"version"},
    "listAudit": {"cursor", "limit"},
    "compareRuns": {"metric", "g", "h"},
    # The same filters as those of the list, which has them all.
    "groupRuns": {*RUN_FILTERS},
    "downloadRuns": {*RUN_FILTERS},
}


@pytest.fixture(scope="module")
def asks() -> list[Ask]:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    ids = {name: f"00000000-0000-4000-8000-{number:012d}" for number, name in enumerate(QUERIES)}
    values: dict[str, Any] = ids | {
        "report": ids["run"],
        "middle": (ids["run"], "a name", moment, moment, 1.5, None),
        "artifact": (ids["run"], "a/path", ids["run"]),
        "until": moment.isoformat(),
        "weeks": 157,
        "experiments": ("experiment 000", "experiment 040"),
        "compared": list(ids.values())[:6],
    }
    return all_asks(Facts(values))


@pytest.fixture(scope="module")
def offered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Query parameters of every GET operation."""
    app = create_app(Settings(data_dir=Path(tmp_path_factory.mktemp("data"))))
    return {
        methods["get"]["operationId"]: {
            one["name"] for one in methods["get"].get("parameters", ()) if one["in"] == "query"
        }
        for methods in app.openapi()["paths"].values()
        if "get" in methods
    }


def test_every_read_operation_is_measured(asks: list[Ask], offered: dict[str, set[str]]) -> None:
    assert offered.keys() - {ask.operation for ask in asks} == UNMEASURED


def test_every_filter_is_measured(asks: list[Ask], offered: dict[str, set[str]]) -> None:
    asked: dict[str, set[str]] = defaultdict(set)
    for ask in asks:
        asked[ask.operation] |= {name for query in ask.queries for name in query}
    missing = {
        operation: names - asked[operation] - UNMEASURED_PARAMETERS.get(operation, set())
        for operation, names in offered.items()
        if operation not in UNMEASURED
    }
    assert {operation: names for operation, names in missing.items() if names} == {}


def test_nothing_is_measured_twice(asks: list[Ask]) -> None:
    requests = [
        (ask.operation, ask.path, tuple(sorted(map(str, query.items()))))
        for ask in asks
        for query in ask.queries
    ]
    assert len(requests) == len(set(requests))


def test_titles_are_different(asks: list[Ask]) -> None:
    titles = [ask.title for ask in asks]
    assert len(titles) == len(set(titles))


def timed(
    *times_ms: float, status: int = 200, caller: str = "admin", goal_ms: float = 100
) -> Timed:
    return Timed(Ask("getMe", "who I am", "/v1/me", goal_ms), caller, times_ms, (status,))


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (timed(10, 90, 100), "ok"),
        (timed(10, 90, 130), "over"),
        (timed(1, status=503), "error"),
        (timed(1, status=404), "error"),
        (timed(1, status=404, caller="outsider"), "ok"),
        (timed(1, status=422, caller="outsider"), "error"),
    ],
)
def test_a_row_is_judged_by_its_95th_percentile_and_its_responses(row: Timed, verdict: str) -> None:
    assert row.verdict == verdict


def test_percentiles_lie_between_the_values_next_to_them() -> None:
    values = [float(value) for value in range(1, 21)]
    assert percentile(values, 50) == pytest.approx(10.5)
    assert percentile(values, 95) == pytest.approx(19.05)
    assert percentile([7.0], 95) == 7.0


def test_a_slow_row_is_not_repeated_for_long() -> None:
    now_s = 0.0

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now_s
        now_s += 4.0
        return httpx.Response(200, json={})

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://lab.test")
    measurer = Measurer({"admin": client}, Limits(repeats=20, row_s=10), lambda: now_s)
    row = measurer.measure(Ask("getMe", "who I am", "/v1/me"), "admin")
    assert row.times_ms == (4000.0, 4000.0, 4000.0)


def taking(*seconds: float) -> Measurer:
    """Measures in 60 s; each request takes the next of these times, and the last one for good."""
    now_s = 0.0
    times_s = list(seconds)

    def answer(request: httpx.Request) -> httpx.Response:
        nonlocal now_s
        now_s += times_s.pop(0) if len(times_s) > 1 else times_s[0]
        return httpx.Response(200, json={})

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://lab.test")
    return Measurer({"admin": client}, Limits(repeats=20, total_s=60), lambda: now_s)


def rows_of(count: int) -> list[tuple[Ask, str]]:
    return [(Ask("getMe", f"row {number}", "/v1/me"), "admin") for number in range(count)]


def test_rows_share_the_time_for_all_of_them() -> None:
    measured = list(taking(0.05).measure_all(rows_of(100)))
    counts = [len(row.times_ms) for row in measured]
    assert sum(counts) * 0.05 < 60
    assert min(counts) >= 3
    assert {row.verdict for row in measured} == {"ok"}


def test_slow_rows_take_what_fast_ones_leave() -> None:
    fast = [0.01] * 21 * 9
    measured = list(taking(*fast, 2.0).measure_all(rows_of(10)))
    assert [len(row.times_ms) for row in measured] == [20] * 9 + [5]


def test_rows_without_time_are_listed_as_not_measured() -> None:
    measured = list(taking(8.0).measure_all(rows_of(20)))
    assert [row.ask.title for row in measured] == [f"row {number}" for number in range(20)]
    done = [row for row in measured if row.times_ms]
    assert [len(row.times_ms) for row in done[1:]] == [1] * (len(done) - 1)
    assert 3 <= len(done) < 5
    missing = measured[-1]
    assert missing.verdict == "not measured"
    assert missing.as_dict()["p95_ms"] is None
    assert "no time left" in line(missing)
    assert "| row 19 | admin |  |  | 100 | not measured |" in markdown(measured)


def test_a_fast_row_has_all_its_repeats_and_alternates_its_queries() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.query.decode())
        return httpx.Response(200, json={})

    client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://lab.test")
    ask = Ask("getEnergy", "energy", "/v1/energy", queries=[{"by": "node"}, {"by": "project"}])
    row = Measurer({"admin": client}, Limits(repeats=4)).measure(ask, "admin")
    assert len(row.times_ms) == 4
    assert seen == ["by=node", "by=project", "by=node", "by=project", "by=node"]


def test_markdown_has_the_rows_of_the_table_and_those_over_their_goals() -> None:
    rows = [
        Timed(Ask("getEnergy", "a month", "/", in_table=True), "admin", (5.0,), (200,)),
        timed(20),
        timed(2000),
    ]
    text = markdown(rows)
    assert "| a month | admin | 5.0 | 5.0 | 100 | ok |" in text
    assert "| who I am | admin | 2000.0 | 2000.0 | 100 | over |" in text
    assert "| 20.0 |" not in text
    assert summary(rows) == (
        "2 of 3 rows meet their goals, 1 are over, 0 have errors, 0 are not measured."
    )


def test_parts_of_a_number_add_up_to_it() -> None:
    assert spread(10, [1, 1, 1]) == [3, 4, 3]
    assert sum(spread(12345, [0.5 + week / 157 for week in range(157)])) == 12345


def test_a_million_runs_have_forty_nodes_and_fewer_runs_fewer() -> None:
    assert [nodes_for(runs) for runs in (1_000_000, 100_000, 10_000, 10)] == [40, 13, 4, 4]
