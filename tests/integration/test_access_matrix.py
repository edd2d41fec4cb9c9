"""Every operation x every kind of caller x a private and an open project, on one database.

What is expected is derived from the rule that each operation declares (``app.api.access``); an
operation without a rule, or without a request here that would succeed, fails. Each request is
undone before the next one, so that all of them meet the same database.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import APIRouter, FastAPI
from sqlalchemy import update
from sqlalchemy.ext.asyncio import async_sessionmaker

from app.api.access import (
    READ,
    Access,
    UndeclaredAccessError,
    operations,
    require_everywhere,
)
from app.api.deps import Resources
from app.api.v1 import examples
from app.db import Database, Session
from app.main import create_app
from app.repositories import projects as project_rows
from app.schemas.budgets import BudgetCreate
from app.schemas.common import ProjectRole, Role
from app.schemas.reports import ReportCreate
from app.schemas.sites import SiteCreate
from app.schemas.tokens import TokenCreate
from app.schemas.users import UserCreate, UserTokenCreate
from app.services import reports, runs, series, tokens, users
from app.services.budgets import admin as budget_admin
from app.services.events import EventHub
from app.services.factors import sites
from app.services.principals import Principal
from app.settings import Settings
from models import Project, Run, Token, User
from tests.support.api import finished_run, run_body, running_run

Target = Literal["private", "open"]
TARGETS: tuple[Target, ...] = ("private", "open")
Caller = Literal[
    "none", "garbage", "revoked", "expired", "disabled", "ingest", "viewer", "outsider", "scoped",
    "member", "owner", "admin",
]  # fmt: skip
UNKNOWN = ("none", "garbage", "revoked", "expired", "disabled")
USERS: dict[Caller, Role] = {
    "ingest": "ingest",
    "viewer": "viewer",
    "outsider": "member",
    "member": "member",
    "owner": "member",
    "admin": "admin",
}
ROLES: dict[Caller, Role] = {**USERS, "scoped": "member"}
RANK = {"ingest": 0, "viewer": 1, "member": 2, "admin": 3}
MEMBERSHIPS: dict[Caller, ProjectRole] = {"member": "member", "owner": "owner"}
"""Of both projects. `scoped` is a token of `member` that is limited to a third project."""


@dataclass
class Things:
    """What the requests are about, of one project."""

    project: str
    ids: dict[str, str] = field(default_factory=dict)


@dataclass
class Lab:
    """One seeded database behind the application, and who calls it."""

    app: FastAPI
    http: httpx.AsyncClient
    secrets: dict[Caller, str | None]
    things: dict[Target, Things]
    undo: Callable[[], Any]

    async def ask(self, caller: Caller, method: str, path: str, **request: Any) -> httpx.Response:
        """One request, of which nothing stays."""
        secret = self.secrets[caller]
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        async with self.undo():
            return await self.http.request(method, path, headers=headers, **request)


class _OneConnection(Database):
    """A database whose sessions share a connection, so that all they write can be undone."""

    def __init__(self, database: Database, connection: Any) -> None:
        self.url = database.url
        self.engine = database.engine
        self.sessions = async_sessionmaker(
            bind=connection, expire_on_commit=False, join_transaction_mode="create_savepoint"
        )


async def _people(session: Session) -> dict[Caller, Principal]:
    principals: dict[Caller, Principal] = {}
    for name, role in USERS.items():
        made = await tokens.create(session, TokenCreate(name=name, role=role))
        principals[name] = Principal(made.user_id, made.id, name, role)
    return principals


async def _secrets(
    session: Session, people: Mapping[Caller, Principal], elsewhere: str
) -> dict[Caller, str | None]:
    """One token of each caller; the useless ones are a member's and would see everything."""

    async def secret(caller: Caller, **more: Any) -> tuple[UUID, str]:
        wanted = TokenCreate(name="t", user=caller, **more)
        made = await tokens.create(session, wanted)
        return made.id, made.secret

    found: dict[Caller, str | None] = {"none": None, "garbage": "pt_garbage"}
    for caller in USERS:
        _, found[caller] = await secret(caller)
    _, found["scoped"] = await secret("member", project=elsewhere)
    revoked, found["revoked"] = await secret("owner")
    await tokens.revoke(session, revoked)
    expired, found["expired"] = await secret("owner")
    past = datetime.now(UTC) - timedelta(seconds=1)
    await session.execute(update(Token).where(Token.id == expired).values(expires_at=past))
    gone = await users.create(session, UserCreate(name="gone", role="admin"), None)
    by_admin = people["admin"]
    made = await tokens.create_for(session, gone.id, UserTokenCreate(name="t"), by_admin)
    await session.execute(
        update(User).where(User.id == gone.id).values(disabled_at=datetime.now(UTC))
    )
    found["disabled"] = made.secret
    return found


