"""Every request that is measured, with its goal: the issue's table, then every other one.

A new operation or filter gets its rows here; ``tests/unit/benchmarks/test_lab_requests.py``
names those that have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, get_args

from app.schemas.energy import EnergyBy
from app.schemas.reports import ReportFormat
from app.schemas.runs import RunSort
from app.services import cursors
from benchmarks.lab.asks import LIST_MS as LIST_MS
from benchmarks.lab.asks import PDF_MS, POST_MS, VERIFY_MS, Query
from benchmarks.lab.asks import Ask as Ask
from benchmarks.lab.facts import Facts
from benchmarks.lab.list_requests import run_files
from benchmarks.lab.scale import HOUR, WEEK

SORTS: tuple[str, ...] = get_args(RunSort)
GROUPINGS: tuple[str, ...] = get_args(EnergyBy)
FORMATS: tuple[str, ...] = get_args(ReportFormat)
UNKNOWN = "nowhere"
CHART_LOOKS = (("light", "wide"), ("dark", "narrow"))
NEVER = "prune+prune"
"""A kind that nobody has."""

NOT_FOUND = frozenset({"unknown project", "unknown experiment", "unknown user"})
COUNTED = (
    "all",
    "active project",
    "inactive project",
    "old tag",
    "kind nobody has",
    "a common word",
)
"""Filters of the list of runs whose matches are counted, too."""

RECIPE: dict[str, Any] = {
    "stages": [{"kind": "command", "argv": ["python", "x.py"], "code": "/data"}]
}


ADMIN = frozenset({"admin"})


def all_asks(facts: Facts) -> list[Ask]:
    """Every row."""
    return [
        *posts(facts),
        *budgets(facts),
        *one_run(facts),
        *lab(facts),
        *insights(facts),
        *people(facts),
        *reports(facts),
        *runs(facts),
        *run_files(facts),
        *energy(facts),
        *energy_over_time(facts),
        *accounts(facts),
        *failed_work(facts),
        *unknown_node(facts),
    ]


def energy(facts: Facts) -> Iterator[Ask]:
    """The energy account, by every grouping and length of time."""
    spans = {"week": 7, "month": 30, "quarter": 91, "year": 365}
    for length, days in spans.items():
        for by in GROUPINGS:
            if by == "hour" and days > 31:
                continue
            for node in (None, facts["node"]):
                of_node = "" if node is None else ", one node"
                queries = [
                    {"from": _iso(stop - timedelta(days=days)), "to": _iso(stop), "by": by}
                    | ({} if node is None else {"node": node})
                    for stop in _stops(facts, days)
                ]
                title = f"energy, a {length} by {by}{of_node}"
                yield Ask("getEnergy", title, "/v1/energy", queries=queries, in_table=True)


TIME_GROUPS = ("use", "node", "component", "site", "project", "user")


def energy_over_time(facts: Facts) -> Iterator[Ask]:
    """The account bucket by bucket: a year by month, a quarter by day, a week by hour."""
    for length, days, grain in (
        ("year", 365, "month"),
        ("quarter", 91, "day"),
        ("week", 7, "hour"),
    ):
        for by in TIME_GROUPS:
            for node in (None, facts["node"]):
                of_node = "" if node is None else ", one node"
                queries = [
                    {"from": _iso(stop - timedelta(days=days)), "to": _iso(stop)}
                    | {"by": by, "grain": grain}
                    | ({} if node is None else {"node": node})
                    for stop in _stops(facts, days)
                ]
                title = f"energy, a {length} by {grain} and {by}{of_node}"
                path = "/v1/energy/over-time"
                is_goal = length == "year" and node is None
                yield Ask("getEnergyOverTime", title, path, queries=queries, in_table=is_goal)


def accounts(facts: Facts) -> Iterator[Ask]:
    """Emissions, what a project and a user used, and a site's hours."""
    for length, days in (("month", 30), ("year", 365)):
        queries = [
            {"from": _iso(stop - timedelta(days=days)), "to": _iso(stop)}
            for stop in _stops(facts, days)
        ]
        emissions = "/v1/energy/emissions"
        yield Ask("getEmissions", f"emissions of a {length}", emissions, queries=queries)
        project = f"/v1/projects/{facts.active}/account"
        yield Ask("getProjectAccount", f"a project's {length}", project, queries=queries)
        user = f"/v1/users/{facts['user']}/account"
        yield Ask("getUserAccount", f"a user's {length}", user, queries=queries)
    hours: list[Query] = [
        {
            "site": "berlin",
            "from": _iso(stop - timedelta(days=7)),
            "to": _iso(stop),
            "duration_h": 4,
            "start_hour": 12,
        }
        for stop in _stops(facts, 7)
    ]
    yield Ask("getCarbonHours", "a site's week by hour", "/v1/carbon/hours", queries=hours)


