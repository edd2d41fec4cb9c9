"""Requests for lists of runs beyond their pages: groups, files, views, and verification by hash."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import get_args

from app.schemas.run_groups import GroupBy
from benchmarks.lab.asks import LIST_MS, VERIFY_MS, Ask
from benchmarks.lab.facts import Facts

GROUPS_MS = 500.0
FILE_MS = 1000.0


def run_files(facts: Facts) -> Iterator[Ask]:
    """Everything that is made of lists of runs."""
    for by in get_args(GroupBy):
        queries = [{"by": by, "limit": 200}, {"by": by, "project": facts.active}]
        yield Ask("groupRuns", f"runs in groups, by {by}", "/v1/runs/groups", GROUPS_MS, queries)
    few = [{"tag": "rare", "sort": "name"}]
    yield Ask("downloadRuns", "runs of a rare tag as CSV", "/v1/runs.csv", FILE_MS, few)
    run_queries = [{"run": [str(one) for one in facts["compared"]]}]
    for fmt in ("md", "tex"):
        path = f"/v1/runs/table.{fmt}"
        callers = frozenset({"admin"})
        yield Ask(
            "tabulateRuns", f"runs as {fmt}", path, LIST_MS, queries=run_queries, callers=callers
        )
    for sort in ("-created_at", "finished_at"):
        ago = (facts.until - timedelta(days=200)).isoformat()
        queries = [{"sort": sort, "start_at": ago}]
        yield Ask("listRuns", f"runs from a day on, by {sort}", "/v1/runs", queries=queries)
    yield Ask("listViews", "saved views", "/v1/views")
    nobody = "00000000-0000-4000-8000-000000000000"
    yield Ask("getView", "a view that nobody saved", f"/v1/views/{nobody}", is_missing=True)
    queries = [{"limit": 200}, {"project": facts.active, "status": "finished"}]
    yield Ask("listStudies", "studies", "/v1/studies", queries=queries)
    yield Ask("getStudy", "an unknown study", f"/v1/studies/{nobody}", is_missing=True)
    path_of_hash = f"/v1/verifications/{facts['hash']}"
    yield Ask(
        "verifyHash", "verification by hash", path_of_hash, VERIFY_MS, callers=frozenset({"admin"})
    )
    unknown = f"/v1/verifications/{'0' * 64}"
    yield Ask("verifyHash", "a hash that nothing has", unknown, is_missing=True)
