"""Filters by a name that nothing has: an error with similar names, not an empty list."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.api import Api, problem


async def test_a_misspelled_filter_is_an_error_with_similar_names(api: Api) -> None:
    await api.post_run(project="sentiment", experiment="baseline")
    await api.post_run(project="vision", experiment="ablation")
    cases: list[tuple[dict[str, str], str, str, str]] = [
        (
            {"project": "sentimnet"},
            "project-not-found",
            "project",
            "Project 'sentimnet' not found: it does not exist or is hidden from you; "
            "did you mean 'sentiment'?",
        ),
        (
            {"project": "SENTIMENT"},
            "project-not-found",
            "project",
            "Project 'SENTIMENT' not found: it does not exist or is hidden from you; "
            "did you mean 'sentiment'?",
        ),
        (
            {"project": "qqq"},
            "project-not-found",
            "project",
            "Project 'qqq' not found: it does not exist or is hidden from you.",
        ),
        (
            {"experiment": "basline"},
            "experiment-not-found",
            "experiment",
            "Experiment 'basline' not found: it does not exist or is hidden from you; "
            "did you mean 'baseline'?",
        ),
        (
            {"project": "vision", "experiment": "baseline"},
            "experiment-not-found",
            "experiment",
            "Experiment 'baseline' not found in project 'vision': it does not exist or is hidden "
            "from you.",
        ),
        (
            {"project": "vison", "experiment": "baseline"},
            "project-not-found",
            "project",
            "Project 'vison' not found: it does not exist or is hidden from you; "
            "did you mean 'vision'?",
        ),
        (
            {"user": "a memebr"},
            "user-not-found",
            "user",
            "User 'a memebr' not found; did you mean 'a member'?",
        ),
    ]
    for filters, code, field, detail in cases:
        unknown = problem(await api.viewer.get("/v1/runs", params=filters), 404, code)
        assert unknown["detail"] == detail
        assert [error["field"] for error in unknown["errors"]] == [field]


async def test_a_filter_that_selects_nothing_is_an_empty_list(api: Api) -> None:
    await api.post_run(project="sentiment", experiment="baseline")
    for filters in (
        {"user": "a viewer"},  # exists, and posted nothing
        {"project": "sentiment", "status": "failed"},
        {"experiment": "baseline", "tag": "unused"},
        {"q": "nothing"},
    ):
        page = await api.viewer.get("/v1/runs", params=filters)
        assert (page.status_code, page.json()["items"]) == (200, [])


async def test_names_that_are_hidden_do_not_exist(api: Api) -> None:
    await api.post_run(project="secret", experiment="hidden plan")
    changed = await api.admin.patch("/v1/projects/secret", json={"visibility": "private"})
    assert changed.status_code == 200
    for path, filters, code in (
        ("/v1/runs", {"project": "secret"}, "project-not-found"),
        ("/v1/runs", {"project": "secrte"}, "project-not-found"),
        ("/v1/runs", {"experiment": "hidden plan"}, "experiment-not-found"),
        ("/v1/runs", {"user": "a membre"}, "user-not-found"),
        ("/v1/experiments", {"project": "secret"}, "project-not-found"),
    ):
        unknown = problem(await api.viewer.get(path, params=filters), 404, code)
        assert "did you mean" not in unknown["detail"]


async def test_experiments_of_a_misspelled_project_are_an_error(api: Api) -> None:
    await api.post_run(project="sentiment")
    params = {"project": "sentment"}
    unknown = problem(await api.viewer.get("/v1/experiments", params=params), 404, CODE)
    assert unknown["detail"].endswith("did you mean 'sentiment'?")


CODE = "project-not-found"


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"project": "sentment"}, "filter.project"),
        ({"project": "sentiment", "experiment": "basline"}, "filter.experiment"),
    ],
)
async def test_a_report_on_a_misspelled_name_is_an_error(
    api: Api, filters: dict[str, Any], field: str
) -> None:
    await api.post_run(project="sentiment", experiment="baseline")
    body = {"title": "a report", "filter": filters}
    unknown = problem(await api.member.post("/v1/reports", json=body), 422, "nothing-to-report")
    assert [error["field"] for error in unknown["errors"]] == [field]
    assert "did you mean" in unknown["detail"]