def failed_work(facts: Facts) -> Iterator[Ask]:
    """Failed work and the period before: from the attempts that ended in a month."""
    for by in ("node", "project", "user"):
        queries = [
            {"from": _iso(stop - timedelta(days=30)), "to": _iso(stop), "by": by}
            | {"compare": "true", "failed": "true"}
            for stop in _stops(facts, 60)
        ]
        title = f"energy, a month by {by}, compared and with failed work"
        yield Ask("getEnergy", title, "/v1/energy", queries=queries)


def unknown_node(facts: Facts) -> Iterator[Ask]:
    """A node that no one has seen: all hours would have to be searched for it."""
    query = {"node": UNKNOWN}
    yield Ask(
        "getEnergy", "energy of an unknown node", "/v1/energy", queries=[query], is_missing=True
    )


def _stops(facts: Facts, days: int) -> list[datetime]:
    """Ends of spans that lie in the history: the present, and earlier ones."""
    now = facts.until + HOUR
    first = facts.until - (facts.week + 1) * WEEK
    ends = [now - timedelta(days=ago) for ago in (0, 40, 200, 400)]
    return [end for end in ends if end - timedelta(days=days) >= first] or [now]


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:00:00Z")


def posts(facts: Facts) -> Iterator[Ask]:
    """Posting and quoting; ten budgets limit the first."""
    body = {
        "project": facts.active,
        "experiment": facts.new_experiment,
        "name": "posted by the benchmark",
        "recipe": RECIPE,
    }
    members = frozenset({"admin", "member"})
    yield Ask(
        "createRun",
        "POST /v1/runs with 8 to 10 budgets",
        "/v1/runs",
        POST_MS,
        body=body,
        in_table=True,
        callers=members,
    )
    yield Ask("createQuote", "POST /v1/quotes of a run", "/v1/quotes", body={"run": body})


def budgets(facts: Facts) -> Iterator[Ask]:
    yield Ask("listBudgets", "list of 10 budgets", "/v1/budgets", in_table=True)
    yield Ask(
        "listBudgets", "budget by name", "/v1/budgets", queries=[{"name": UNKNOWN}], is_missing=True
    )
    yield Ask("listBudgets", "budgets, closed too", "/v1/budgets", queries=[{"closed": True}])
    yield Ask(
        "getBudgetBurnDown", "burn-down of a budget", f"/v1/budgets/{facts['budget']}/burn-down"
    )
    yield Ask("getBudgetOutlook", "outlook of all budgets", "/v1/budget-outlook")
    yield Ask("getBudget", "a budget", f"/v1/budgets/{facts['budget']}")
    yield Ask("listBudgetAlerts", "budget alerts", "/v1/budget-alerts")
    alerts = [{"budget_id": facts["budget"]}]
    yield Ask("listBudgetAlerts", "alerts of a budget", "/v1/budget-alerts", queries=alerts)
    yield Ask("getQuoteScore", "quote scores", "/v1/quotes/score", in_table=True)


