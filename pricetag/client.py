"""A typed client of the REST API, for scripts and for the command line.

Example::

    with Client("http://127.0.0.1:8000", "pt_...") as client:
        run = client.create_run({"project": "text", ...})
        for event in client.events(run["id"]):
            print(event["kind"], event["payload"])
        print(client.price_tag(run["id"])["it_energy_kwh"])
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote as quoted
from urllib.parse import urlsplit

import httpx

from pricetag.sse import Message, read_messages
from pricetag.wire import (
    ApiError,
    ClientError,
    Event,
    Page,
    ReportFormat,
    Run,
    RunAccepted,
    ServerUnreachable,
)

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "Event",
    "Page",
    "ReportFormat",
    "Run",
    "RunAccepted",
    "ServerUnreachable",
]

FINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

STREAM_SILENCE_S = 45.0
"""The server sends a sign of life every 15 seconds; after three missed ones we reconnect."""

RECONNECT_S = 1.0
ATTEMPTS = 4
LONGEST_WAIT_S = 10.0

Query = Mapping[str, str | int | Sequence[str] | None]


class Client:
    """One server, one token.

    Args:
        url: Address of the server, such as ``http://127.0.0.1:8000``.
        token: ``pt_...``; None reaches the health checks alone.
        timeout_s: Longest wait for an answer, seconds.
        transport: An httpx transport to use instead of the network.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy of the environment does not reach this machine's own loopback.
        loopback = urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=5.0),
            trust_env=not loopback,
            transport=transport,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Runs

    def create_run(
        self, run: Mapping[str, Any] | str, *, idempotency_key: str | None = None
    ) -> RunAccepted:
        """Posts a run, described as data or as YAML text.

        Args:
            run: The description.
            idempotency_key: The same key and description give the same run; without one,
                this call makes its own, so that its retries post the run once.

        Raises:
            ApiError: If the server refuses it.
            ServerUnreachable: If no answer came.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        if isinstance(run, str):
            headers["Content-Type"] = "application/yaml"
            answer = self._send("POST", "/v1/runs", headers=headers, content=run.encode())
        else:
            answer = self._send("POST", "/v1/runs", headers=headers, json=dict(run))
        return cast(RunAccepted, answer.json())

    def list_runs(self, *, cursor: str | None = None, limit: int = 50, **filters: Any) -> Page:
        """A page of runs.

        Args:
            cursor: `next_cursor` of the page before.
            limit: Most runs, up to 200.
            **filters: project, experiment, tag, status, kind, created_after,
                created_before, sort; tag and status may be lists.
        """
        return cast(Page, self._get("/v1/runs", {**filters, "cursor": cursor, "limit": limit}))

    def iter_runs(self, **filters: Any) -> Iterator[Run]:
        """All runs that the filters select, page after page."""
        return cast(Iterator[Run], self._pages("/v1/runs", {**filters, "limit": 200}))

    def get_run(self, run_id: str) -> Run:
        """A run with its recipe, attempts and stages."""
        return cast(Run, self._get(f"/v1/runs/{run_id}"))

    def cancel_run(self, run_id: str) -> RunAccepted:
        """Cancels a queued run, or asks a running one to stop."""
        return cast(
            RunAccepted, self._send("POST", f"/v1/runs/{run_id}/cancel", retry=False).json()
        )

    def events(self, run_id: str, *, last_event_id: int = 0) -> Iterator[Event]:
        """Events of a run as they come, through breaks of the connection, to its end.

        Args:
            run_id: The run.
            last_event_id: Only events after this one.

        Raises:
            ApiError: If the server refuses.
        """
        while True:
            try:
                for message in self._stream(run_id, last_event_id):
                    event = cast(Event, message.json())
                    last_event_id = event["id"]
                    yield event
                # The server ends the stream of a finished run, and every stream when it stops.
                if self.get_run(run_id)["status"] in FINAL:
                    return
            except (httpx.TransportError, ServerUnreachable):
                pass
            except ApiError as error:
                if error.status != 503:
                    raise
            time.sleep(RECONNECT_S)

    def wait(self, run_id: str, on_event: Callable[[Event], None] | None = None) -> Run:
        """Waits until a run is over; tells of every event meanwhile."""
        for event in self.events(run_id):
            if on_event is not None:
                on_event(event)
        return self.get_run(run_id)

    def power(
        self, run_id: str, *, attempt: int | None = None, points: int | None = None
    ) -> dict[str, Any]:
        """Power over time per attempt and component, in at most `points` points each."""
        return self._get(f"/v1/runs/{run_id}/power", {"attempt": attempt, "points": points})

    def metrics(self, run_id: str, **filters: Any) -> Iterator[dict[str, Any]]:
        """All metrics of a run; filters: attempt, name, split."""
        return self._pages(f"/v1/runs/{run_id}/metrics", {**filters, "limit": 5000})

    def logs(
        self, run_id: str, *, after: str | None = None, attempt: int | None = None, limit: int = 500
    ) -> dict[str, Any]:
        """Log lines: `items`, and `next_after` to read on from, now or later."""
        query = {"after": after, "attempt": attempt, "limit": limit}
        return self._get(f"/v1/runs/{run_id}/logs", query)

    def iter_logs(self, run_id: str, *, follow: bool = False) -> Iterator[dict[str, Any]]:
        """All log lines of a run; with `follow`, those to come until it is over."""
        after: str | None = None
        while True:
            # Asked first: what the run wrote before it ended is then surely read.
            over = not follow or self.get_run(run_id)["status"] in FINAL
            found = self.logs(run_id, after=after, limit=5000)
            yield from found["items"]
            after = found["next_after"]
            if found["items"]:
                continue
            if over:
                return
            time.sleep(RECONNECT_S)

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """What the run's attempts left behind."""
        return cast(list[dict[str, Any]], self._get(f"/v1/runs/{run_id}/artifacts")["items"])

    def download_artifact(self, run_id: str, artifact_id: str, path: Path) -> Path:
        """Writes an artifact to a file; the file appears when it is whole."""
        part = path.with_name(path.name + ".part")
        url = f"/v1/runs/{run_id}/artifacts/{artifact_id}/content"
        try:
            with self._http.stream("GET", url) as answer, part.open("wb") as out:
                _raise_for(answer)
                for chunk in answer.iter_bytes():
                    out.write(chunk)
            part.replace(path)
        except httpx.TransportError as error:
            raise _unreachable(self.url, error) from error
        finally:
            part.unlink(missing_ok=True)
        return path

    def price_tag(self, run_id: str, version: int | None = None) -> dict[str, Any]:
        """The run's price tag, the newest unless a version is named."""
        return self._get(f"/v1/runs/{run_id}/price-tag", {"version": version})

    def price_tags(self, run_id: str) -> list[dict[str, Any]]:
        """Every version of the run's price tag with cause, hash and totals; the newest first."""
        found = self._get(f"/v1/runs/{run_id}/price-tags")
        return cast(list[dict[str, Any]], found["items"])

    def reprice(self, run_id: str, *, as_of: str | None = None) -> dict[str, Any]:
        """Issues a new version with the factors as they had been entered by `as_of`."""
        return self._json("POST", f"/v1/runs/{run_id}/price-tag/reprice", {"as_of": as_of})

    def verify_price_tag(self, run_id: str, version: int | None = None) -> dict[str, Any]:
        """What the server finds when it works the price tag out again."""
        return self._get(f"/v1/runs/{run_id}/price-tag/verification", {"version": version})

    def compare(
        self, a: Sequence[str], b: Sequence[str], *, metric: str = "it_energy_kwh"
    ) -> dict[str, Any]:
        """One group of runs over another, as a ratio in which shared errors cancel."""
        query = {"a": ",".join(a), "b": ",".join(b), "metric": metric}
        return self._get("/v1/comparisons", query)

    # Reports

    def create_report(
        self,
        title: str,
        *,
        runs: Sequence[str] | None = None,
        filter: Mapping[str, Any] | None = None,
        profile: str = "strubell2019",
    ) -> dict[str, Any]:
        """Makes a report of these runs, or of those that a filter selects."""
        body: dict[str, Any] = {"title": title, "profile": profile}
        if runs is not None:
            body["runs"] = list(runs)
        if filter is not None:
            body["filter"] = dict(filter)
        return self._json("POST", "/v1/reports", body)

    def list_reports(self) -> Iterator[dict[str, Any]]:
        """All reports, the newest first."""
        return self._pages("/v1/reports", {"limit": 200})

    def get_report(self, report_id: str) -> dict[str, Any]:
        """A report as data."""
        return self._get(f"/v1/reports/{report_id}")

    def render_report(self, report_id: str, fmt: ReportFormat) -> bytes:
        """A report in one format, ready to write to a file."""
        return self._send("GET", f"/v1/reports/{report_id}.{fmt}").content

    # What there is

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

    def quote(self, **figures: Any) -> dict[str, Any]:
        """The price of work without a run; fields as `pricetag estimate` has them."""
        return self._json("POST", "/v1/quotes", figures)

    def quote_run(self, run: Mapping[str, Any]) -> dict[str, Any]:
        """The quote that a run would get if it were posted now; nothing is booked."""
        return self._json("POST", "/v1/quotes", {"run": dict(run)})

    def run_quote(self, run_id: str) -> dict[str, Any]:
        """A run's quote, where the run will end, and the quote against its price tag."""
        return self._get(f"/v1/runs/{run_id}/quote")

    def quote_score(self) -> dict[str, Any]:
        """How near quotes came, by method, likeness, pool and quantity."""
        return self._get("/v1/quotes/score")

    # Budgets and the audit log

    def create_budget(self, budget: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a budget; fields as ``POST /v1/budgets`` has them."""
        return self._json("POST", "/v1/budgets", budget)

    def budgets(self, *, name: str | None = None, closed: bool = False) -> Iterator[dict[str, Any]]:
        """All budgets by name, or the one of a name, each with how it stands."""
        query = {"name": name, "closed": "true" if closed else None, "limit": 200}
        return self._pages("/v1/budgets", query)

    def get_budget(self, budget_id: str) -> dict[str, Any]:
        """A budget and how it stands."""
        return self._get(f"/v1/budgets/{budget_id}")

    def change_budget(self, budget_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes some fields of a budget."""
        return self._json("PATCH", f"/v1/budgets/{budget_id}", changes)

    def close_budget(self, budget_id: str) -> dict[str, Any]:
        """Ends a budget; again, it changes nothing."""
        return cast(dict[str, Any], self._send("POST", f"/v1/budgets/{budget_id}/close").json())

    def budget_alerts(self, budget_id: str | None = None) -> Iterator[dict[str, Any]]:
        """Thresholds that were crossed, the newest first."""
        return self._pages("/v1/budget-alerts", {"budget_id": budget_id, "limit": 200})

    def audit(self, **filters: Any) -> Iterator[dict[str, Any]]:
        """Who changed what, the newest first; filters as ``GET /v1/audit`` has them."""
        return self._pages("/v1/audit", {**filters, "limit": 200})

    def energy(
        self,
        *,
        start: str | None = None,
        stop: str | None = None,
        by: str = "node",
        node: str | None = None,
    ) -> dict[str, Any]:
        """What the nodes used, what runs were charged of it, and what is left.

        Args:
            start: Whole hour of UTC, ISO 8601; 7 days before `stop` by default.
            stop: Exclusive; the end of the present hour by default.
            by: node, component, project or hour.
            node: Of this node alone.
        """
        return self._get("/v1/energy", {"from": start, "to": stop, "by": by, "node": node})

    # Sites, factors, prices

    def create_site(self, site: Mapping[str, Any]) -> dict[str, Any]:
        """Makes a site: name, grid_zone, time_zone, currency, description."""
        return self._json("POST", "/v1/sites", site)

    def change_site(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes some fields of a site."""
        return self._json("PATCH", f"/v1/sites/{quoted(name, safe='')}", changes)

    def sites(self) -> list[dict[str, Any]]:
        """All sites by name."""
        return cast(list[dict[str, Any]], self._get("/v1/sites")["items"])

    def get_site(self, name: str, *, as_of: str | None = None) -> dict[str, Any]:
        """A site with the factors of this hour, each with who said so."""
        return self._get(f"/v1/sites/{quoted(name, safe='')}", {"as_of": as_of})

    def enter_factor(self, factor: Mapping[str, Any], *, site: str | None = None) -> dict[str, Any]:
        """Enters a factor of a site, or of the lab; fields as `POST /v1/factors` has them."""
        path = "/v1/factors" if site is None else f"/v1/sites/{quoted(site, safe='')}/factors"
        return self._json("POST", path, factor)

    def factors(
        self, *, site: str | None = None, kind: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Factors as they were entered, the newest first."""
        return self._pages("/v1/factors", {"site": site, "kind": kind, "limit": 200})

    def enter_price(self, price: Mapping[str, Any]) -> dict[str, Any]:
        """Enters a row of the price book; fields as `POST /v1/prices` has them."""
        return self._json("POST", "/v1/prices", price)

    def import_prices(self, content: str, fmt: str) -> list[dict[str, Any]]:
        """Enters all prices of a file (`csv` or `yaml`), or none."""
        made = self._json("POST", "/v1/prices/import", {"format": fmt, "content": content})
        return cast(list[dict[str, Any]], made["items"])

    def prices(self, *, accelerator: str | None = None) -> Iterator[dict[str, Any]]:
        """The price book, the newest row first."""
        return self._pages("/v1/prices", {"accelerator": accelerator, "limit": 200})

    def import_carbon(self, series: Mapping[str, Any]) -> dict[str, Any]:
        """Enters hourly intensities of a zone; fields as `POST /v1/carbon/import` has them."""
        return self._json("POST", "/v1/carbon/import", series)

    def fetch_carbon(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Has the server ask a provider for hourly intensities, and enter them."""
        return self._json("POST", "/v1/carbon/fetch", wanted)

    def carbon_series(self, *, zone: str | None = None) -> Iterator[dict[str, Any]]:
        """Series of hourly intensities, the newest first."""
        return self._pages("/v1/carbon", {"zone": zone, "limit": 200})

    # Tokens and health

    def create_token(self, name: str, role: str) -> dict[str, Any]:
        """Makes a token; `secret` is in this answer alone."""
        return self._json("POST", "/v1/tokens", {"name": name, "role": role})

    def tokens(self) -> list[dict[str, Any]]:
        """Every token, without its secret."""
        return cast(list[dict[str, Any]], self._get("/v1/tokens")["items"])

    def revoke_token(self, token_id: str) -> dict[str, Any]:
        """Ends a token at once."""
        return cast(dict[str, Any], self._send("DELETE", f"/v1/tokens/{token_id}").json())

    def health(self) -> dict[str, Any]:
        """Answers if the server's process lives."""
        return self._get("/healthz")

    def ready(self) -> dict[str, Any]:
        """Answers if the server can serve."""
        return self._get("/readyz")

    # The wire

    def _get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        params = {key: value for key, value in (query or {}).items() if value is not None}
        return cast(dict[str, Any], self._send("GET", path, params=params).json())

    def _json(self, method: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._send(method, path, json=dict(body), retry=False)
        return cast(dict[str, Any], answer.json())

    def _pages(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            page = self._get(path, {**query, "cursor": cursor})
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _send(
        self, method: str, path: str, *, retry: bool = True, **options: Any
    ) -> httpx.Response:
        """Sends what may be sent twice again while the server or its database is away."""
        for attempt in range(1, ATTEMPTS + 1):
            last = not retry or attempt == ATTEMPTS
            try:
                answer = self._http.request(method, path, **options)
            except httpx.TransportError as error:
                if last:
                    raise _unreachable(self.url, error) from error
                time.sleep(0.1 * 2**attempt)
                continue
            if answer.status_code == 503 and not last:
                time.sleep(min(LONGEST_WAIT_S, _seconds(answer.headers.get("Retry-After"))))
                continue
            _raise_for(answer)
            return answer
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _stream(self, run_id: str, last_event_id: int) -> Iterator[Message]:
        headers = {"Last-Event-ID": str(last_event_id)} if last_event_id else {}
        timeout = httpx.Timeout(STREAM_SILENCE_S, connect=5.0)
        path = f"/v1/runs/{run_id}/events"
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
            _raise_for(answer)
            yield from read_messages(answer.iter_lines())


def _seconds(header: str | None) -> float:
    return float(header) if header and header.isdecimal() else RECONNECT_S


def _unreachable(url: str, error: httpx.TransportError) -> ServerUnreachable:
    detail = str(error) or type(error).__name__
    return ServerUnreachable(f"no answer from {url}: {detail}")


def _raise_for(answer: httpx.Response) -> None:
    if answer.status_code < 400:
        return
    answer.read()
    try:
        problem = answer.json()
        code, message = str(problem["code"]), str(problem["detail"])
        errors = problem.get("errors", [])
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not our server's own answer: a proxy in between, or another program on the port.
        code, message, errors = "http-error", f"{answer.status_code} {answer.reason_phrase}", []
    raise ApiError(answer.status_code, code, message, errors)
