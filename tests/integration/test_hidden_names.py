"""Names with invisible characters: rejected when posted, readable where they are stored."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from models import Project, Run, User
from tests.support.api import Api, problem, run_body

HIDDEN = "ada\u202e"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/runs", run_body(name=HIDDEN), "name"),
        ("/v1/runs", run_body(tags=["a", HIDDEN]), "tags.1"),
        ("/v1/users", {"name": HIDDEN}, "name"),
        ("/v1/tokens", {"name": HIDDEN, "role": "member"}, "name"),
        ("/v1/reports", {"title": HIDDEN, "runs": []}, "title"),
    ],
)
async def test_a_disguised_name_is_rejected(
    api: Api, path: str, body: dict[str, Any], field: str
) -> None:
    response = await api.admin.post(path, json=body)
    assert response.status_code == 422, response.text
    faults = {fault["field"]: fault for fault in response.json()["errors"]}
    assert "U+202E RIGHT-TO-LEFT OVERRIDE, which is invisible" in faults[field]["message"]


async def test_disguised_names_of_earlier_versions_can_be_read_and_changed(api: Api) -> None:
    user = (await api.admin.post("/v1/users", json={"name": "ada"})).json()
    run_id = await api.post_run()
    stored = {"name": HIDDEN, "issuer": "https://x", "subject": HIDDEN}
    async with api.database.session_scope() as session:
        await session.execute(update(User).where(User.id == user["id"]).values(**stored))
        await session.execute(update(Project).values(name=HIDDEN))
        await session.execute(update(Run).values(name=HIDDEN, tags=[HIDDEN]))
    users = (await api.admin.get("/v1/users")).json()["items"]
    assert HIDDEN in [item["name"] for item in users]
    assert (await api.viewer.get(f"/v1/runs/{run_id}")).json()["name"] == HIDDEN
    query = {"project": HIDDEN, "tag": HIDDEN}
    assert len((await api.viewer.get("/v1/runs", params=query)).json()["items"]) == 1
    assert (await api.viewer.get(f"/v1/projects/{HIDDEN}")).json()["name"] == HIDDEN
    path = f"/v1/users/{user['id']}"
    problem(await api.admin.patch(path, json={"name": f"b{HIDDEN}"}), 422, "invalid-request")
    assert (await api.admin.patch(path, json={"name": "ada"})).json()["name"] == "ada"