def run_filters(facts: Facts) -> dict[str, Query]:
    """Filters of the list of runs, alone and together."""
    ago = facts.until - timedelta(days=200)
    some_days = {"created_after": _iso(ago), "created_before": _iso(ago + timedelta(days=5))}
    ended_then = {"finished_after": _iso(ago), "finished_before": _iso(ago + timedelta(days=5))}
    sweep = f"sweep-{facts.week // 2:03d}-07"
    active, inactive = {"project": facts.active}, {"project": facts.inactive}
    return {
        "all": {},
        "active project": active,
        "small project": {"project": facts.small},
        "inactive project": inactive,
        "private project": {"project": facts.private},
        "unknown project": {"project": UNKNOWN},
        "new experiment": {"experiment": facts.new_experiment},
        "old experiment": {"experiment": facts.old_experiment},
        "unknown experiment": {"experiment": UNKNOWN},
        "common kind": {"kind": "train"},
        "rare kind": {"kind": "distill"},
        "kind of all stages": {"kind": "train+prune+measure"},
        "kind nobody has": {"kind": NEVER},
        "stage nobody has": {"kind": "evaluate"},
        "a user": {"user": "user 07"},
        "unknown user": {"user": UNKNOWN},
        "failed": {"status": "failed"},
        "open": {"status": ["queued", "running"]},
        "the queue's": {"origin": "queue"},
        "origin nobody has": {"origin": "slurm"},
        "project + origin nobody has": {**active, "origin": "slurm"},
        "common tag": {"tag": "baseline"},
        "tag of one week": {"tag": sweep},
        "old tag": {"tag": "first-year"},
        "rare tag": {"tag": "rare"},
        "unknown tag": {"tag": UNKNOWN},
        "two tags": {"tag": ["baseline", sweep]},
        "some days": some_days,
        "finished on some days": ended_then,
        "a common word": {"q": "minilm"},
        "two common words": {"q": "bert sst2"},
        "a rare word": {"q": "rare"},
        "a word nobody has": {"q": "nowhere"},
        "two letters": {"q": "al"},
        "before a year": {"created_before": _iso(facts.until - timedelta(days=365))},
        "project + old experiment": {**active, "experiment": facts.old_experiment},
        "project + status": {**active, "status": "cancelled"},
        "project + kind": {**active, "kind": "distill"},
        "project + kind nobody has": {**active, "kind": NEVER},
        "project + tag": {**active, "tag": "final"},
        "project + status + tag": {**active, "status": "failed", "tag": "final"},
        "inactive project + status + tag": {**inactive, "status": "failed", "tag": "final"},
        "project + user": {**active, "user": "user 07"},
        "inactive project + user": {**inactive, "user": "user 07"},
        "project + finished on some days": {**active, **ended_then},
        "project + a common word": {**active, "q": "minilm"},
        "inactive project + a common word": {**inactive, "q": "minilm"},
        "project + status + a rare word": {**active, "status": "failed", "q": "rare"},
        "project + old tag": {**active, "tag": "first-year"},
        "inactive project + new tag": {**inactive, "tag": f"sweep-{facts.week:03d}-07"},
        "project + some days": {**active, **some_days},
        "status + some days": {**some_days, "status": "failed"},
        "kind + status + tag": {"kind": "distill", "status": "succeeded", "tag": "rare"},
        "everything": {
            **active,
            **some_days,
            "experiment": facts.old_experiment,
            "status": "succeeded",
            "tag": "baseline",
            "kind": "train",
        },
    }


def runs(facts: Facts) -> Iterator[Ask]:
    """The list of runs by every order and filter, its pages far behind, and large pages."""
    for name, filters in run_filters(facts).items():
        for sort in SORTS:
            query = {**filters, "sort": sort}
            yield Ask(
                "listRuns",
                f"runs, {name}, by {sort}",
                "/v1/runs",
                queries=[query],
                in_table=True,
                is_missing=name in NOT_FOUND,
            )
    for sort in SORTS:
        deep = {"sort": sort, "cursor": middle_cursor(facts, sort)}
        yield Ask("listRuns", f"runs, a deep page, by {sort}", "/v1/runs", queries=[deep])
        deep_of_project = {**deep, "project": facts.active}
        title = f"runs, project, a deep page, by {sort}"
        yield Ask("listRuns", title, "/v1/runs", queries=[deep_of_project])
    for name in COUNTED:
        query = {**run_filters(facts)[name], "count": True}
        yield Ask("listRuns", f"runs, {name}, counted", "/v1/runs", queries=[query])
    yield Ask("listRuns", "runs, 200 a page", "/v1/runs", queries=[{"limit": 200}])


