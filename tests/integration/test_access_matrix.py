"""Every operation x every kind of caller x a private and an open project, on one database.

What is expected is derived from the rule that each operation declares (``app.api.access``); an
operation without a rule, or without a request here that would succeed, fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI

from app.api.access import (
    READ,
    Access,
    UndeclaredAccessError,
    operations,
    require_everywhere,
)
from app.db import Database
from tests.support.access_lab import (
    RANK,
    ROLES,
    TARGETS,
    UNKNOWN,
    Caller,
    Lab,
    Target,
    access_lab,
)
from tests.support.access_requests import ALLOWED_BUT, PAGES, REQUESTS
from tests.support.api import run_body


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(
    engine_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lab]:
    async with access_lab(engine_database, tmp_path_factory.mktemp("matrix")) as opened:
        yield opened


# Operations of the lab whose request names runs: a hidden run is one that is not there.
NAMES_RUNS: dict[str, int] = {
    "compareRuns": 422,
    "show_compare": 422,
    "createReport": 422,
    "tabulateRuns": 422,
    "use_selection": 422,
    "report_selection": 422,
}
# Views are theirs who saved them; in a project, its owners may delete them, too.
DELETES_VIEW = ("deleteView", "delete_view", "confirm_delete_view")


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return value.format_map(names) if value.startswith("{") else value
    if isinstance(value, Mapping):
        return {key: _filled(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, names) for item in value]
    return value


def sees(caller: Caller, target: Target) -> bool:
    """Whether the caller may see the project, by the words of the documentation."""
    if caller == "scoped":
        return False  # its token is limited to another project
    return target == "open" or caller in ("member", "owner", "admin")


def expected(operation_id: str, access: Access, caller: Caller, target: Target) -> int | None:
    """The status of an error; None where the request must succeed."""
    if access.role is None:
        return ALLOWED_BUT.get(operation_id)
    if caller in UNKNOWN:
        return 401
    if RANK[ROLES[caller]] < RANK[access.role]:
        return 403
    if access.need == "sender" and caller == "viewer":
        return 403
    if access.about == "journal":
        return None if caller in ("member", "admin") else 404
    if access.need == "self":
        return None if caller in ("member", "scoped", "admin") else 403
    if access.about in ("session", "share"):
        return None if caller in ("member", "scoped", "admin") else 404
    visible = sees(caller, target)
    if access.about == "posted-project" and not visible:
        return 403
    if (
        access.about
        in ("run", "report", "chart", "budget", "project", "view", "study", "paper", "shared")
        and not visible
    ):
        return 404
    if operation_id in DELETES_VIEW and caller not in ("member", "owner", "admin"):
        return 403
    if access.need == "author" and caller not in ("member", "admin"):
        return 403
    if access.need == "owner" and caller not in ("owner", "admin"):
        return 403
    if operation_id in NAMES_RUNS and not visible:
        return NAMES_RUNS[operation_id]
    return ALLOWED_BUT.get(operation_id)


@pytest.mark.asyncio(loop_scope="session")
async def test_every_operation_treats_every_caller_by_its_rule(lab: Lab) -> None:
    """For a private and an open project; a request that names neither is sent once."""
    wrong: list[str] = []
    cells = 0
    for operation in operations(lab.app):
        name = operation.operation_id or operation.name
        parameters, request = (PAGES if operation.operation_id is None else REQUESTS)[name]
        template = operation.path.replace(":path}", "}")
        (access,) = operation.access
        (method,) = operation.methods
        sent: list[tuple[str, Any]] = []
        for target in TARGETS:
            names = {**lab.records[target].ids, "project": target}
            path = template.format_map(_filled(parameters, names))
            filled = _filled(request, names)
            if (path, filled) in sent:
                for caller in lab.secrets:
                    statuses = {expected(name, access, caller, each) for each in TARGETS}
                    assert len(statuses) == 1, f"{name}: its request names no project"
                continue
            sent.append((path, filled))
            for caller in lab.secrets:
                status = expected(name, access, caller, target)
                response = await lab.ask(caller, method, path, **filled)
                cells += 1
                is_done = response.is_success or response.status_code == 303
                right = is_done if status is None else response.status_code == status
                if not right:
                    wrong.append(
                        f"{name} of {target} by {caller}: {response.status_code}, not"
                        f" {status or '2xx'}: {response.text[:200]}"
                    )
    assert not wrong, "\n".join(wrong)
    assert cells > (len(REQUESTS) + len(PAGES)) * len(lab.secrets)


@pytest.mark.asyncio(loop_scope="session")
async def test_nothing_that_an_outsider_may_read_names_private_projects(lab: Lab) -> None:
    """Every readable operation, with each way to group or filter it, has no private name or ID."""
    hidden = lab.records["private"]
    secrets = {value: name for name, value in hidden.ids.items() if name not in ("member", "token")}
    secrets |= {"of private": "title or budget", '"private"': "project"}
    seen_by_members = ""
    for caller in ("viewer", "outsider", "member"):
        for operation in operations(lab.app):
            if operation.methods != {"GET"} or "{" in operation.path:
                continue
            whole = {"follow": "false"} if operation.operation_id == "streamLab" else {}
            for query in (whole, *({"by": by} for by in ("project", "node", "component", "hour"))):
                if "by" in query and operation.operation_id != "getEnergy":
                    continue
                if operation.operation_id == "compareRuns":
                    continue
                response = await lab.ask(caller, "GET", operation.path, params=query)
                text = response.text.replace('"visibility":"private"', "")
                if caller == "member":
                    seen_by_members += text
                    continue
                leaks = [what for secret, what in secrets.items() if secret in text]
                assert not leaks, (operation.operation_id, caller, leaks)
    # The test would notice: a member finds them in the same places.
    for name in ("finished", "running", "report", "budget", "experiment_budget", "study"):
        assert hidden.ids[name] in seen_by_members, name


@pytest.mark.asyncio(loop_scope="session")
async def test_energy_of_private_projects_is_one_item_without_a_name(lab: Lab) -> None:
    first_week = {"by": "project", "from": "2026-02-28T00:00:00Z", "to": "2026-03-07T00:00:00Z"}

    async def by_project(caller: Caller) -> tuple[dict[str | None, Any], Any]:
        response = await lab.ask(caller, "GET", "/v1/energy", params=first_week)
        document = response.json()
        items = {
            item["project"]: (item["charged_kwh"]["value"], item["running_kwh"]["value"])
            for item in document["items"]
        }
        return items, document["total"]

    everything, total = await by_project("member")
    assert set(everything) == {"private", "open", None}
    assert everything["private"][0] > 0
    seen, same_total = await by_project("outsider")
    assert set(seen) == {"(private projects)", "open", None}
    assert seen["(private projects)"] == everything["private"]
    assert (seen["open"], same_total) == (everything["open"], total)


@pytest.mark.asyncio(loop_scope="session")
async def test_pages_stay_whole_where_rows_are_hidden(lab: Lab) -> None:
    """Keyset paging skips what is hidden: no short page, no row twice, none lost."""

    async def all_pages(caller: Caller, path: str) -> list[str]:
        ids: list[str] = []
        cursor: str | None = None
        while True:
            params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            document = (await lab.ask(caller, "GET", path, params=params)).json()
            ids += [item["id"] for item in document["items"]]
            cursor = document["next_cursor"]
            if cursor is None:
                return ids
            assert len(document["items"]) == 2

    hidden = set(lab.records["private"].ids.values())
    own = ("/v1/runs", "/v1/reports", "/v1/budgets", "/v1/papers", "/v1/studies")
    for path in (*own, "/v1/projects", "/v1/experiments"):
        whole = await all_pages("admin", path)
        seen = await all_pages("outsider", path)
        assert len(set(whole)) == len(whole)
        listed = [row for row in whole if row in seen]
        assert seen == listed
        if path in own:
            assert set(whole) - set(seen) == set(whole) & hidden
        else:
            assert len(whole) > len(seen) > 0


@pytest.mark.asyncio(loop_scope="session")
async def test_a_quote_rests_on_hidden_runs_without_naming_them(lab: Lab) -> None:
    async def quoted(caller: Caller) -> dict[str, Any]:
        body = {"run": {**run_body(), "recipe": {"stages": [{"kind": "train"}]}}}
        response = await lab.ask(caller, "POST", "/v1/quotes", json=body)
        if response.status_code == 422:
            response = await lab.ask(caller, "POST", "/v1/quotes", json={"run": run_body()})
        return dict(response.json())

    whole, seen = await quoted("member"), await quoted("outsider")
    assert seen["run_count"] == whole["run_count"]
    assert seen["quantities"].keys() == whole["quantities"].keys()
    hidden = set(lab.records["private"].ids.values())
    assert set(seen["runs"]) == set(whole["runs"]) - hidden


@pytest.mark.asyncio(loop_scope="session")
async def test_the_schema_says_who_may_call(lab: Lab) -> None:
    paths = lab.app.openapi()["paths"]
    for operation in operations(lab.app):
        (method,) = operation.methods
        if operation.operation_id is None:
            continue
        described = paths[operation.path][method.lower()]
        assert described["operationId"] == operation.operation_id
        assert described["x-access"] == operation.access[0].as_dict()
        if operation.access[0].role is not None:
            assert "401" in described["responses"], operation.operation_id
        if operation.access[0].role in ("member", "admin"):
            assert "403" in described["responses"], operation.operation_id


def test_a_server_with_an_operation_without_a_rule_does_not_start() -> None:
    app = FastAPI()
    router = APIRouter()
    router.get("/new")(lambda: None)
    app.include_router(router, prefix="/v1")
    with pytest.raises(UndeclaredAccessError, match="/v1/new"):
        require_everywhere(app)
    mounted = FastAPI()
    mounted.mount("/files", FastAPI())
    with pytest.raises(UndeclaredAccessError, match="/files"):
        require_everywhere(mounted)
    twice = FastAPI()
    twice.get("/twice", dependencies=[READ, READ])(lambda: None)
    with pytest.raises(UndeclaredAccessError, match="/twice"):
        require_everywhere(twice)