async def _things(session: Session, people: Mapping[Caller, Principal], target: Target) -> Things:
    """A project with a run in every state, a report, and a budget; runs are the member's."""
    admin, member = people["admin"], people["member"]
    posted = await runs.create(session, member, run_body(project=target), None)
    row = await session.get(Run, posted.id)
    assert row is not None
    project_id = row.project_id
    for caller, role in MEMBERSHIPS.items():
        await project_rows.put_member(session, project_id, people[caller].user_id, role)
    finished = await finished_run(session, created_by=member.user_id)
    twin = await finished_run(session, created_by=member.user_id)
    running = await running_run(session, 2, created_by=member.user_id)
    quoted = await runs.create(session, member, run_body(project=target), f"key {target}")
    failed = await runs.create(session, member, run_body(project=target), None)
    place = {"project_id": project_id, "experiment_id": row.experiment_id}
    for run_id in (finished, twin, running):
        await session.execute(update(Run).where(Run.id == run_id).values(**place))
    await session.execute(update(Run).where(Run.id == failed.id).values(status="failed"))
    wanted = ReportCreate(title=f"of {target}", profile="strubell2019", runs=[finished])
    report = await reports.create(session, member, wanted)
    budgets = {}
    for scope in ("project", "experiment"):
        experiment = "sst2" if scope == "experiment" else None
        wanted_budget = BudgetCreate.model_validate(
            {
                "name": f"{scope} of {target}",
                "scope": scope,
                "project": target,
                "experiment": experiment,
                "metric": "co2e_kg",
                "amount": 1000,
            }
        )
        budgets[scope] = (await budget_admin.create(session, admin, wanted_budget)).id
    artifacts = (await series.artifacts(session, finished)).items
    visibility = "private" if target == "private" else "open"
    await session.execute(
        update(Project).where(Project.id == project_id).values(visibility=visibility)
    )
    ids = {
        "finished": finished,
        "twin": twin,
        "running": running,
        "queued": posted.id,
        "quoted": quoted.id,
        "failed": failed.id,
        "report": report.id,
        "budget": budgets["project"],
        "experiment_budget": budgets["experiment"],
        "artifact": artifacts[0].id,
        "member": member.user_id,
        "token": member.token_id,
    }
    return Things(target, {name: str(id_) for name, id_ in ids.items()})


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def lab(
    engine_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Lab]:
    data_dir = tmp_path_factory.mktemp("matrix")
    artifact = data_dir / "artifacts/run/1/model.safetensors"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"weights")
    settings = Settings(database_url=engine_database.url, data_dir=data_dir)
    async with engine_database.engine.connect() as connection:
        outer = await connection.begin()
        database = _OneConnection(engine_database, connection)
        async with database.session_scope() as session:
            people = await _people(session)
            await sites.create(session, SiteCreate(name="berlin"), people["admin"])
            things = {target: await _things(session, people, target) for target in TARGETS}
            await runs.create(session, people["member"], run_body(project="elsewhere"), None)
            secrets = await _secrets(session, people, "elsewhere")

        @asynccontextmanager
        async def undo() -> AsyncIterator[None]:
            savepoint = await connection.begin_nested()
            try:
                yield
            finally:
                await savepoint.rollback()

        app = create_app(settings)
        app.state.resources = Resources(settings, database, EventHub(database))
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://lab.test") as http:
            yield Lab(app, http, secrets, things, undo)
        await outer.rollback()


