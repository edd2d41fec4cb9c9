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
from app.api.v1 import examples
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
from tests.support.api import run_body
from tests.support.site_admin import FACTOR, PRICE


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(
    engine_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lab]:
    async with access_lab(engine_database, tmp_path_factory.mktemp("matrix")) as opened:
        yield opened


FILE = {"content": ("file.csv", b"a,b\n1,2\n", "text/csv")}


# A request of each operation that succeeds for whoever may make it: path parameters, then what
# httpx is given. `{name}` in a value is an ID of the project's things.
REQUESTS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "getHealth": ({}, {}),
    "getReadiness": ({}, {}),
    "getLabHealth": ({}, {}),
    "getMetrics": ({}, {}),
    "createRun": ({}, {"json": {**run_body(), "project": "{project}"}}),
    "listRuns": ({}, {}),
    "groupRuns": ({}, {"params": {"by": "tag"}}),
    "downloadRuns": ({}, {}),
    "tabulateRuns": ({"fmt": "md"}, {"params": {"run": "{finished}"}}),
    "listViews": ({}, {}),
    "saveView": ({}, {"json": {"name": "failures", "query": "status=failed"}}),
    "getView": ({"view_id": "{view}"}, {}),
    "deleteView": ({"view_id": "{view}"}, {}),
    "verifyHash": ({"sha256": "{hash}"}, {}),
    "verifyDocument": ({}, {"json": {"text": "{hash}"}}),
    "getRun": ({"run_id": "{finished}"}, {}),
    "cancelRun": ({"run_id": "{queued}"}, {}),
    "prioritizeRun": ({"run_id": "{queued}"}, {"json": {"priority": 5}}),
    "resumeRun": ({"run_id": "{failed}"}, {}),
    "createQuote": ({}, {"json": {"run": run_body()}}),
    "getQuoteScore": ({}, {}),
    "getRunQuote": ({"run_id": "{quoted}"}, {}),
    "streamRunEvents": ({"run_id": "{finished}"}, {}),
    "getRunPower": ({"run_id": "{finished}"}, {}),
    "getRunEnergy": ({"run_id": "{finished}"}, {"params": {"from_s": "2", "to_s": "5"}}),
    "listRunMetrics": ({"run_id": "{finished}"}, {}),
    "listRunLogs": ({"run_id": "{finished}"}, {}),
    "listRunArtifacts": ({"run_id": "{finished}"}, {}),
    "downloadRunArtifact": ({"run_id": "{finished}", "artifact_id": "{artifact}"}, {}),
    "getEnergy": ({}, {}),
    "getEnergyOverTime": ({}, {}),
    "getEmissions": ({}, {}),
    "getProjectAccount": ({"project": "{project}"}, {}),
    "getUserAccount": ({"user": "{member}"}, {}),
    "getCarbonHours": ({}, {}),
    "getQueue": ({}, {}),
    "getOverview": ({}, {}),
    "getPower": ({}, {}),
    "getFrontier": ({}, {}),
    "listCompressions": ({}, {}),
    "getExpectedValidation": ({}, {}),
    "getChart": ({"sha256": "{chart}", "fmt": "json"}, {}),
    "streamLab": ({}, {"params": {"follow": "false"}}),
    "getRunPriceTag": ({"run_id": "{finished}"}, {}),
    "listRunPriceTags": ({"run_id": "{finished}"}, {}),
    "repriceRun": ({"run_id": "{finished}"}, {"json": {}}),
    "verifyRunPriceTag": ({"run_id": "{finished}"}, {}),
    "compareRuns": ({}, {"params": {"a": "{finished}", "b": "{twin}"}}),
    "createReport": (
        {},
        {"json": {"title": "t", "profile": "strubell2019", "runs": ["{finished}"]}},
    ),
    "listReports": ({}, {}),
    "renderReport": ({"report_id": "{report}", "fmt": "json"}, {}),
    "getReport": ({"report_id": "{report}"}, {}),
    "listRecipes": ({}, {}),
    "listProjects": ({}, {}),
    "listExperiments": ({}, {}),
    "listNodes": ({}, {}),
    "getProject": ({"project": "{project}"}, {}),
    "changeProject": ({"project": "{project}"}, {"json": {"description": "d"}}),
    "listProjectMembers": ({"project": "{project}"}, {}),
    "putProjectMember": ({"project": "{project}"}, {"json": {"user": "viewer"}}),
    "removeProjectMember": ({"project": "{project}", "user": "owner"}, {}),
    "getMe": ({}, {}),
    "createUser": ({}, {"json": {"name": "new"}}),
    "listUsers": ({}, {}),
    "getUser": ({"user_id": "{member}"}, {}),
    "changeUser": ({"user_id": "{member}"}, {"json": {"role": "viewer"}}),
    "listUserTokens": ({"user_id": "{member}"}, {}),
    "createUserToken": ({"user_id": "{member}"}, {"json": {"name": "new"}}),
    "createSignInLink": ({"user_id": "{member}"}, {"json": {}}),
    "revokeUserToken": ({"user_id": "{member}", "token_id": "{token}"}, {}),
    "createToken": ({}, {"json": {"name": "new", "role": "viewer"}}),
    "listTokens": ({}, {}),
    "revokeToken": ({"token_id": "{token}"}, {}),
    "listSessions": ({}, {}),
    "deleteSession": ({"session_id": "{session}"}, {}),
    "listAudit": ({}, {}),
    "createBudget": ({}, {"json": {**examples.BUDGET, "create_missing": True}}),
    "listBudgets": ({}, {}),
    "getBudget": ({"budget_id": "{budget}"}, {}),
    "getBudgetBurnDown": ({"budget_id": "{budget}"}, {}),
    "askBudgetWhatIf": ({"budget_id": "{budget}"}, {"json": {"run": run_body()}}),
    "getBudgetOutlook": ({}, {}),
    "changeBudget": ({"budget_id": "{budget}"}, {"json": {"amount": 5}}),
    "closeBudget": ({"budget_id": "{budget}"}, {}),
    "listBudgetAlerts": ({}, {}),
    "createSite": ({}, {"json": {"name": "new"}}),
    "listSites": ({}, {}),
    "getSite": ({"name": "berlin"}, {}),
    "changeSite": ({"name": "berlin"}, {"json": examples.SITE_CHANGE}),
    "enterSiteFactor": ({"name": "berlin"}, {"json": examples.FACTOR}),
    "enterFactor": ({}, {"json": examples.FACTOR}),
    "previewSiteFactor": ({"name": "berlin"}, {"json": examples.FACTOR}),
    "previewFactor": ({}, {"json": examples.FACTOR}),
    "listFactors": ({}, {}),
    "enterPrice": ({}, {"json": examples.PRICE}),
    "importPrices": ({}, {"json": examples.PRICE_FILE}),
    "listPrices": ({}, {}),
    "importCarbon": ({}, {"json": examples.CARBON_FILE}),
    "fetchCarbon": ({}, {"json": examples.CARBON_FETCH}),
    "listCarbon": ({}, {}),
}
FORM = {"metric": "facility_energy_kwh", "period": "total", "time_zone": "UTC"}
# The same for the pages, by the name of their function.
PAGES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "show_docs": ({}, {}),
    "show_asset": ({"version": "0", "name": "pricetag.css"}, {}),
    "show_sign_in": ({}, {}),
    "use_token": ({}, {"data": {"token": "pt_wrong"}}),
    "visit_provider": ({}, {}),
    "return_from_provider": ({}, {}),
    "open_link": ({"code": "{link}"}, {}),
    "use_link": ({"code": "{link}"}, {}),
    "sign_out": ({}, {}),
    "choose_theme": ({}, {"data": {"theme": "dark"}}),
    "show_overview": ({}, {}),
    "show_power": ({}, {}),
    "show_queue": ({}, {}),
    "prioritize_waiting": ({"run_id": "{queued}"}, {"data": {"priority": "5"}}),
    "confirm_cancel_waiting": ({"run_id": "{queued}"}, {}),
    "cancel_waiting": ({"run_id": "{queued}"}, {}),
    "show_nodes": ({}, {}),
    "show_node": ({"node_name": "node"}, {}),
    "download_node": ({"node_name": "node"}, {}),
    "show_runs": ({}, {}),
    "show_energy": ({}, {}),
    "show_emissions": ({}, {}),
    "download_emissions": ({}, {}),
    "show_project": ({"project": "{project}"}, {}),
    "show_user": ({"user": "{member}"}, {}),
    "show_carbon": ({}, {}),
    "show_budgets": ({}, {"params": {"closed": "true"}}),
    "show_new_budget": ({}, {}),
    "create_budget": ({}, {"data": {"name": "new", "scope": "lab", "amount": "1", **FORM}}),
    "show_budget": ({"budget_id": "{budget}"}, {}),
    "edit_budget": ({"budget_id": "{budget}"}, {}),
    "change_budget": ({"budget_id": "{budget}"}, {"data": {"name": "renamed", "amount": "1"}}),
    "close_budget": ({"budget_id": "{budget}"}, {}),
    "show_frontier": ({}, {}),
    "show_run": ({"run_id": "{finished}"}, {}),
    "show_run_progress": ({"run_id": "{running}"}, {}),
    "show_run_verification": ({"run_id": "{finished}"}, {}),
    "show_run_log": ({"run_id": "{finished}"}, {}),
    "show_run_power": ({"run_id": "{finished}"}, {}),
    "draw_run_power": ({"run_id": "{finished}"}, {}),
    "confirm_cancel_run": ({"run_id": "{queued}"}, {}),
    "cancel_run_here": ({"run_id": "{queued}"}, {}),
    "resume_run_here": ({"run_id": "{failed}"}, {}),
    "confirm_reprice_run": ({"run_id": "{finished}"}, {}),
    "reprice_run_here": ({"run_id": "{finished}"}, {}),
    "verify_run_here": ({"run_id": "{finished}"}, {}),
    "report_run_here": ({"run_id": "{finished}"}, {"data": {"format": "json"}}),
    "use_selection": ({}, {"params": {"run": "{finished}", "to": "md"}}),
    "report_selection": ({}, {"data": {"run": "{finished}"}}),
    "save_view": ({}, {"data": {"name": "failures", "query": "status=failed"}}),
    "store_link": ({}, {"data": {"query": "status=failed"}}),
    "confirm_delete_view": ({"view_id": "{view}"}, {}),
    "delete_view": ({"view_id": "{view}"}, {}),
    "show_verify": ({}, {}),
    "check_document": ({}, {"files": {"file": "x"}}),
    "show_hash": ({"sha256": "{hash}"}, {}),
    "show_compressions": ({}, {}),
    "show_curves": ({}, {}),
    "show_compare": ({}, {"params": {"a": "{finished}", "b": "{twin}"}}),
    "arrange_compare": ({}, {"data": {"add": "x", "to": "a"}}),
    "show_account": ({}, {}),
    "show_keys": ({}, {}),
    "end_session": ({"session_id": "{session}"}, {}),
    "show_admin": ({}, {}),
    "show_sites": ({}, {}),
    "show_new_site": ({}, {}),
    "add_site": ({}, {"data": {"name": "new"}}),
    "show_site": ({"site": "berlin"}, {}),
    "save_site": ({"site": "berlin"}, {"data": {"grid_zone": "FR"}}),
    "show_factors": ({}, {}),
    "show_new_factor": ({}, {"params": {**FACTOR, "value": "1.3"}}),
    "add_factor": ({}, {"data": FACTOR}),
    "show_prices": ({}, {}),
    "show_new_price": ({}, {}),
    "add_price": ({}, {"data": PRICE}),
    "show_price_import": ({}, {}),
    "add_prices": ({}, {"files": FILE, "data": {"format": "csv"}}),
    "show_carbon_series": ({}, {}),
    "show_carbon_import": ({}, {}),
    "add_carbon_series": ({}, {"files": FILE, "data": {"zone": "DE"}}),
    "show_carbon_fetch": ({}, {}),
    "add_fetched_series": ({}, {"data": examples.CARBON_FETCH}),
    "show_users": ({}, {}),
    "show_new_user": ({}, {}),
    "add_user": ({}, {"data": {"name": "new"}}),
    "show_admin_user": ({"user_id": "{member}"}, {}),
    "save_user": ({"user_id": "{member}"}, {"data": {"role": "viewer"}}),
    "make_sign_in_link": ({"user_id": "{member}"}, {}),
    "confirm_disable_user": ({"user_id": "{member}"}, {}),
    "disable_user": ({"user_id": "{member}"}, {}),
    "enable_user": ({"user_id": "{member}"}, {}),
    "show_tokens": ({}, {}),
    "show_new_token": ({}, {}),
    "add_token": ({}, {"data": {"name": "new", "role": "viewer"}}),
    "confirm_revoke_token": ({"token_id": "{token}"}, {}),
    "end_token": ({"token_id": "{token}"}, {}),
    "show_sessions": ({}, {}),
    "end_any_session": ({"session_id": "{session}"}, {}),
    "show_audit": ({}, {}),
    "show_health": ({}, {}),
}
# Whoever may call these gets another response than 2xx, for their own reasons.
ALLOWED_BUT: dict[str, int] = {
    "fetchCarbon": 409,  # no provider is set up
    "use_token": 401,  # not a token
    "visit_provider": 404,  # no identity provider is set up
    "return_from_provider": 404,
    "add_fetched_series": 409,
    "add_prices": 422,  # the file is not one of prices
    "add_carbon_series": 422,
}
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
    if access.need == "self":
        return None if caller in ("member", "scoped", "admin") else 403
    if access.about == "session":
        return None if caller in ("member", "scoped", "admin") else 404
    visible = sees(caller, target)
    if access.about == "posted-project" and not visible:
        return 403
    if access.about in ("run", "report", "chart", "budget", "project", "view") and not visible:
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
            names = {**lab.things[target].ids, "project": target}
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
    hidden = lab.things["private"]
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
    for name in ("finished", "running", "report", "budget", "experiment_budget"):
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

    hidden = set(lab.things["private"].ids.values())
    for path in ("/v1/runs", "/v1/reports", "/v1/budgets", "/v1/projects", "/v1/experiments"):
        whole = await all_pages("admin", path)
        seen = await all_pages("outsider", path)
        assert len(set(whole)) == len(whole)
        listed = [row for row in whole if row in seen]
        assert seen == listed
        if path in ("/v1/runs", "/v1/reports", "/v1/budgets"):
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
    hidden = set(lab.things["private"].ids.values())
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