def middle_cursor(facts: Facts, sort: str) -> str:
    """Cursor of a page in the middle of the list."""
    run_id, *values = facts["middle"]
    names = ("name", "created_at", "finished_at", "it_energy_kwh", "cost")
    key = dict(zip(names, values, strict=True))[sort.removeprefix("-")]
    text = key.isoformat() if isinstance(key, datetime) else str("infinity" if key is None else key)
    return cursors.encode(sort, text, str(run_id))


def one_run(facts: Facts) -> Iterator[Ask]:
    """Everything about single runs."""
    kinds = ("run", "old_run", "repriced", "resumed", "chained", "running", "traced")
    for kind in kinds:
        if facts[kind] is None:
            continue
        path = f"/v1/runs/{facts[kind]}"
        yield Ask("getRun", f"a run ({kind})", path)
        yield Ask("getRunQuote", f"quote ({kind})", f"{path}/quote")
        if kind == "running":
            continue
        yield Ask(
            "verifyRunPriceTag",
            f"verification ({kind})",
            f"{path}/price-tag/verification",
            VERIFY_MS,
            in_table=kind != "traced",
        )
        yield Ask("getRunPriceTag", f"price tag ({kind})", f"{path}/price-tag")
        yield Ask("listRunPriceTags", f"versions of a price tag ({kind})", f"{path}/price-tags")
    run = f"/v1/runs/{facts['run']}"
    yield Ask(
        "getRunPriceTag", "price tag by version", f"{run}/price-tag", queries=[{"version": 1}]
    )
    yield Ask("streamRunEvents", "events of a finished run", f"{run}/events")
    yield from _series(facts)
    a, b = facts["compared"][:3], facts["compared"][3:]
    groups = {"a": ",".join(map(str, a)), "b": ",".join(map(str, b))}
    yield Ask(
        "compareRuns",
        "comparison of 3 runs and 3",
        "/v1/comparisons",
        queries=[groups | {"seeds": 2}],
        callers=ADMIN,
    )
    yield Ask(
        "compareRuns",
        "comparison of 6 groups",
        "/v1/comparisons",
        queries=[dict(zip("abcdef", map(str, facts["compared"]), strict=False))],
        callers=ADMIN,
    )


def _series(facts: Facts) -> Iterator[Ask]:
    run = f"/v1/runs/{facts['run']}"
    yield Ask("getRunPower", "power of an ordinary run", f"{run}/power")
    if facts["traced"] is not None:
        traced = f"/v1/runs/{facts['traced']}"
        for points in (200, 1000, 2000):
            title = f"power of 24 h x 8 devices, {points} points"
            yield Ask(
                "getRunPower", title, f"{traced}/power", queries=[{"points": points}], in_table=True
            )
    yield Ask("listRunMetrics", "metrics", f"{run}/metrics")
    yield Ask(
        "listRunMetrics",
        "metrics by name",
        f"{run}/metrics",
        queries=[{"name": "accuracy", "split": "validation"}],
    )
    yield Ask("listRunLogs", "log", f"{run}/logs")
    yield Ask("listRunLogs", "newest lines", f"{run}/logs", queries=[{"newest": "true"}])
    yield Ask("listRunLogs", "lines with a text", f"{run}/logs", queries=[{"q": "epoch"}])
    window = {"from_s": 0, "to_s": 0.5, "attempt": 1}
    yield Ask("getRunEnergy", "energy of a window", f"{run}/energy", queries=[window])
    yield Ask("listRunArtifacts", "artifacts", f"{run}/artifacts")
    artifact_id, _, run_id = facts["artifact"]
    path = f"/v1/runs/{run_id}/artifacts/{artifact_id}/content"
    yield Ask("downloadRunArtifact", "an artifact", path, callers=ADMIN)