# A request of each operation that succeeds for whoever may make it: path parameters, then what
# httpx is given. `{name}` in a value is an ID of the project's things.
REQUESTS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "getHealth": ({}, {}),
    "getReadiness": ({}, {}),
    "createRun": ({}, {"json": {**run_body(), "project": "{project}"}}),
    "listRuns": ({}, {}),
    "getRun": ({"run_id": "{finished}"}, {}),
    "cancelRun": ({"run_id": "{queued}"}, {}),
    "resumeRun": ({"run_id": "{failed}"}, {}),
    "createQuote": ({}, {"json": {"run": run_body()}}),
    "getQuoteScore": ({}, {}),
    "getRunQuote": ({"run_id": "{quoted}"}, {}),
    "streamRunEvents": ({"run_id": "{finished}"}, {}),
    "getRunPower": ({"run_id": "{finished}"}, {}),
    "listRunMetrics": ({"run_id": "{finished}"}, {}),
    "listRunLogs": ({"run_id": "{finished}"}, {}),
    "listRunArtifacts": ({"run_id": "{finished}"}, {}),
    "downloadRunArtifact": ({"run_id": "{finished}", "artifact_id": "{artifact}"}, {}),
    "getEnergy": ({}, {}),
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
    "revokeUserToken": ({"user_id": "{member}", "token_id": "{token}"}, {}),
    "createToken": ({}, {"json": {"name": "new", "role": "viewer"}}),
    "listTokens": ({}, {}),
    "revokeToken": ({"token_id": "{token}"}, {}),
    "listAudit": ({}, {}),
    "createBudget": ({}, {"json": examples.BUDGET}),
    "listBudgets": ({}, {}),
    "getBudget": ({"budget_id": "{budget}"}, {}),
    "changeBudget": ({"budget_id": "{budget}"}, {"json": {"amount": 5}}),
    "closeBudget": ({"budget_id": "{budget}"}, {}),
    "listBudgetAlerts": ({}, {}),
    "createSite": ({}, {"json": {"name": "new"}}),
    "listSites": ({}, {}),
    "getSite": ({"name": "berlin"}, {}),
    "changeSite": ({"name": "berlin"}, {"json": examples.SITE_CHANGE}),
    "enterSiteFactor": ({"name": "berlin"}, {"json": examples.FACTOR}),
    "enterFactor": ({}, {"json": examples.FACTOR}),
    "listFactors": ({}, {}),
    "enterPrice": ({}, {"json": examples.PRICE}),
    "importPrices": ({}, {"json": examples.PRICE_FILE}),
    "listPrices": ({}, {}),
    "importCarbon": ({}, {"json": examples.CARBON_FILE}),
    "fetchCarbon": ({}, {"json": examples.CARBON_FETCH}),
    "listCarbon": ({}, {}),
}
# Whoever may call these gets another response than 2xx, for reasons of their own.
ALLOWED_BUT: dict[str, int] = {"fetchCarbon": 409}  # no provider is set up
# Operations of the lab whose request names runs: a hidden run is one that is not there.
NAMES_RUNS: dict[str, int] = {"compareRuns": 422, "createReport": 422}


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
        return None
    if caller in UNKNOWN:
        return 401
    if RANK[ROLES[caller]] < RANK[access.role]:
        return 403
    if access.need == "self":
        return None if caller in ("member", "scoped", "admin") else 403
    visible = sees(caller, target)
    if access.about == "posted-project" and not visible:
        return 403
    if access.about in ("run", "report", "budget", "project") and not visible:
        return 404
    if access.need == "author" and caller not in ("member", "admin"):
        return 403
    if access.need == "owner" and caller not in ("owner", "admin"):
        return 403
    if operation_id in NAMES_RUNS and not visible:
        return NAMES_RUNS[operation_id]
    return ALLOWED_BUT.get(operation_id)


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("target", TARGETS)
async def test_every_operation_answers_every_caller_as_its_rule_says(
    lab: Lab, target: Target
) -> None:
    wrong: list[str] = []
    cells = 0
    names = {**lab.things[target].ids, "project": target}
    for operation in operations(lab.app):
        if operation.operation_id is None:  # a page, and not part of the API
            assert operation.access == (Access(None),), operation.path
            continue
        parameters, request = REQUESTS[operation.operation_id]
        path = operation.path.format_map(_filled(parameters, names))
        (access,) = operation.access
        (method,) = operation.methods
        for caller in lab.secrets:
            status = expected(operation.operation_id, access, caller, target)
            response = await lab.ask(caller, method, path, **_filled(request, names))
            cells += 1
            right = response.is_success if status is None else response.status_code == status
            if not right:
                wrong.append(
                    f"{operation.operation_id} by {caller}: {response.status_code}, not"
                    f" {status or '2xx'}: {response.text[:200]}"
                )
    assert not wrong, "\n".join(wrong)
    assert cells == len(REQUESTS) * len(lab.secrets)


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
            for query in ({}, *({"by": by} for by in ("project", "node", "component", "hour"))):
                if query and operation.operation_id != "getEnergy":
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
        found: list[str] = []
        cursor: str | None = None
        while True:
            params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
            document = (await lab.ask(caller, "GET", path, params=params)).json()
            found += [item["id"] for item in document["items"]]
            cursor = document["next_cursor"]
            if cursor is None:
                return found
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
