"""Calls about the lab: projects, nodes, energy, budgets, tokens and the audit log."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import httpx

from pricetag.client.connection import RECONNECT_S, Connection, as_object, path_segment
from pricetag.wire import ApiError, ServerUnreachable, StreamEvent


class LabCalls(Connection):
    """Projects, nodes, energy, budgets, tokens and the audit log."""

    def recipes(self) -> list[dict[str, Any]]:
        """Every stage kind with schema, paper and example."""
        return cast(list[dict[str, Any]], self._get("/v1/recipes")["items"])

    def projects(self) -> Iterator[dict[str, Any]]:
        """All projects by name."""
        return self._pages("/v1/projects", {"limit": 200})

    def experiments(self, project: str | None = None) -> Iterator[dict[str, Any]]:
        """All experiments, or those of a project."""
        return self._pages("/v1/experiments", {"project": project, "limit": 200})

    def nodes(self) -> list[dict[str, Any]]:
        """Worker machines."""
        return cast(list[dict[str, Any]], self._get("/v1/nodes")["items"])

    def queue(self, *, pool: str | None = None, limit: int = 50) -> dict[str, Any]:
        """The runs that wait in each pool, the reasons, and their expected starts.

        Args:
            pool: Only this pool.
            limit: Maximum number of waiting runs of each pool.
        """
        return self._get("/v1/queue", {"pool": pool, "limit": limit})

    def power_now(self) -> dict[str, Any]:
        """Current power of every metered device, with the runs on it."""
        return self._get("/v1/power")

    def overview(self) -> dict[str, Any]:
        """The lab at a glance: power, use, budgets, running runs, failures, idle devices."""
        return self._get("/v1/overview")

    def stream(
        self, topics: Sequence[str] = ("power", "runs", "queue", "budgets"), *, follow: bool = True
    ) -> Iterator[StreamEvent]:
        """The present state of the lab, then its changes; reconnects if the connection breaks.

        Args:
            topics: What to follow.
            follow: Whether to continue after the present state.

        Raises:
            ApiError: If the server sends an error.
        """
        last_id: str | None = None
        query = f"topics={','.join(topics)}&follow={'true' if follow else 'false'}"
        while True:
            try:
                for message in self._events(f"/v1/stream?{query}", last_id):
                    last_id = message.id
                    yield {"id": message.id, "event": message.event, "data": message.json()}
                if not follow:
                    return
            except (httpx.RequestError, ServerUnreachable):
                pass
            except ApiError as error:
                if error.status != 503:
                    raise
            time.sleep(RECONNECT_S)

    def energy(
        self,
        *,
        start: str | None = None,
        stop: str | None = None,
        by: str = "node",
        node: str | None = None,
        compare: bool = False,
        failed: bool = False,
    ) -> dict[str, Any]:
        """Energy used by the nodes, charged to runs, and unallocated.

        Args:
            start: Full UTC hour, ISO 8601; 7 days before `stop` by default.
            stop: Exclusive; the end of the present hour by default.
            by: node, component, site, project, user, hour, day or month.
            node: Only this node.
            compare: Add the account of the preceding period of the same length, and the change.
            failed: Add the share of failed work.
        """
        query: dict[str, Any] = {"from": start, "to": stop, "by": by, "node": node}
        flags = {"compare": compare, "failed": failed}
        asked = {name: "true" for name, is_asked in flags.items() if is_asked}
        return self._get("/v1/energy", query | asked)

    def energy_over_time(
        self,
        *,
        start: str | None = None,
        stop: str | None = None,
        by: str = "use",
        grain: str | None = None,
        node: str | None = None,
    ) -> dict[str, Any]:
        """The energy account by time bucket, with the part of each use, place or owner.

        Args:
            start: Full UTC hour, ISO 8601; 7 days before `stop` by default.
            stop: Exclusive; the end of the present hour by default.
            by: use, node, component, site, project or user.
            grain: hour, day or month; by default one that gives up to about 100 buckets.
            node: Only this node.
        """
        query: dict[str, Any] = {"from": start, "to": stop, "by": by, "grain": grain, "node": node}
        return self._get("/v1/energy/over-time", query)

    def emissions(self, *, start: str | None = None, stop: str | None = None) -> dict[str, Any]:
        """Scope 2 emissions by site and month, location-based and market-based."""
        return self._get("/v1/energy/emissions", {"from": start, "to": stop})

    def project_account(
        self,
        project: str,
        *,
        start: str | None = None,
        stop: str | None = None,
    ) -> dict[str, Any]:
        """Use of a project: totals, trend, failed work, best run; by default the last 30 days.

        Args:
            project: Name of the project.
            start: Full UTC hour, ISO 8601.
            stop: Exclusive.
        """
        path = f"/v1/projects/{path_segment(project)}/account"
        return self._get(path, {"from": start, "to": stop})

    def user_account(
        self,
        user: str,
        *,
        start: str | None = None,
        stop: str | None = None,
    ) -> dict[str, Any]:
        """The same for a user, over the runs that the caller may see."""
        path = f"/v1/users/{path_segment(user)}/account"
        return self._get(path, {"from": start, "to": stop})

    def carbon_hours(
        self,
        site: str | None = None,
        *,
        start: str | None = None,
        stop: str | None = None,
        duration_h: int = 4,
        start_hour: int | None = None,
    ) -> dict[str, Any]:
        """A site's carbon intensity by hour, its load, and the savings of a later start.

        Args:
            site: Name of the site; by default, the nodes without a site.
            start: Full UTC hour, ISO 8601.
            stop: Exclusive.
            duration_h: Length of the runs that could start later, in hours.
            start_hour: Hour of the day (UTC) of their start; by default, now.
        """
        query: dict[str, Any] = {"site": site, "from": start, "to": stop}
        query |= {"duration_h": duration_h, "start_hour": start_hour}
        return self._get("/v1/carbon/hours", query)

    def frontier(self, **filters: Any) -> dict[str, Any]:
        """Quality against cost of several runs; filters as in ``GET /v1/insights/frontier``."""
        return self._get("/v1/insights/frontier", filters)

    def compressions(self, **filters: Any) -> dict[str, Any]:
        """Cost and savings of compression; filters as in ``GET /v1/insights/compressions``."""
        return self._get("/v1/insights/compressions", filters)

    def expected_validation(self, **filters: Any) -> dict[str, Any]:
        """Expected best score by cost, as ``GET /v1/insights/expected-validation`` has it."""
        return self._get("/v1/insights/expected-validation", filters)

    def research_cost(self, **filters: Any) -> dict[str, Any]:
        """Cost of the best result with its tuning, as ``GET /v1/insights/research-cost`` has it."""
        return self._get("/v1/insights/research-cost", filters)

    def create_budget(self, budget: Mapping[str, Any]) -> dict[str, Any]:
        """Creates a budget; fields as ``POST /v1/budgets`` has them."""
        return self._json("POST", "/v1/budgets", budget)

    def budgets(self, *, name: str | None = None, closed: bool = False) -> Iterator[dict[str, Any]]:
        """All budgets in order of name, or the one with a name, each with its present state."""
        query = {"name": name, "closed": "true" if closed else None, "limit": 200}
        return self._pages("/v1/budgets", query)

    def get_budget(self, budget_id: str) -> dict[str, Any]:
        """A budget with its present state."""
        return self._get(f"/v1/budgets/{path_segment(budget_id)}")

    def burn_down(self, budget_id: str) -> dict[str, Any]:
        """Past and expected use of a budget over time, and when it reaches its limit."""
        return self._get(f"/v1/budgets/{path_segment(budget_id)}/burn-down")

    def budget_outlook(self) -> list[dict[str, Any]]:
        """Open budgets in the order in which they are used up."""
        return cast(list[dict[str, Any]], self._get("/v1/budget-outlook")["items"])

    def what_if(
        self,
        budget_id: str,
        *,
        without: Sequence[str] = (),
        run: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The burn-down of a budget without some open runs, or with one more.

        Args:
            budget_id: The budget.
            without: Open runs to skip.
            run: A run to add, as ``POST /v1/runs`` has it.
        """
        body: dict[str, Any] = {"without": list(without), "run": run}
        return self._json("POST", f"/v1/budgets/{path_segment(budget_id)}/what-if", body)

    def change_budget(self, budget_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes some fields of a budget."""
        return self._json("PATCH", f"/v1/budgets/{path_segment(budget_id)}", changes)

    def close_budget(self, budget_id: str) -> dict[str, Any]:
        """Closes a budget; closing it again changes nothing."""
        return as_object(self._send("POST", f"/v1/budgets/{path_segment(budget_id)}/close"))

    def budget_alerts(self, budget_id: str | None = None) -> Iterator[dict[str, Any]]:
        """Thresholds that were crossed, newest first."""
        return self._pages("/v1/budget-alerts", {"budget_id": budget_id, "limit": 200})

    def audit(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Who changed what, newest first; filters as ``GET /v1/audit`` has them."""
        return self._pages("/v1/audit", {**filters, "limit": 200})

    def create_token(self, name: str, role: str) -> dict[str, Any]:
        """Creates a token; only this response has its `secret`."""
        return self._json("POST", "/v1/tokens", {"name": name, "role": role})

    def tokens(self) -> list[dict[str, Any]]:
        """Every token, without its secret."""
        return cast(list[dict[str, Any]], self._get("/v1/tokens")["items"])

    def revoke_token(self, token_id: str) -> dict[str, Any]:
        """Revokes a token at once."""
        return as_object(self._send("DELETE", f"/v1/tokens/{path_segment(token_id)}"))

    def health(self) -> dict[str, Any]:
        """Responds if the server's process is running."""
        return self._get("/healthz")

    def lab_health(self) -> dict[str, Any]:
        """The state of the service, with every check; for administrators."""
        return self._get("/v1/health")

    def lab_metrics(self) -> str:
        """Metrics in the text format of Prometheus."""
        return self._send("GET", "/metrics").text

    def ready(self) -> dict[str, Any]:
        """Responds if the server is ready."""
        return self._get("/readyz")
