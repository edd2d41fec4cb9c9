"""Pages of what does not exist: they name it, and lead on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

import pytest

from app.services.errors import NotFoundError
from app.web.problems import LISTS, MISSING
from tests.support.api import Api

HTML = {"Accept": "text/html"}
NOBODY = UUID(int=1)
NOT_OBJECTS = {"not-found", "artifact-not-on-this-server", "identity-provider-off"}


def kinds(error: type[NotFoundError]) -> Iterator[type[NotFoundError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def test_every_kind_of_object_that_may_be_missing_has_a_list_to_go_to() -> None:
    codes = {kind.code for kind in kinds(NotFoundError) if kind.code.endswith(MISSING)}
    nouns = {code.removesuffix(MISSING) for code in codes - NOT_OBJECTS}
    assert nouns == set(LISTS)


@pytest.mark.parametrize(
    ("path", "title", "link"),
    [
        (f"/runs/{NOBODY}", "Run not found", "Runs"),
        ("/runs/no-id", "Run not found", "Runs"),
        (f"/runs/{NOBODY}/log", "Run not found", "Runs"),
        (f"/runs/{NOBODY}/cancel", "Run not found", "Runs"),
        (f"/queue/{NOBODY}/cancel", "Run not found", "Runs"),
        (f"/runs/views/{NOBODY}/delete", "View not found", "Runs"),
        (f"/studies/{NOBODY}/cancel", "Study not found", "Studies"),
        (f"/budgets/{NOBODY}", "Budget not found", "Budgets"),
        ("/nodes/nothing", "Node not found", "Nodes"),
        ("/projects/nothing", "Project not found", "Runs"),
        ("/users/nobody", "User not found", "Energy by user"),
        (f"/admin/users/{NOBODY}", "User not found", "Energy by user"),
        (f"/admin/tokens/{NOBODY}/revoke", "Token not found", "Tokens"),
        ("/admin/sites/nowhere", "Site not found", "Sites"),
        ("/nothing", "Page not found", "Overview"),
    ],
)
async def test_an_error_page_names_what_does_not_exist(
    api: Api, path: str, title: str, link: str
) -> None:
    page = await api.admin.get(path, headers=HTML)
    assert page.status_code == 404, page.text
    assert f"<title>{title} · Pricetag</title>" in page.text
    assert f"<h1>{title}</h1>" in page.text
    address = re.search(rf'<a class="button" href="([^"]+)">{link}</a>', page.text)
    assert address is not None, page.text
    onward = await api.admin.get(str(page.url.join(address[1]).raw_path.decode()), headers=HTML)
    assert onward.status_code == 200


async def test_a_version_that_does_not_exist_leads_to_its_run(api: Api) -> None:
    run_id = await api.post_run()
    page = await api.admin.get(f"/runs/{run_id}/verification?version=7", headers=HTML)
    assert "<h1>Price tag not found</h1>" in page.text
    assert f'href="../../runs/{run_id}">Run</a>' in page.text
    ended = await api.admin.post(f"/v1/runs/{run_id}/cancel")
    assert ended.status_code == 202
    late = await api.admin.get(f"/runs/{run_id}/cancel", headers=HTML)
    assert f'href="../../runs/{run_id}">Run</a>' in late.text


async def test_programs_still_learn_that_an_id_is_invalid(api: Api) -> None:
    response = await api.admin.get("/v1/runs/no-id")
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")