def lab(facts: Facts) -> Iterator[Ask]:
    """Projects, nodes, sites, factors, prices."""
    yield Ask("listProjects", "projects", "/v1/projects")
    yield Ask("getProject", "the largest project", f"/v1/projects/{facts.active}")
    members = f"/v1/projects/{facts.active}/members"
    yield Ask("listProjectMembers", "members of a project", members)
    yield Ask("listExperiments", "experiments", "/v1/experiments")
    yield Ask(
        "listExperiments", "experiments, 200 a page", "/v1/experiments", queries=[{"limit": 200}]
    )
    yield Ask(
        "listExperiments",
        "experiments of a project",
        "/v1/experiments",
        queries=[{"project": facts.active}],
    )
    yield Ask("listNodes", "nodes", "/v1/nodes")
    for topic in ("power", "runs", "queue", "budgets"):
        queries = [{"topics": topic, "follow": "false"}]
        yield Ask("streamLab", f"the lab's {topic} now", "/v1/stream", queries=queries)
    past = [{"topics": "power", "follow": "false", "history": "ten-minutes"}]
    yield Ask("streamLab", "power of ten minutes", "/v1/stream", queries=past)
    yield Ask("getMetrics", "metrics for Prometheus", "/metrics")
    yield Ask("getLabHealth", "the health of the lab", "/v1/health", callers=ADMIN)
    yield Ask("getQueue", "the queue", "/v1/queue", queries=[{"limit": 200}])
    yield Ask("getQueue", "the queue of a pool", "/v1/queue", queries=[{"pool": "default"}])
    yield Ask("getOverview", "the lab at a glance", "/v1/overview")
    yield Ask("getPower", "power of every device", "/v1/power")
    yield Ask("listRecipes", "recipes", "/v1/recipes")
    yield Ask("listSites", "sites", "/v1/sites")
    yield Ask("getSite", "a site", "/v1/sites/berlin")
    yield Ask(
        "getSite",
        "a site as of a day",
        "/v1/sites/oslo",
        queries=[{"as_of": _iso(facts.until - timedelta(days=30))}],
    )
    yield Ask("listFactors", "factors", "/v1/factors")
    yield Ask(
        "listFactors",
        "factors of a site",
        "/v1/factors",
        queries=[{"site": "tokyo", "kind": "tariff"}],
    )
    yield Ask("listPrices", "prices", "/v1/prices")
    yield Ask(
        "listPrices", "prices of an accelerator", "/v1/prices", queries=[{"accelerator": "H100"}]
    )
    yield Ask("listCarbon", "hourly series", "/v1/carbon")
    hours = [{}, {"site": "tokyo", "within_h": 24, "duration_h": 6}]
    yield Ask("getCarbonForecasts", "forecasts of a site", "/v1/carbon/forecasts", queries=hours)
    yield Ask("listCarbon", "hourly series of a zone", "/v1/carbon", queries=[{"zone": "NO"}])
    yield Ask("getHealth", "health", "/healthz")
    yield Ask("getReadiness", "readiness", "/readyz")


