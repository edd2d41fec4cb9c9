"""Pages of studies: the list, one study, and canceling it."""

from __future__ import annotations

import pytest

from tests.support.api import Api, study_body

pytestmark = pytest.mark.asyncio
HTML = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}


async def test_a_study_is_listed_shown_and_canceled_on_its_page(api: Api) -> None:
    assert "No studies yet" in (await api.member.get("/studies", headers=HTML)).text
    body = study_body(name="<b>rates</b>", parallel=1, budget={"kwh": 2})
    study_id = (await api.member.post("/v1/studies", json=body)).json()["id"]
    listed = (await api.viewer.get("/studies", headers=HTML)).text
    assert "&lt;b&gt;rates&lt;/b&gt;" in listed
    assert "1 of 4" in listed
    path = f"/studies/{study_id}"
    assert f"{study_id}/cancel" not in (await api.viewer.get(path, headers=HTML)).text
    shown = (await api.member.get(path, headers=HTML)).text
    assert "No trial has reported" in shown
    assert f"{study_id}/cancel" in shown
    asked = await api.member.get(f"{path}/cancel", headers=HTML)
    assert "Cancel this study?" in asked.text
    done = await api.member.post(f"{path}/cancel", headers=HTML)
    assert done.status_code == 303
    after = (await api.member.get(path, headers=HTML)).text
    assert "canceled by a member" in after
    assert f"{study_id}/cancel" not in after
