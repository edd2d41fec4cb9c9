"""Projects over the API: members, tokens of one project, names in paths."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.client.connection import path_segment
from tests.support.api import Api, fields, problem, run_body
from tests.support.people import a_user, as_user, made


async def test_a_token_of_one_project_sees_and_posts_nothing_else(api: Api) -> None:
    own = await api.post_run(project="p")
    other = await api.post_run(project="q")
    admin_scoped = {"name": "t", "role": "admin", "project": "p"}
    me = (await api.admin.get("/v1/me")).json()["user"]["id"]
    refused = await api.admin.post(f"/v1/users/{me}/tokens", json=admin_scoped)
    assert fields(problem(refused, 422, "invalid-request")) == ["project"]
    member = (await api.member.get("/v1/me")).json()["user"]["id"]
    for user_id in (me, member):
        made_token = await made(api, f"/v1/users/{user_id}/tokens", name="t", project="p")
        scoped = {"bearer": {"Authorization": f"Bearer {made_token['secret']}"}}
        assert (await as_user(api, scoped, "GET", "/v1/me")).json()["role"] == "member"
        listed = (await as_user(api, scoped, "GET", "/v1/runs")).json()["items"]
        assert [run["id"] for run in listed] == [own]
        problem(await as_user(api, scoped, "GET", f"/v1/runs/{other}"), 404, "run-not-found")
        projects = (await as_user(api, scoped, "GET", "/v1/projects")).json()["items"]
        assert [project["name"] for project in projects] == ["p"]
        for project in ("q", "new"):
            posted = await as_user(api, scoped, "POST", "/v1/runs", json=run_body(project=project))
            problem(posted, 403, "not-a-member")
        problem(await as_user(api, scoped, "GET", "/v1/users"), 403, "role-required")
        names = {"p": own, "q": other}
        for target, visible in (("p", True), ("q", False)):
            body = {"title": "t", "profile": "site", "runs": [names[target]]}
            report = await as_user(api, scoped, "POST", "/v1/reports", json=body)
            message = "has no price tag yet" if visible else "not found"
            assert message in problem(report, 422, "nothing-to-report")["detail"]


async def test_only_owners_manage_a_project(api: Api) -> None:
    run_id = await api.post_run(project="p")  # the member owns what they made
    ada, eve = await a_user(api, "ada"), await a_user(api, "eve")
    members = (await api.viewer.get("/v1/projects/p/members")).json()["items"]
    assert [(row["user"], row["role"]) for row in members] == [("a member", "owner")]
    problem(
        await as_user(api, ada, "PATCH", "/v1/projects/p", json={"visibility": "private"}),
        403,
        "not-an-owner",
    )
    private = await api.member.patch("/v1/projects/p", json={"visibility": "private"})
    assert private.json()["visibility"] == "private"
    problem(await as_user(api, ada, "GET", f"/v1/runs/{run_id}"), 404, "run-not-found")
    assert (await api.member.post("/v1/projects/p/members", json={"user": "ada"})).is_success
    assert (await as_user(api, ada, "GET", f"/v1/runs/{run_id}")).is_success
    add_eve = {"user": eve["id"], "role": "owner"}
    problem(
        await as_user(api, ada, "POST", "/v1/projects/p/members", json=add_eve),
        403,
        "not-an-owner",
    )
    assert (await api.member.post("/v1/projects/p/members", json=add_eve)).is_success
    removed = await as_user(api, eve, "DELETE", "/v1/projects/p/members/a member")
    assert removed.json()["user"] == "a member"
    # Whoever posted a run does not see it any more, nor can do anything with it.
    problem(await api.member.get(f"/v1/runs/{run_id}"), 404, "run-not-found")
    problem(await api.member.post(f"/v1/runs/{run_id}/cancel"), 404, "run-not-found")
    problem(await api.member.post("/v1/runs", json=run_body(project="p")), 403, "not-a-member")
    assert (await as_user(api, ada, "DELETE", "/v1/projects/p/members/ada")).is_success  # leaves
    problem(await as_user(api, ada, "GET", "/v1/projects/p"), 404, "project-not-found")
    unknown = await as_user(api, eve, "POST", "/v1/projects/p/members", json={"user": "nobody"})
    assert fields(problem(unknown, 422, "unknown-user")) == ["user"]
    log = (await api.admin.get("/v1/audit", params={"object_kind": "member"})).json()["items"]
    assert [entry["action"] for entry in log] == ["deleted", "deleted", "created", "created"]


async def test_an_idempotency_key_does_not_open_a_project(api: Api) -> None:
    headers = {"Idempotency-Key": "k"}
    first = await api.member.post("/v1/runs", json=run_body(project="p"), headers=headers)
    await api.admin.patch("/v1/projects/p", json={"visibility": "private"})
    again = await api.member.post("/v1/runs", json=run_body(project="p"), headers=headers)
    assert again.json()["id"] == first.json()["id"]
    await api.admin.delete("/v1/projects/p/members/a member")
    gone = await api.member.post("/v1/runs", json=run_body(project="p"), headers=headers)
    problem(gone, 403, "not-a-member")


@pytest.mark.parametrize(
    "name",
    [
        *("lab/vision", "/", "a//b", "/a", "a/", "a/members", "members", "a/members/ada"),
        *("..", ".", "a/..", "a%2Fb", "100 %", "what?", "a#b", "a+b", "Größe/λ", "a\\b", "a b"),
    ],
)
async def test_every_project_route_takes_every_name(api: Api, name: str) -> None:
    """By the paths that the client builds, for users with such names too."""
    user = await made(api, "/v1/users", name=name)
    await api.post_run(project=name)
    await api.post_run(project="another")

    async def call(method: str, path: str, **more: Any) -> dict[str, Any]:
        response = await api.admin.request(method, path, **more)
        assert response.is_success, response.text
        return dict(response.json())

    project = f"/v1/projects/{path_segment(name)}"
    assert (await call("GET", project))["name"] == name
    changed = await call("PATCH", project, json={"visibility": "private"})
    assert (changed["name"], changed["visibility"]) == (name, "private")
    put = await call("POST", f"{project}/members", json={"user": name, "role": "owner"})
    assert put["user_id"] == user["id"]
    names = [row["user"] for row in (await call("GET", f"{project}/members"))["items"]]
    assert sorted(names) == sorted([name, "a member"])
    gone = await call("DELETE", f"{project}/members/{path_segment(name)}")
    assert gone["user"] == name
    assert (await call("GET", "/v1/projects/another"))["visibility"] == "open"
    assert (await call("GET", "/v1/runs", params={"project": name}))["items"] != []


async def test_a_slash_that_is_not_encoded_separates_segments(api: Api) -> None:
    await api.post_run(project="lab/vision")
    problem(await api.admin.get("/v1/projects/lab/vision"), 404, "not-found")
    problem(await api.admin.get("/v1/projects/lab"), 404, "project-not-found")
    upper, lower = [await api.admin.get(f"/v1/projects/lab{c}vision") for c in ("%2F", "%2f")]
    assert upper.json()["name"] == lower.json()["name"] == "lab/vision"