def insights(facts: Facts) -> Iterator[Ask]:
    """The frontier and the compression ledger of many runs, each run's price tag read."""
    of_active: Query = {"project": facts.active, "limit": 100}
    of_experiment: Query = {"project": facts.active, "experiment": facts["experiments"][0]}
    of_tag: Query = {"tag": "baseline", "limit": 100}
    score: Query = {"metric": "co2e_kg", "quality": "accuracy", "split": "validation"}
    of_kind: Query = {"quality": "f1", "split": "test", "task": "classification", "data": "0"}
    renamed = ("expected validation", "cost of a result")
    for title, query in (
        ("100 runs", of_active),
        ("200 runs", {**of_active, "limit": 200}),
        ("an experiment", of_experiment),
        ("a tag", of_tag),
    ):
        frontier = [{**query, **score}]
        ledger = [query, {**query, "baseline": "after quantize", "inferences": 100_000}]
        yield Ask("getFrontier", f"frontier, {title}", "/v1/insights/frontier", queries=frontier)
        path = "/v1/insights/compressions"
        yield Ask("listCompressions", f"compressions, {title}", path, queries=ledger)
        path = "/v1/insights/expected-validation"
        curves = [{**query, **score}, {**query, "method": "baseline", "with_replacement": "true"}]
        title = f"expected validation, {title}"
        yield Ask("getExpectedValidation", title, path, queries=curves)
        path, whole = "/v1/insights/research-cost", {**query, **of_kind, "equivalents": "true"}
        yield Ask("getResearchCost", title.replace(*renamed), path, queries=[query, whole])
    chart = facts["chart"] or "0" * 64  # stored once somebody opens a page with a chart
    for fmt in ("svg", "png", "pdf", "json", "csv"):
        yield Ask(
            "getChart",
            f"a chart as {fmt}",
            f"/v1/charts/{chart}.{fmt}",
            queries=[{"theme": theme, "size": size} for theme, size in CHART_LOOKS],
            callers=ADMIN,
            is_missing=facts["chart"] is None,
        )


def people(facts: Facts) -> Iterator[Ask]:
    """Users, tokens, the audit log."""
    yield Ask("getMe", "who I am", "/v1/me")
    yield Ask("listUsers", "users", "/v1/users", callers=ADMIN)
    yield Ask("getUser", "a user", f"/v1/users/{facts['user']}", callers=ADMIN)
    tokens = f"/v1/users/{facts['user']}/tokens"
    yield Ask("listUserTokens", "tokens of a user", tokens, callers=ADMIN)
    yield Ask("listTokens", "tokens", "/v1/tokens", callers=ADMIN)
    yield Ask("listSessions", "my sessions", "/v1/sessions")
    everybody = [{"all": "true"}]
    yield Ask("listSessions", "sessions", "/v1/sessions", callers=ADMIN, queries=everybody)
    since = _iso(facts.until - timedelta(days=400))
    filters: dict[str, Query] = {
        "all": {},
        "by kind": {"object_kind": "budget"},
        "by object": {"object_kind": "budget", "object_id": facts["object"]},
        "by action": {"action": "repriced"},
        "by unknown action": {"action": UNKNOWN},
        "by actor": {"actor": "user 07"},
        "by unknown actor": {"actor": UNKNOWN},
        "by user": {"user_id": facts["user"]},
        "by token": {"token_id": facts["token"]},
        "by access": {"access": "direct-database"},
        "of some days": {"since": since, "until": _iso(facts.until - timedelta(days=395))},
        "old, by actor": {"until": since, "actor": "user 07"},
    }
    for name, query in filters.items():
        yield Ask(
            "listAudit",
            f"audit log, {name}",
            "/v1/audit",
            queries=[query],
            callers=ADMIN,
            is_missing="unknown" in name,
        )


def reports(facts: Facts) -> Iterator[Ask]:
    """Reports; one is made before the measurement."""
    yield Ask("listReports", "reports", "/v1/reports")
    of_project: Query = {"project": facts.active}
    yield Ask("listPapers", "papers", "/v1/papers", queries=[{}, of_project])
    yield Ask("listShares", "share links", "/v1/shares", queries=[{}, {"all": True}])
    nobody = f"/v1/papers/{UNKNOWN}"
    yield Ask("getPaper", "a paper that nobody created", nobody, is_missing=True)
    path = f"{nobody}/archive.zip"
    yield Ask("downloadPaperArchive", "the archive of no paper", path, is_missing=True)
    path = f"{nobody}/files/badge.svg"
    yield Ask("downloadPaperFile", "the badge of no paper", path, is_missing=True)
    yield Ask("getReport", "a report", f"/v1/reports/{facts['report']}")
    for fmt in FORMATS:
        goal_ms = PDF_MS if fmt == "pdf" else 5 * LIST_MS
        path = f"/v1/reports/{facts['report']}.{fmt}"
        yield Ask("renderReport", f"a report as {fmt}", path, goal_ms, callers=ADMIN)
